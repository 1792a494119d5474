package node_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// TestProtocolRefusals sends preambles that no server takes.
func TestProtocolRefusals(t *testing.T) {
	p := startProto(t, 0)
	change := func(f func(*wire.Preamble)) string {
		pre := protoPreamble(wire.ChannelData)
		f(&pre)
		return string(pre.Append(nil))
	}
	good := change(func(*wire.Preamble) {})
	for _, test := range []struct {
		name, sent string
		code       wire.Code
	}{
		{"HTTP", "GET / HTTP/1.1\r\nHost: s4\r\n\r\n", wire.CodeBadRequest},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", wire.CodeBadRequest},
		{"nothing", "", wire.CodeBadRequest},
		{"two bytes", "s4", wire.CodeBadRequest},
		{"cut", good[:31], wire.CodeBadRequest},
		{"version 0", change(func(p *wire.Preamble) { p.Version, p.MinVersion = 0, 0 }), wire.CodeVersion},
		{"version 2", change(func(p *wire.Preamble) { p.Version, p.MinVersion = 2, 2 }), wire.CodeVersion},
		{"versions 2 to 255", change(func(p *wire.Preamble) { p.Version, p.MinVersion = 255, 2 }), wire.CodeVersion},
		{"lowest over highest", change(func(p *wire.Preamble) { p.MinVersion = 2 }), wire.CodeBadRequest},
		{"channel", change(func(p *wire.Preamble) { p.Channel = 'x' }), wire.CodeBadRequest},
		{"auth", change(func(p *wire.Preamble) { p.Auth = 1 }), wire.CodeBadRequest},
		{"reserved byte", good[:31] + "\x01", wire.CodeBadRequest},
		{"fingerprint", change(func(p *wire.Preamble) { p.Fingerprint++ }), wire.CodeWrongCluster},
		{"index", change(func(p *wire.Preamble) { p.Index = 1 }), wire.CodeWrongServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			// What follows a bad preamble must not hide the reason.
			for _, more := range []string{"", strings.Repeat("x", 1<<20)} {
				if more != "" && len(test.sent) < wire.PreambleSize && strings.HasPrefix(good, test.sent) {
					continue // it would not be cut any more
				}
				got := string(p.exchange([]byte(test.sent + more)))
				want := wire.RefusalPrefix + test.code.String() + ": "
				if !strings.HasPrefix(got, want) || strings.Index(got, "\n") != len(got)-1 || len(got) > wire.MaxRefusal {
					t.Errorf("got %q, want one line that begins with %q", got, want)
				}
			}
		})
	}
	p.wantServing()
}

// TestProtocolSilence lets clients fall silent where they must not, and where
// they may.
func TestProtocolSilence(t *testing.T) {
	t.Parallel()
	p := startProto(t, time.Second)
	idle := p.open(wire.ChannelData)
	defer idle.Close()
	pre := string(protoPreamble(wire.ChannelData).Append(nil))
	put := string(protoPut(1, "b/silent"))
	silent := make(map[string]*protoConn)
	for _, sent := range []string{"", "s4", pre[:10], pre + put[:3], pre + put[:12], pre + put[:40]} {
		c := p.dial()
		defer c.Close()
		c.raw([]byte(sent))
		silent[sent] = c
	}
	for sent, c := range silent {
		got, err := io.ReadAll(c) // a reset will do, too
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the connection is still open after %q", sent)
		}
		if len(sent) < wire.PreambleSize && !strings.HasPrefix(string(got), "s4-error timeout: ") {
			t.Errorf("after %q came %q, want a refusal", sent, got)
		}
		// "The peer" would be the server, to who reads it.
		if err == nil && !strings.Contains(string(got), "the server heard nothing from this client for 1s") {
			t.Errorf("after %q came %q", sent, got)
		}
	}
	p.wantFiles()

	if h, body, err := idle.next(); err != nil || h.Type != wire.TypePing || h.Tag != 0 || len(body) > 0 {
		t.Fatalf("want a PING between requests, got %+v, %v", h, err)
	}
	idle.send(0, 0, wire.Empty{T: wire.TypePing}) // is not answered
	idle.raw(protoPut(7, "b/late"))
	idle.want(7, wire.TypeOK)
}

