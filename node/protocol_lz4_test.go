package node_test

import (
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// TestProtocolGetPacked gets a key with each of the flags that say what may be
// packed: nothing is between two ends on one host, unless all is to be.
func TestProtocolGetPacked(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	text := strings.Repeat("the same again ", 100_000)
	trailer := &wire.Trailer{Length: uint64(len(text)), Sum: xxhash.Sum64String(text)}
	c.send(1, 0, &wire.Put{Size: wire.SizeUnknown, Key: "b/text"})
	c.data(1, text)
	c.send(1, 0, trailer)
	c.want(1, wire.TypeOK)
	for _, test := range []struct {
		flags  byte
		packed bool
	}{
		{0, false},
		{wire.FlagLZ4, false},
		{wire.FlagPackAll, false}, // says how, not that
		{wire.FlagLZ4 | wire.FlagPackAll, true},
	} {
		c.send(2, test.flags, &wire.Get{Key: "b/text"})
		c.want(2, wire.TypeObject)
		sent, packed := 0, 0
		for {
			h, body, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if h.Type == wire.TypeTrailer {
				if m, err := wire.Decode(h.Type, body); err != nil || *m.(*wire.Trailer) != *trailer {
					t.Errorf("flags %#x: trailer %+v, %v", test.flags, m, err)
				}
				break
			}
			if h.Type != wire.TypeData {
				continue // PING
			}
			sent += len(body)
			if h.Flags&wire.FlagLZ4 != 0 {
				packed++
			}
		}
		if (packed > 0) != test.packed || (sent < len(text)/10) != test.packed {
			t.Errorf("flags %#x: %d frames packed, %d bytes sent of %d", test.flags, packed, sent, len(text))
		}
	}
}
