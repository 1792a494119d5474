package node_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// A request that the server does not know is answered, on both channels, and the
// connection goes on.
func TestProtocolUnknownRequest(t *testing.T) {
	p := startProto(t, 0)
	for _, channel := range []wire.Channel{wire.ChannelData, wire.ChannelControl} {
		c := p.open(channel)
		defer c.Close()
		c.raw([]byte("\x00\x00\x00\x05\xee\x00\x00\x01later"))
		c.wantError(1, wire.CodeUnsupported)
		c.send(2, 0, &wire.Flush{Tag: 1})
		c.want(2, wire.TypeOK)
	}
}

// TestProtocolRange gets parts of a key. The trailer has the checksum of the bytes sent,
// or for a whole key the stored one.
func TestProtocolRange(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.raw(protoPut(1, "b/k"))
	c.want(1, wire.TypeOK)
	for _, test := range []struct {
		offset, length uint64
		want           string
	}{
		{0, 1, "h"}, {1, 3, "ell"}, {1, 0, "ello\n"}, {5, 1, "\n"}, {5, 100, "\n"}, {4, 1<<64 - 1, "o\n"},
		{6, 0, ""}, {6, 9, ""}, {0, 6, "hello\n"}, {0, 1 << 40, "hello\n"},
	} {
		c.send(2, 0, &wire.Get{Key: "b/k", Offset: test.offset, Length: test.length})
		if o := c.want(2, wire.TypeObject).(*wire.Object); o.Size != 6 || o.Sum != protoSum {
			t.Errorf("got %+v", o)
		}
		var got strings.Builder
		for {
			h, body, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if h.Type == wire.TypeData {
				got.Write(body)
				continue
			}
			m, err := wire.Decode(h.Type, body)
			want := wire.Trailer{Length: uint64(len(test.want)), Sum: xxhash.Sum64String(test.want)}
			if tr, ok := m.(*wire.Trailer); err != nil || !ok || *tr != want {
				t.Errorf("%+v: %+v, %v", test, m, err)
			}
			break
		}
		if got.String() != test.want {
			t.Errorf("%+v: %q", test, &got)
		}
	}
	for _, offset := range []uint64{7, 1<<64 - 1} {
		c.send(3, 0, &wire.Get{Key: "b/k", Offset: offset, Length: 1})
		if e := c.wantError(3, wire.CodeBadRequest); e.Key != "b/k" {
			t.Errorf("got %+v", e)
		}
	}
	c.send(4, 0, &wire.Get{Key: "b/k"})
	c.wantHello(4)
}

// TestProtocolFlush ends answers early.
func TestProtocolFlush(t *testing.T) {
	t.Parallel()
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	// More than one DATA frame, and more than the kernel takes while nobody reads.
	const size = 5 * wire.MaxData / 2
	big := bytes.Repeat([]byte("x"), wire.MaxData/2)
	d.send(1, 0, &wire.Put{Size: size, Key: "b/big"})
	for range size / len(big) {
		d.data(1, string(big))
	}
	d.send(1, 0, &wire.Trailer{Length: size, Sum: xxhash.Sum64(bytes.Repeat(big, size/len(big)))})
	d.want(1, wire.TypeOK)
	d.send(2, 0, &wire.Get{Key: "b/big"})
	d.send(0, 0, wire.Empty{T: wire.TypePing})
	d.send(3, 0, &wire.Flush{Tag: 2})
	d.want(2, wire.TypeObject)
	d.want(2, wire.TypeData)
	d.want(2, wire.TypeAbort)
	d.want(3, wire.TypeOK)
	// One that is behind another request is heard in its turn.
	d.raw(protoPut(4, "b/k"))
	d.want(4, wire.TypeOK)
	d.send(5, 0, &wire.Get{Key: "b/k"})
	d.send(6, 0, &wire.Get{Key: "b/k"})
	d.send(7, 0, &wire.Flush{Tag: 5})
	d.wantHello(5)
	d.wantHello(6)
	d.want(7, wire.TypeOK)

	pad := strings.Repeat("x", 200)
	for i := range 700 { // more than one ENTRIES frame
		d.raw(protoPut(8, fmt.Sprintf("l/%03d%s", i, pad)))
		d.want(8, wire.TypeOK)
	}
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.raw(wire.AppendFrame(wire.AppendFrame(nil, 1, 0, &wire.List{Prefix: "l/"}), 2, 0, &wire.Flush{Tag: 1}))
	c.wantError(1, wire.CodeCanceled)
	c.want(2, wire.TypeOK)
	c.send(3, 0, &wire.List{Prefix: "b/k"})
	c.want(3, wire.TypeEntries)
	c.want(3, wire.TypeEnd)
}