// TestProtocolPings puts PINGs wherever they may stand.
func TestProtocolPings(t *testing.T) {
	p := startProto(t, 0)
	ping := wire.AppendFrame(nil, 0, 0, wire.Empty{T: wire.TypePing})
	b := append(protoPreamble(wire.ChannelData).Append(nil), ping...)
	frames := protoPut(1, "b/k")
	for len(frames) > 0 {
		n := wire.HeaderSize + int(binary.BigEndian.Uint32(frames))
		b = append(append(b, frames[:n]...), ping...)
		frames = frames[n:]
	}
	got := p.exchange(append(b, ping...))
	want := wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeOK})
	if !bytes.Equal(got[wire.PreambleSize:], want) {
		t.Errorf("got %x, want one OK", got)
	}

	// EVAL for a client that has half-closed: the command ends when a PING
	// has come.
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.send(2, 0, &wire.Eval{Key: "b/k", Command: `until [ -e "$S4_FILE.go" ]; do sleep 0.01; done; echo done`})
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if h, _, err := c.next(); err != nil || h.Type != wire.TypePing {
		t.Fatalf("want a PING, got %+v, %v", h, err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "b/k.go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(2, wire.TypeData)
	if m := c.want(2, wire.TypeExit).(*wire.Exit); m.Code != 0 || m.Stdout.Length != 5 {
		t.Errorf("exit %+v", m)
	}
	c.wantEnd()
}

// TestProtocolNoise sends a megabyte of noise, and frames full of noise.
func TestProtocolNoise(t *testing.T) {
	p := startProto(t, 0)
	for seed := range uint64(4) {
		for _, channel := range []wire.Channel{0, wire.ChannelData, wire.ChannelControl} {
			noise := make([]byte, 1<<20)
			_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(noise)
			var front []byte
			if channel != 0 {
				front = protoPreamble(channel).Append(nil)
			}
			got := p.exchange(append(front, noise...))
			if channel == 0 && !bytes.HasPrefix(got, []byte(wire.RefusalPrefix)) {
				t.Errorf("seed %d: no refusal but %q", seed, got)
			}
			p.wantServing()
			if channel != 0 {
				p.exchange(append(front, protoNoise(seed)...))
				p.wantServing()
			}
		}
	}
	p.wantFiles()
}

// protoNoise returns frames of good types and lengths whose bodies are noise.
func protoNoise(seed uint64) (b []byte) {
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		typ := wire.Type(r.IntN(256))
		if wire.New(typ) == nil || seed%2 == 0 && typ != wire.TypeList && typ != wire.TypeStat {
			continue
		}
		h := wire.Header{Len: uint32(r.IntN(100)), Type: typ, Flags: byte(r.IntN(4)), Tag: uint16(r.IntN(1 << 16))}
		b = h.Append(b)
		for range h.Len {
			b = append(b, byte(r.IntN(256)>>(r.IntN(8)))) // small bytes, too
		}
	}
	return b
}

// TestProtocolTooLong promises more than the limits.
func TestProtocolTooLong(t *testing.T) {
	p := startProto(t, 0)
	for typ, channel := range map[wire.Type]wire.Channel{
		wire.TypeGet: wire.ChannelData, wire.TypePut: wire.ChannelData, wire.TypeData: wire.ChannelData,
		wire.TypePing: wire.ChannelData, wire.TypeList: wire.ChannelControl, wire.TypeJob: wire.ChannelControl,
		wire.TypeAsset: wire.ChannelData, wire.TypeSettle: wire.ChannelControl, wire.TypeTasks: wire.ChannelControl,
	} {
		for _, n := range []uint32{wire.MaxData + 1, 1<<32 - 1} {
			c := p.open(channel)
			c.raw(wire.Header{Len: n, Type: typ, Tag: 5}.Append(nil))
			c.wantError(5, wire.CodeTooLarge)
			c.wantEnd()
			c.Close()
		}
	}
	inside := func(frame []byte) {
		t.Helper()
		c := p.open(wire.ChannelData)
		defer c.Close()
		c.send(6, 0, &wire.Put{Size: wire.SizeUnknown, Key: "b/long"})
		c.raw(frame)
		c.wantEnd()
	}
	inside(wire.Header{Len: wire.MaxData + 1, Type: wire.TypeData, Tag: 6}.Append(nil))
	inside(wire.Header{Len: wire.MaxPacked + 1, Type: wire.TypeData, Flags: wire.FlagLZ4, Tag: 6}.Append(nil))
	inside(wire.Header{Len: wire.MaxMessage + 1, Type: wire.TypeTrailer, Tag: 6}.Append(nil))

	// A size that no disk holds.
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.send(7, 0, &wire.Put{Size: wire.SizeUnknown - 1, Key: "b/huge"})
	c.wantError(7, wire.CodeTooLarge)
	c.send(7, 0, wire.Empty{T: wire.TypeAbort})
	c.raw(protoPut(8, "b/ok"))
	c.want(8, wire.TypeOK)
	p.wantFiles("b", "b/ok")
	p.wantServing()
}

