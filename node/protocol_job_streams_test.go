package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

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
