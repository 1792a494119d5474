package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

// TestProtocolAttachStop stops the server while a task runs.
func TestProtocolAttachStop(t *testing.T) {
	for _, options := range []wire.JobOption{0, wire.JobKeep} {
		a := newAttachTest(t, time.Hour, options)
		c := a.submit(42)
		a.stop()
		c.wantError(1, wire.CodeShuttingDown)
		a.restart()
		a.state(wire.JobWaiting, 1, false)
		c = a.attach(2, 7, false, wire.PhaseHalted)
		a.openGate()
		c.bring(wire.TypeStart, wire.TypeDone)
		c.bring(wire.TypePrepare, wire.TypePrepared)
		c.bring(wire.TypeCommit, wire.TypeCommitted)
		a.wantFiles("b", "b/k", "out", "out/k")
	}
}

// TestProtocolResumedRestart restarts the server after a suspended job was taken up
// again: it is not suspended any more, and what ATTACH has said counts.
func TestProtocolResumedRestart(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	c := a.submit(42)
	c.send(1, 0, &wire.Suspend{})
	c.want(1, wire.TypeOK)
	a.openGate()
	a.job.Wait = uint64(2 * time.Hour)
	c = a.attach(generation, 8, true, wire.PhaseHalted)
	c.bring(wire.TypeStart, wire.TypeDone)
	a.restart()
	if info := a.state(wire.JobWaiting, generation, false); info.Job.Wait != a.job.Wait || info.Why.Code != 0 {
		t.Errorf("got %+v", info)
	}
	a.attach(generation+1, 8, false, wire.PhaseHalted).Close()
}

// TestProtocolResumeFile sends another file of the same name along with a suspended job
// that is taken up again.
func TestProtocolResumeFile(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	a.job.Command = `cat "$S4_ASSETS/words"; ` + a.job.Command
	d := a.open(wire.ChannelData)
	defer d.Close()
	asset := func(text string) {
		t.Helper()
		d.send(1, 0, &wire.Asset{Size: uint64(len(text)), Job: 42, Name: "words"})
		d.data(1, text)
		d.send(1, 0, &wire.Trailer{Length: uint64(len(text)), Sum: xxhash.Sum64String(text)})
		d.want(1, wire.TypeOK)
	}
	c := a.open(wire.ChannelControl)
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	asset("old")
	c.start()
	c.send(1, 0, &wire.Suspend{})
	c.want(1, wire.TypeOK)
	c = a.attach(generation, 8, true, wire.PhaseHalted)
	asset("new")
	a.openGate()
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	if got, err := os.ReadFile(a.dir + "/out/k"); err != nil || string(got) != "newhello\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestProtocolOrphanedRestart restarts a server that has told a peer that it is
// orphaned. The peer may have decided by that: it must remain orphaned, and not let a
// client attach that could commit.
func TestProtocolOrphanedRestart(t *testing.T) {
	cluster, err := s4.ParseCluster(strings.NewReader("127.0.0.1:4000\n127.0.0.1:1\n"), "") // nobody listens at port 1
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := func() (open func() *protoConn, stop func()) {
		n, err := node.New(node.Config{Cluster: cluster, Dir: dir, Version: protoRelease})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- n.Serve(ln) }()
		stop = sync.OnceFunc(func() {
			ctx, cancel := context.WithTimeout(context.Background(), protoHang)
			defer cancel()
			n.Shutdown(ctx)
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		p := &protoServer{t: t, addr: ln.Addr().String(), dir: dir, stop: stop}
		pre := protoPreamble(wire.ChannelControl)
		pre.Fingerprint = cluster.Fingerprint()
		return func() *protoConn {
			c := p.dial()
			c.raw(pre.Append(nil))
			if _, err := io.ReadFull(c, make([]byte, wire.PreambleSize)); err != nil {
				t.Fatal(err)
			}
			return c
		}, stop
	}
	verdict := func(c *protoConn) wire.Verdict {
		c.send(2, 0, &wire.Settle{Job: 42})
		return c.want(2, wire.TypeSettled).(*wire.Settled).Verdict
	}

	open, stop := start()
	c := open()
	job := protoJob(wire.VerbMap, "cat")
	job.Wait, job.Driver = uint64(time.Second), 7
	c.send(1, 0, job)
	c.want(1, wire.TypeReady)
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.Close()
	c = open()
	for end := time.Now().Add(protoHang); verdict(c) != wire.VerdictOrphaned; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the job does not become orphaned")
		}
	}
	stop()

	open, _ = start()
	c = open()
	defer c.Close()
	if v := verdict(c); v != wire.VerdictOrphaned {
		t.Errorf("after a restart the verdict is %s", v)
	}
	c.send(1, 0, &wire.Attach{Job: 42, Term: 2, Driver: 7, Wait: job.Wait})
	c.wantError(1, wire.CodeUnavailable)
}