// TestProtocolStray sends frames where they do not belong.
func TestProtocolStray(t *testing.T) {
	p := startProto(t, 0)
	ok := wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeOK})
	list := wire.AppendFrame(nil, 1, 0, &wire.List{})
	get := wire.AppendFrame(nil, 1, 0, &wire.Get{Key: "b/k"})
	undecodable := wire.Header{Len: 3, Type: wire.TypeGet, Tag: 1}.Append(nil)
	undecodable = append(undecodable, 1, 2, 3)

	for name, frame := range map[string][]byte{"OK": ok, "LIST": list, "undecodable": undecodable} {
		t.Run("data "+name, func(t *testing.T) {
			c := p.open(wire.ChannelData)
			defer c.Close()
			c.raw(frame)
			c.wantError(1, wire.CodeBadRequest)
			c.wantEnd()
		})
	}
	for name, frame := range map[string][]byte{"OK": ok, "GET": get, "undecodable": undecodable} {
		t.Run("control "+name, func(t *testing.T) {
			c := p.open(wire.ChannelControl)
			defer c.Close()
			c.raw(frame)
			c.wantError(1, wire.CodeBadRequest)
			c.send(2, 0, wire.Empty{T: wire.TypeHealth})
			c.want(2, wire.TypeHealthInfo)
		})
	}
	for _, channel := range []wire.Channel{wire.ChannelData, wire.ChannelControl} {
		t.Run("DATA outside a stream, "+channel.String(), func(t *testing.T) {
			c := p.open(channel)
			defer c.Close()
			c.data(1, "hello\n")
			c.wantEnd()
		})
	}
	for name, frame := range map[string][]byte{"GET": get, "OK": ok, "unknown": {0, 0, 0, 0, 0xee, 0, 0, 1},
		"STDERR": wire.Header{Type: wire.TypeStderr}.Append(nil)} {
		t.Run(name+" inside a stream", func(t *testing.T) {
			c := p.open(wire.ChannelData)
			defer c.Close()
			c.send(3, 0, &wire.Put{Size: 6, Key: "b/stray"})
			c.data(3, "hello\n")
			c.raw(frame)
			c.wantEnd()
		})
	}
	p.wantFiles()
	p.wantServing()
}

