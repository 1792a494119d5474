package node_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4/wire"
)

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