// TestProtocolResumedSeen loses the client of a job that was suspended and taken up
// again. The runs that the client has seen since do not come again.
func TestProtocolResumedSeen(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep|wire.JobReport)
	a.job.Command = "[ -e " + a.gate + " ] && cat"
	c := a.open(wire.ChannelControl)
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeTasks) // it fails
	c.wantError(1, wire.CodeTaskFailed)
	if info := a.ask.over(42); info.State != wire.JobSuspended {
		t.Errorf("got %+v", info)
	}
	a.openGate()
	c = a.attach(generation, 8, true, wire.PhaseHalted)
	c.bring(wire.TypeStart, wire.TypeTasks) // it is done
	c.want(1, wire.TypeDone)
	a.seen++
	c = a.attach(generation+1, 8, false, wire.PhaseDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
}

// TestProtocolHalfRemoved kills a server that was removing a suspended job: what is left
// of it is no job that could be taken up.
func TestProtocolHalfRemoved(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	c := a.submit(42)
	c.send(1, 0, &wire.Suspend{})
	c.want(1, wire.TypeOK)
	a.stop()
	if err := os.RemoveAll(a.dir + "/_s4/jobs/000000000000002a/stage"); err != nil {
		t.Fatal(err)
	}
	a.restart()
	a.refused(2, 8, true, wire.CodeNoJob)
	a.wantFiles("b", "b/k")
}

// TestProtocolAttachPrepare attaches to jobs that are about to be prepared. Whichever
// comes first, ATTACH is granted, and the higher term is the one on the disk.
func TestProtocolAttachPrepare(t *testing.T) {
	t.Parallel()
	a := newAttachTest(t, time.Hour, 0)
	a.openGate()
	for id := range uint64(100) {
		a.job.ID, a.job.Outdir = 100+id, fmt.Sprintf("out%d", id)
		c := a.open(wire.ChannelControl)
		c.send(1, 0, a.job)
		c.want(1, wire.TypeReady)
		c.bring(wire.TypeStart, wire.TypeDone)
		c.send(1, 0, wire.Empty{T: wire.TypePrepare})
		next := a.try(2, 7, false)
		if m := next.want(1, wire.TypeAttached).(*wire.Attached); m.Phase == wire.PhaseDone {
			next.bring(wire.TypePrepare, wire.TypePrepared)
		}
		frame, err := os.ReadFile(fmt.Sprintf("%s/_s4/jobs/%016x/info", a.dir, a.job.ID))
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Decode(wire.TypeJobInfo, frame[wire.HeaderSize:len(frame)-wire.CheckSize])
		if err != nil {
			t.Fatal(err)
		}
		if info := m.(*wire.JobInfo); info.Term != 2 {
			t.Errorf("on the disk: term %d", info.Term)
		}
		c.Close()
		next.Close()
	}
}

// TestProtocolCancelTwice discards jobs that are just being suspended.
func TestProtocolCancelTwice(t *testing.T) {
	t.Parallel()
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	a.openGate()
	for id := range uint64(100) {
		a.job.ID = 100 + id
		c := a.open(wire.ChannelControl)
		c.send(1, 0, a.job)
		c.want(1, wire.TypeReady)
		c.bring(wire.TypeStart, wire.TypeDone)
		b := wire.AppendFrame(nil, 2, 0, &wire.Cancel{Job: a.job.ID})
		b = wire.AppendFrame(b, 2, 0, &wire.Cancel{Job: a.job.ID, Discard: true})
		a.ask.raw(b)
		a.ask.want(2, wire.TypeOK)
		a.ask.want(2, wire.TypeOK)
		if info := a.ask.over(a.job.ID); info.State != wire.JobCanceled {
			t.Errorf("got %+v", info)
		}
		a.wantFiles("b", "b/k")
		c.Close()
	}
}
