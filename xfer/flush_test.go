package xfer

import (
	"bytes"
	"testing"

	"github.com/nathants/s4/wire"
)

// Flushed reads a FLUSH if that is the next frame, and nothing else, however much of a
// frame has arrived.
func TestFlushed(t *testing.T) {
	for _, flags := range []byte{0, wire.FlagChecked} {
		flush := wire.AppendFrame(nil, 7, flags, &wire.Flush{Tag: 5})
		ping := wire.AppendFrame(nil, 0, flags, wire.Empty{T: wire.TypePing})
		get := wire.AppendFrame(nil, 8, flags, &wire.Get{Key: "b/k"})
		for name, c := range map[string]struct {
			sent []byte
			ok   bool
		}{
			"nothing":                    {nil, false},
			"half of a header":           {flush[:5], false},
			"all but a byte":             {flush[:len(flush)-1], false},
			"all":                        {flush, true},
			"behind PINGs":               {bytes.Join([][]byte{ping, ping, flush}, nil), true},
			"behind a request":           {bytes.Join([][]byte{get, flush}, nil), false},
			"a PING":                     {ping, false},
			"of another":                 {wire.AppendFrame(nil, 7, flags, &wire.Flush{Tag: 6}), false},
			"a part read with the last":  {flush, true},
			"a header read with another": {flush, true},
		} {
			ca, cb := tcpPair(t)
			b := newConn(t, cb, patient)
			sent := c.sent
			switch name {
			case "a part read with the last":
				b.in = b.inbuf[:copy(b.inbuf[:], sent[:3])]
				sent = sent[3:]
			case "a header read with another":
				b.in = b.inbuf[:copy(b.inbuf[:], sent[:min(len(sent), 8)])]
				sent = sent[len(b.in):]
			}
			if _, err := ca.Write(sent); err != nil {
				t.Fatal(err)
			}
			if len(sent) > 0 {
				until(t, name, func() bool { return b.peek(make([]byte, 64)) > 0 })
			}
			tag, ok := b.Flushed(5)
			if ok != c.ok || ok && tag != 7 {
				t.Errorf("%s, flags %#x: %d, %v", name, flags, tag, ok)
			}
			// What comes next is read as ever.
			if _, err := ca.Write(get); err != nil {
				t.Fatal(err)
			}
			if !ok && (name == "half of a header" || name == "all but a byte") {
				continue
			}
			for {
				h, m, err := b.Read()
				if err != nil {
					t.Fatalf("%s, flags %#x: %v", name, flags, err)
				}
				if h.Tag == 8 && m.(*wire.Get).Key == "b/k" {
					break
				}
			}
		}
	}
}
