package node_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"s4/wire"
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
		{"cut", good[:19], wire.CodeBadRequest},
		{"version 0", change(func(p *wire.Preamble) { p.Version = 0 }), wire.CodeVersion},
		{"version 2", change(func(p *wire.Preamble) { p.Version = 2 }), wire.CodeVersion},
		{"version 255", change(func(p *wire.Preamble) { p.Version = 255 }), wire.CodeVersion},
		{"channel", change(func(p *wire.Preamble) { p.Channel = 'x' }), wire.CodeBadRequest},
		{"auth", change(func(p *wire.Preamble) { p.Auth = 1 }), wire.CodeBadRequest},
		{"reserved byte", good[:7] + "\x01" + good[8:], wire.CodeBadRequest},
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
	unknown := []byte{0, 0, 0, 0, 0xee, 0, 0, 1}

	for name, frame := range map[string][]byte{"OK": ok, "LIST": list, "undecodable": undecodable, "unknown": unknown} {
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
	t.Run("control unknown", func(t *testing.T) {
		c := p.open(wire.ChannelControl)
		defer c.Close()
		c.raw(unknown)
		c.wantError(1, wire.CodeBadRequest)
		c.wantEnd()
	})
	for _, channel := range []wire.Channel{wire.ChannelData, wire.ChannelControl} {
		t.Run("DATA outside a stream, "+channel.String(), func(t *testing.T) {
			c := p.open(channel)
			defer c.Close()
			c.data(1, "hello\n")
			c.wantEnd()
		})
	}
	for name, frame := range map[string][]byte{"GET": get, "OK": ok, "unknown": unknown,
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

func protoJob(verb wire.Verb, command string) *wire.Job {
	return &wire.Job{ID: 42, Verb: verb, Indir: "b", Outdir: "out", Command: command}
}

// TestProtocolJobErrors ends jobs in every way but COMMIT.
func TestProtocolJobErrors(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	c := p.open(wire.ChannelControl)
	defer c.Close()
	ask := func(typ wire.Type) { c.t.Helper(); c.send(1, 0, wire.Empty{T: typ}) }
	begin := func(command string) {
		c.t.Helper()
		c.send(1, 0, protoJob(wire.VerbMap, command))
		c.want(1, wire.TypeReady)
	}
	discard := func() {
		c.t.Helper()
		c.send(1, 0, &wire.Discard{Reason: "no more of it"})
		c.want(1, wire.TypeOK)
		c.send(2, 0, wire.Empty{T: wire.TypeHealth}) // the connection is free
		c.want(2, wire.TypeHealthInfo)
		p.wantFiles("b", "b/k")
	}
	discard() // of no job

	begin("echo no >&2; exit 7")
	ask(wire.TypeStart)
	if m := c.want(1, wire.TypeTasks).(*wire.Tasks); len(m.List) != 1 || m.List[0].State != wire.TaskFailed || m.List[0].Exit != 7 {
		t.Errorf("got %+v", m)
	}
	if e := c.wantError(1, wire.CodeTaskFailed); e.Exit != 7 || e.Stderr != "no\n" || e.Key != "b/k" {
		t.Errorf("got %+v", e)
	}
	discard()

	begin("sleep 1000")
	ask(wire.TypeStart)
	discard() // while DONE is due

	begin("cat")
	discard()

	begin("cat")
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	discard()

	begin("cat")
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	discard()

	begin("cat")
	ask(wire.TypeCommit) // out of turn
	c.wantError(1, wire.CodeBadRequest)
	discard()

	for _, bad := range []*wire.Job{protoJob(9, "cat"), protoJob(wire.VerbMap, ""), protoJob(wire.VerbMap, "a\x00b"),
		{ID: 42, Verb: wire.VerbMap, Indir: "../x", Outdir: "out", Command: "cat"},
		{ID: 42, Verb: wire.VerbMap, Indir: "b", Outdir: "b/../../x", Command: "cat"}} {
		c.send(1, 0, bad)
		c.want(1, wire.TypeError)
		discard()
	}

	// Losing the connection, and a frame that makes no sense, when prepared:
	// with no other server to ask, nobody has heard COMMIT.
	for _, last := range [][]byte{nil, {0, 0, 0, 0, 0xee, 0, 0, 1}} {
		lost := p.open(wire.ChannelControl)
		lost.send(1, 0, protoJob(wire.VerbMap, "cat"))
		lost.want(1, wire.TypeReady)
		lost.send(1, 0, wire.Empty{T: wire.TypeStart})
		lost.want(1, wire.TypeDone)
		lost.send(1, 0, wire.Empty{T: wire.TypePrepare})
		lost.want(1, wire.TypePrepared)
		lost.raw(last)
		if last != nil {
			lost.wantEnd()
		}
		lost.Close()
		p.wantFiles("b", "b/k")
	}
}

// TestProtocolAsset sends files along with a job.
func TestProtocolAsset(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	asset := func(name, text string, exec byte) {
		d.t.Helper()
		d.send(1, 0, &wire.Asset{Size: uint64(len(text)), Job: 42, Exec: exec, Name: name})
		d.data(1, text)
		d.send(1, 0, &wire.Trailer{Length: uint64(len(text)), Sum: xxhash.Sum64String(text)})
	}
	const tool = "#!/bin/sh\ntr a-z A-Z\n"
	asset("tool", tool, 1)
	d.wantError(1, wire.CodeNoJob)

	c := p.open(wire.ChannelControl)
	defer c.Close()
	ask := func(typ wire.Type) { c.t.Helper(); c.send(1, 0, wire.Empty{T: typ}) }
	c.send(1, 0, protoJob(wire.VerbMap, `tool; cat "$S4_ASSETS/words"`))
	c.want(1, wire.TypeReady)
	for range 2 {
		asset("tool", tool, 1)
		d.want(1, wire.TypeOK)
	}
	asset("tool", "another", 0)
	d.wantError(1, wire.CodeExists)
	for _, bad := range []string{"", ".", "..", "a/b", "/a", "a b", "a\n", strings.Repeat("x", 254) + "/"} {
		asset(bad, "x", 0)
		d.wantError(1, wire.CodeBadKey)
	}
	asset("words", "and more", 0)
	d.want(1, wire.TypeOK)
	d.send(1, 0, &wire.Asset{Size: 6, Job: 42, Name: "cut"})
	d.data(1, "hello\n")
	d.send(1, 0, &wire.Trailer{Length: 6, Sum: protoSum + 1})
	d.wantError(1, wire.CodeChecksum)
	d.send(1, 0, &wire.Asset{Size: 6, Job: 42, Name: "cut"})
	d.send(1, 0, wire.Empty{T: wire.TypeAbort})
	d.wantError(1, wire.CodeCanceled)

	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	asset("late", "x", 0)
	d.wantError(1, wire.CodeBadRequest)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	asset("late", "x", 0)
	d.wantError(1, wire.CodeNoJob)
	ask(wire.TypeCommit)
	c.want(1, wire.TypeCommitted)
	p.wantFiles("b", "b/k", "out", "out/k")
	if got, err := os.ReadFile(filepath.Join(p.dir, "out/k")); err != nil || string(got) != "HELLO\nand more" {
		t.Errorf("got %q, %v", got, err)
	}
}

// jobInfo asks for one job.
func (c *protoConn) jobInfo(id uint64) *wire.JobInfo {
	c.t.Helper()
	c.send(3, 0, &wire.Jobs{Job: id})
	info := c.want(3, wire.TypeJobInfo).(*wire.JobInfo)
	if end := c.want(3, wire.TypeEnd).(*wire.End); end.Count != 1 {
		c.t.Errorf("END of %d jobs", end.Count)
	}
	return info
}

// over waits until a job is over.
func (c *protoConn) over(id uint64) *wire.JobInfo {
	c.t.Helper()
	for end := time.Now().Add(protoHang); ; time.Sleep(10 * time.Millisecond) {
		if info := c.jobInfo(id); info.Ended != 0 {
			return info
		}
		if time.Now().After(end) {
			c.t.Fatalf("job %d does not end", id)
		}
	}
}

// TestProtocolJobs looks at jobs, and stops them, from another connection.
func TestProtocolJobs(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	for _, key := range []string{"b/bad", "b/good", "b/odd"} {
		d.raw(protoPut(1, key))
		d.want(1, wire.TypeOK)
	}
	c, other := p.open(wire.ChannelControl), p.open(wire.ChannelControl)
	defer c.Close()
	defer other.Close()
	ask := func(typ wire.Type) { c.t.Helper(); c.send(1, 0, wire.Empty{T: typ}) }
	submit := func(id uint64, command string, options wire.JobOption) *wire.Job {
		c.t.Helper()
		job := protoJob(wire.VerbMap, command)
		job.ID, job.Options, job.Retries, job.OKExit = id, options, 1, "\x05"
		c.send(1, 0, job)
		if m := c.want(1, wire.TypeReady).(*wire.Ready); *m != (wire.Ready{Tasks: 3, Bytes: 18, Keys: 3}) {
			t.Errorf("got %+v", m)
		}
		return job
	}
	run := func() { // until PROGRESS says so
		c.t.Helper()
		ask(wire.TypeStart)
		for c.want(1, wire.TypeProgress).(*wire.Progress).Running == 0 {
		}
	}
	settle := func(id uint64) wire.Verdict {
		other.t.Helper()
		other.send(2, 0, &wire.Settle{Job: id})
		return other.want(2, wire.TypeSettled).(*wire.Settled).Verdict
	}
	jobs := func(id uint64, want ...uint64) {
		other.t.Helper()
		other.send(2, 0, &wire.Jobs{Job: id})
		for _, id := range want {
			if m := other.want(2, wire.TypeJobInfo).(*wire.JobInfo); m.Job.ID != id {
				t.Errorf("job %d, want %d", m.Job.ID, id)
			}
		}
		if m := other.want(2, wire.TypeEnd).(*wire.End); m.Count != uint64(len(want)) {
			t.Errorf("END of %d jobs, want %d", m.Count, len(want))
		}
	}
	cancel := func(id uint64) { other.t.Helper(); other.send(2, 0, &wire.Cancel{Job: id}) }
	canceled := func() {
		c.t.Helper()
		c.wantError(1, wire.CodeCanceled)
		c.send(1, 0, &wire.Discard{Reason: "all of it"})
		c.want(1, wire.TypeOK)
		p.wantFiles("b", "b/bad", "b/good", "b/odd")
	}

	jobs(0)
	for _, m := range []wire.Message{&wire.Jobs{Job: 1}, &wire.JobTasks{Job: 1}, &wire.Cancel{Job: 1}} {
		other.send(2, 0, m)
		other.wantError(2, wire.CodeNoJob)
	}
	if v := settle(1); v != wire.VerdictDiscarded {
		t.Errorf("verdict %d on a job that nobody knows", v)
	}

	// It is remembered, also if it was stopped before START.
	submit(1, "cat", 0)
	jobs(0)
	jobs(1, 1)
	other.send(2, 0, &wire.JobTasks{Job: 1})
	if m := other.want(2, wire.TypeEnd).(*wire.End); m.Count != 0 {
		t.Errorf("%d tasks before START", m.Count)
	}
	cancel(1)
	other.want(2, wire.TypeOK)
	canceled()
	cancel(1)
	other.wantError(2, wire.CodeNoJob)
	if info := other.over(1); info.State != wire.JobCanceled || info.Error == "" {
		t.Errorf("got %+v", info)
	}
	jobs(0, 1)

	submit(2, "sleep 1000", 0)
	run()
	jobs(0, 2, 1)
	if info := other.jobInfo(2); info.State != wire.JobRunning || info.Started == 0 || info.Ended != 0 {
		t.Errorf("got %+v", info)
	}
	other.send(2, 0, &wire.JobTasks{Job: 2})
	m := other.want(2, wire.TypeTasks).(*wire.Tasks)
	for i := range m.List {
		if r := &m.List[i]; *r != (wire.Task{State: wire.TaskRunning, Attempt: 1, Start: r.Start, Key: r.Key}) {
			t.Errorf("got %+v", r)
		}
	}
	if end := other.want(2, wire.TypeEnd).(*wire.End); end.Count == 0 || end.Count != uint64(len(m.List)) {
		t.Errorf("END of %d tasks, want %d", end.Count, len(m.List))
	}
	cancel(2)
	other.want(2, wire.TypeOK)
	canceled()
	if info := other.over(2); info.State != wire.JobCanceled || info.Error == "" {
		t.Errorf("got %+v", info)
	}
	cancel(2)
	other.wantError(2, wire.CodeNoJob)

	// SETTLE stops it, too.
	submit(3, "sleep 1000", 0)
	run()
	if v := settle(3); v != wire.VerdictDiscarded {
		t.Errorf("verdict %d on a job that is not prepared", v)
	}
	canceled()

	// A reason is kept.
	submit(4, "cat", 0)
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	c.send(1, 0, &wire.Discard{Reason: "no more of it"})
	c.want(1, wire.TypeOK)
	if info := other.over(4); info.State != wire.JobCanceled || info.Error != "no more of it" {
		t.Errorf("got %+v", info)
	}

	// One task fails twice, one with a good code; the job goes on.
	job := submit(5, `case $filename in bad) echo no >&2; exit 7;; odd) echo; exit 5;; esac; echo yes >&2; cat`, wire.JobKeepGoing|wire.JobReport)
	ask(wire.TypeStart)
	want := map[string]string{"b/bad": "3/7/1/no 2/7/2/no ", "b/good": "1/0/1/ ", "b/odd": "1/5/1/ "}
	runs := func(c *protoConn, tag uint16, last wire.Type, want map[string]string) (total int) {
		c.t.Helper()
		got := make(map[string]string)
		for {
			h, body, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			switch h.Type {
			case wire.TypePing, wire.TypeProgress:
				continue
			case last:
				if !maps.Equal(got, want) {
					t.Errorf("runs %q, want %q", got, want)
				}
				m, _ := wire.Decode(h.Type, body)
				if end, ok := m.(*wire.End); ok && end.Count != uint64(total) {
					t.Errorf("END of %d tasks, want %d", end.Count, total)
				}
				return total
			}
			m, err := wire.Decode(h.Type, body)
			tasks, ok := m.(*wire.Tasks)
			if err != nil || !ok || h.Tag != tag {
				t.Fatalf("want TASKS with tag %d, got %+v, %+v, %v", tag, h, m, err)
			}
			for _, r := range tasks.List {
				total++
				got[r.Key] += fmt.Sprintf("%d/%d/%d/%s ", r.State, r.Exit, r.Attempt, strings.TrimSpace(r.Stderr))
			}
		}
	}
	runs(c, 1, wire.TypeDone, want)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	if v := settle(5); v != wire.VerdictPrepared {
		t.Errorf("verdict %d on a prepared job", v)
	}
	cancel(5)
	other.wantError(2, wire.CodeCanceled)
	d.raw(protoPut(1, "out/good"))
	d.wantError(1, wire.CodeExists)
	if info := other.jobInfo(5); info.State != wire.JobPrepared || info.Ended != 0 || info.Keys != 2 {
		t.Errorf("got %+v", info)
	}
	ask(wire.TypeCommit)
	if m := c.want(1, wire.TypeCommitted).(*wire.Committed); m.Keys != 2 || m.Bytes != 7 {
		t.Errorf("got %+v", m)
	}
	if v := settle(5); v != wire.VerdictCommitted {
		t.Errorf("verdict %d on a job that was published", v)
	}
	info := other.over(5)
	if info.State != wire.JobCommitted || info.Error != "" || info.Ended < info.Started || info.Keys != 2 || info.Bytes != 7 ||
		info.Job != *job || info.Progress != (wire.Progress{Tasks: 2, Failed: 1, BytesIn: 18, BytesOut: 7}) {
		t.Errorf("got %+v", info)
	}
	want["b/good"] = "1/0/1/yes " // the log has more than the report
	other.send(2, 0, &wire.JobTasks{Job: 5})
	if n := runs(other, 2, wire.TypeEnd, want); n != 4 {
		t.Errorf("%d runs", n)
	}
	jobs(0, 5, 4, 3, 2, 1)
	c.send(1, 0, job)
	c.wantError(1, wire.CodeExists)
	c.send(1, 0, &wire.Discard{})
	c.want(1, wire.TypeOK)

	// What is there is skipped, and what is not known is refused.
	job.ID, job.Options = 6, wire.JobResume
	c.send(1, 0, job)
	if m := c.want(1, wire.TypeReady).(*wire.Ready); *m != (wire.Ready{Tasks: 1, Bytes: 6, Keys: 1, Skipped: 2}) {
		t.Errorf("got %+v", m)
	}
	c.send(1, 0, &wire.Discard{})
	c.want(1, wire.TypeOK)
	job.Options = 1 << 31
	c.send(1, 0, job)
	c.wantError(1, wire.CodeBadRequest)
}

// TestProtocolPromise stops a server that is prepared. It keeps its promise,
// until it has learned, from nobody in a cluster of one, what became of the job.
func TestProtocolPromise(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMap, "cat"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeDone)
	c.send(1, 0, wire.Empty{T: wire.TypePrepare})
	c.want(1, wire.TypePrepared)
	p.stop()
	c.wantEnd()
	dir := filepath.Join(p.dir, "_s4/jobs/000000000000002a")
	for _, name := range []string{"prepared", "info", "log", "stage/out/k"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	p = startProtoIn(t, p.dir, 0)
	p.wantFiles("b", "b/k")
	c = p.open(wire.ChannelControl)
	defer c.Close()
	if info := c.over(42); info.State != wire.JobCanceled || info.Progress.Tasks != 1 || info.Job.Command != "cat" {
		t.Errorf("got %+v", info)
	}
	p.stop()

	// The decision is one rename.
	p = startProtoIn(t, p.dir, 0)
	c = p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMap, "cat"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeDone)
	c.send(1, 0, wire.Empty{T: wire.TypePrepare})
	c.want(1, wire.TypePrepared)
	p.stop()
	if err := os.Rename(filepath.Join(dir, "prepared"), filepath.Join(dir, "commit")); err != nil {
		t.Fatal(err)
	}
	p = startProtoIn(t, p.dir, 0)
	p.wantFiles("b", "b/k", "out", "out/k")
	c = p.open(wire.ChannelControl)
	defer c.Close()
	if info := c.over(42); info.State != wire.JobCommitted || info.Keys != 1 {
		t.Errorf("got %+v", info)
	}
	c.send(2, 0, &wire.Settle{Job: 42})
	if m := c.want(2, wire.TypeSettled).(*wire.Settled); m.Verdict != wire.VerdictCommitted {
		t.Errorf("got %+v", m)
	}
}

// TestProtocolPush is a peer of the server in a job.
func TestProtocolPush(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	push := func(key string) {
		d.t.Helper()
		d.send(1, 0, &wire.Push{Size: 6, Job: 42, Key: key})
		d.data(1, "hello\n")
		d.send(1, 0, &wire.Trailer{Length: 6, Sum: protoSum})
	}
	push("out/k")
	d.wantError(1, wire.CodeNoJob)

	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMapToN, "cat"))
	if m := c.want(1, wire.TypeReady).(*wire.Ready); m.Tasks != 0 {
		t.Errorf("%d tasks", m.Tasks)
	}
	push("out/k")
	d.want(1, wire.TypeOK)
	push("elsewhere/k")
	d.wantError(1, wire.CodeBadKey)
	push("out/../k")
	d.wantError(1, wire.CodeBadKey)
	d.send(1, 0, &wire.Get{Key: "out/k"})
	d.wantError(1, wire.CodeNotFound) // it is staged

	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeDone)
	c.send(1, 0, wire.Empty{T: wire.TypePrepare})
	c.want(1, wire.TypePrepared)
	push("out/late")
	d.wantError(1, wire.CodeNoJob)
	c.send(1, 0, wire.Empty{T: wire.TypeCommit})
	if m := c.want(1, wire.TypeCommitted).(*wire.Committed); m.Keys != 1 || m.Bytes != 6 {
		t.Errorf("committed %+v", m)
	}
	d.send(1, 0, &wire.Get{Key: "out/k"})
	d.wantHello(1)
	p.wantFiles("out", "out/k")
}