// What a client has sent ahead does not keep the server from hearing that it gives
// the job up, or is gone.
func TestProtocolJobPipelined(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	for name, end := range map[string]func(c *protoConn){
		"closed":      func(c *protoConn) { c.Close() },
		"half-closed": func(c *protoConn) { _ = c.CloseWrite() },
		"discarded": func(c *protoConn) {
			c.send(1, 0, &wire.Discard{})
			c.want(1, wire.TypeReady)
			c.want(1, wire.TypeOK)
			c.send(2, 0, wire.Empty{T: wire.TypeHealth})
			c.want(2, wire.TypeHealthInfo)
		},
	} {
		for _, ahead := range [][]wire.Type{{wire.TypeStart}, {wire.TypeStart, wire.TypePrepare}} {
			mark := marker()
			c := p.open(wire.ChannelControl)
			c.send(1, 0, protoJob(wire.VerbMap, "sleep "+mark))
			for _, typ := range ahead {
				c.send(1, 0, wire.Empty{T: typ})
			}
			nodetest.Eventually(t, name+": the task runs", func() bool { return len(nodetest.Processes(mark)) > 0 })
			end(c)
			noProcess(t, mark)
			other := p.open(wire.ChannelControl)
			if info := other.over(42); info.State != wire.JobCanceled || info.Why.Code != wire.CodeCanceled {
				t.Errorf("%s with %v ahead: %+v", name, ahead, info)
			}
			p.wantFiles("b", "b/k")
			other.Close()
			c.Close()
		}
	}
}

// An ERROR ends a job on its server, and the connection is free, for what was sent
// ahead as well.
func TestProtocolJobRefused(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	for _, key := range []string{"b/k", "out/k"} {
		d.raw(protoPut(1, key))
		d.want(1, wire.TypeOK)
	}
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMap, "cat"))
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.wantError(1, wire.CodeExists)
	c.wantError(1, wire.CodeBadRequest)
	c.send(3, 0, wire.Empty{T: wire.TypeHealth})
	c.want(3, wire.TypeHealthInfo)
	c.send(4, 0, &wire.Discard{}) // needless, and harmless
	c.want(4, wire.TypeOK)
	// A name ends in no slash, neither of them.
	for _, job := range []*wire.Job{
		{ID: 7, Verb: wire.VerbMap, Indir: "b/", Outdir: "o", Command: "cat"},
		{ID: 7, Verb: wire.VerbMap, Indir: "b", Outdir: "o/", Command: "cat"},
	} {
		c.send(5, 0, job)
		c.wantError(5, wire.CodeBadKey)
	}
	// What makes no sense in a job fails it.
	c.send(6, 0, protoJobTo("out2"))
	c.want(6, wire.TypeReady)
	c.raw([]byte("\x00\x00\x00\x01\x20\x00\x00\x07x"))
	c.wantError(6, wire.CodeBadRequest)
	c.send(8, 0, wire.Empty{T: wire.TypeHealth})
	c.want(8, wire.TypeHealthInfo)
}

func protoJobTo(outdir string) *wire.Job {
	return &wire.Job{ID: 42, Verb: wire.VerbMap, Indir: "b", Outdir: outdir, Command: "cat"}
}

// A job client that falls silent is told so.
func TestProtocolJobSilence(t *testing.T) {
	t.Parallel()
	p := startProto(t, time.Second)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMap, "cat"))
	c.want(1, wire.TypeReady)
	if e := c.wantError(1, wire.CodeTimeout); !strings.Contains(e.Text, "from this client") {
		t.Errorf("got %v", e)
	}
	c.wantEnd()
	p.wantFiles("b", "b/k")
}

// ERROR in place of a TRAILER gives a stream up, whatever its code.
func TestProtocolErrorInPut(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.send(1, 0, &wire.Put{Size: wire.SizeUnknown, Key: "b/k"})
	c.data(1, "hello\n")
	c.send(1, 0, wire.Errorf(wire.CodeNoSpace, "mine"))
	c.wantError(1, wire.CodeCanceled)
	c.raw(protoPut(2, "b/k"))
	c.want(2, wire.TypeOK)
	c.raw([]byte("\x00\x00\x00\x01\x03\x00\x00\x00x"))
	c.wantError(0, wire.CodeBadRequest)
	c.wantEnd()
}