// TestProtocolPutRefused sends streams that are not what they say.
func TestProtocolPutRefused(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	put := func(size uint64, data []byte, end wire.Message) {
		c.t.Helper()
		c.send(1, 0, &wire.Put{Size: size, Key: "b/bad"})
		c.raw(data)
		c.send(1, 0, end)
	}
	hello := protoData(1, 0, "hello\n")
	good := &wire.Trailer{Length: 6, Sum: protoSum}
	for _, size := range []uint64{0, 5, 7, 1 << 20} {
		put(size, hello, good)
		c.wantError(1, wire.CodeBadRequest)
	}
	put(6, hello, &wire.Trailer{Length: 5, Sum: protoSum})
	c.wantError(1, wire.CodeChecksum)
	put(6, hello, &wire.Trailer{Length: 6, Sum: protoSum + 1})
	c.wantError(1, wire.CodeChecksum)
	put(wire.SizeUnknown, hello, &wire.Trailer{})
	c.wantError(1, wire.CodeChecksum)
	for _, packed := range []string{"", "\x00", "\x00\x00\x00\x06", "\x00\x00\x00\x06\x50hello", "\x00\x00\x00\x05\x60hello\n",
		"\x00\x00\x00\x06\xff\xff\xff", "\x00\x00\x00\x06\x00\x00\x00", "\xff\xff\xff\xff\x60hello\n"} {
		put(6, protoData(1, wire.FlagLZ4, packed), good)
		if e := c.want(1, wire.TypeError).(*wire.Error); e.Code != wire.CodeChecksum && e.Code != wire.CodeBadRequest && e.Code != wire.CodeTooLarge {
			t.Errorf("packed as %q: %v", packed, e)
		}
	}
	put(6, hello, wire.Empty{T: wire.TypeAbort})
	c.wantError(1, wire.CodeCanceled)
	put(6, nil, wire.Empty{T: wire.TypeAbort})
	c.wantError(1, wire.CodeCanceled)
	put(6, hello, wire.Errorf(wire.CodeStorage, "cannot read"))
	c.want(1, wire.TypeError)
	c.send(2, 0, &wire.Get{Key: "b/bad"})
	c.wantError(2, wire.CodeNotFound)
	p.wantFiles()

	// After all this the connection is as good as new.
	put(wire.SizeUnknown, append(protoData(9, 0, ""), protoData(0, wire.FlagLZ4, "\x00\x00\x00\x06\x60hello\n")...), good)
	c.want(1, wire.TypeOK)
	c.send(3, wire.FlagLZ4, &wire.Get{Key: "b/bad"})
	c.wantHello(3)
	p.wantFiles("b", "b/bad")
}

// TestProtocolPutCut cuts a PUT at every byte.
func TestProtocolPutCut(t *testing.T) {
	p := startProto(t, 0)
	pre := protoPreamble(wire.ChannelData).Append(nil)
	put := protoPut(1, "b/cut")
	for n := range put {
		got := p.exchange(append(slices.Clone(pre), put[:n]...))
		if len(got) != wire.PreambleSize {
			t.Errorf("%d of %d bytes are answered with %q", n, len(put), got[wire.PreambleSize:])
		}
		if names := p.files(); len(names) > 0 {
			t.Fatalf("%d of %d bytes leave %q", n, len(put), names)
		}
	}
	if got := p.exchange(append(pre, put...)); wire.Type(got[wire.PreambleSize+4]) != wire.TypeOK {
		t.Errorf("the whole is answered with %q", got)
	}
	p.wantFiles("b", "b/cut")
}

// TestProtocolEarlyError reads the answer to a PUT in the middle of it.
func TestProtocolEarlyError(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.raw(protoPut(1, "b/k"))
	c.want(1, wire.TypeOK)
	for _, key := range []string{"b/k", "b//bad", "b/k/below", "b"} {
		for _, end := range []wire.Message{wire.Empty{T: wire.TypeAbort}, &wire.Trailer{Length: 6, Sum: protoSum}} {
			c.send(2, 0, &wire.Put{Size: wire.SizeUnknown, Key: key})
			frame := protoData(2, 0, "hello\n")
			c.raw(frame[:10])
			c.want(2, wire.TypeError)
			c.raw(frame[10:])
			c.send(2, 0, end)
			c.send(3, 0, &wire.Get{Key: "b/k"})
			c.wantHello(3) // so that was the only answer
		}
	}
	p.wantFiles("b", "b/k")
}

// TestProtocolEvalCommand gives EVAL what no shell can run.
func TestProtocolEvalCommand(t *testing.T) {
	p := startProto(t, 0)
	c := p.open(wire.ChannelData)
	defer c.Close()
	c.raw(protoPut(1, "b/k"))
	c.want(1, wire.TypeOK)
	for _, cmd := range []string{"a\x00b", ""} {
		c.send(2, 0, &wire.Eval{Key: "b/k", Command: cmd})
		c.wantError(2, wire.CodeBadRequest)
	}
}