// TestProtocolHalfCommit stops a COMMIT half way: what has begun is kept, stays
// reserved, and is finished by the next start.
func TestProtocolHalfCommit(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	for _, k := range []string{"b/k1", "b/k2", "b/k3", "out/old"} {
		d.raw(protoPut(1, k))
		d.want(1, wire.TypeOK)
	}
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, protoJob(wire.VerbMap, "cat"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeDone)
	c.send(1, 0, wire.Empty{T: wire.TypePrepare})
	c.want(1, wire.TypePrepared)
	// Only someone who writes into the data directory can get in the way now.
	obstacle := filepath.Join(p.dir, "out/k2")
	if err := os.Mkdir(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(obstacle, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.send(1, 0, wire.Empty{T: wire.TypeCommit})
	h, _, err := c.next()
	if err != nil || h.Type != wire.TypeError {
		t.Fatalf("COMMIT: %v, %v", h, err)
	}
	d.raw(protoPut(2, "out/k3"))
	d.wantError(2, wire.CodeExists)
	other := p.open(wire.ChannelControl)
	defer other.Close()
	if info := other.jobInfo(42); info.Ended != 0 {
		t.Errorf("the job is over: %+v", info)
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	p.stop()
	p = startProtoIn(t, p.dir, 0)
	p.wantFiles("b", "b/k1", "b/k2", "b/k3", "out", "out/k1", "out/k2", "out/k3", "out/old")
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
