package node_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// prepare brings a job to PREPARED.
func (a *attachTest) prepare(id uint64) *protoConn {
	a.t.Helper()
	a.openGate()
	c := a.open(wire.ChannelControl)
	a.job.ID = id
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	return c
}

// copyFiles copies a job's directory as it is.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestKilledAfterPublish kills a server between the last step of COMMIT and the removal
// of the job's directory. The job is committed then, and not one that waits.
func TestKilledAfterPublish(t *testing.T) {
	a := newAttachTest(t, time.Hour, 0)
	c := a.prepare(42)
	dir, before := filepath.Join(a.dir, "_s4/jobs", jobText(42)), filepath.Join(t.TempDir(), "job")
	copyFiles(t, dir, before)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	a.stop()
	copyFiles(t, before, dir)
	for _, gone := range []string{"prepared", "stage/out"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	a.restart()
	a.verdict(wire.VerdictCommitted)
	if info := a.ask.jobInfo(42); info.State != wire.JobCommitted {
		t.Errorf("got %+v", info)
	}
	a.attach(2, 7, false, wire.PhaseCommitted)
	a.wantFiles("b", "b/k", "out", "out/k")
}

// TestSettledJobIsKept settles jobs whose client was lost between PREPARED and COMMIT.
// Nobody commits them, but what they have staged is kept.
func TestSettledJobIsKept(t *testing.T) {
	for name, lose := range map[string]func(*attachTest, *protoConn){
		"client":           func(_ *attachTest, c *protoConn) { c.reset() },
		"server restarted": func(a *attachTest, _ *protoConn) { a.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttachTest(t, 0, wire.JobKeep)
			lose(a, a.prepare(42))
			if info := a.ask.over(42); info.State != wire.JobSuspended {
				t.Errorf("got %+v", info)
			}
			a.verdict(wire.VerdictDiscarded)
			if err := os.Remove(a.gate); err != nil {
				t.Fatal(err)
			}
			c := a.attach(generation, 8, true, wire.PhaseHalted)
			c.bring(wire.TypeStart, wire.TypeDone)
			c.bring(wire.TypePrepare, wire.TypePrepared)
			c.bring(wire.TypeCommit, wire.TypeCommitted)
			a.wantFiles("b", "b/k", "out", "out/k")
		})
	}
}

// TestJobsThatEndAtStart starts a server with many jobs that wait for nobody: they end
// while others are still being found.
func TestJobsThatEndAtStart(t *testing.T) {
	a := newAttachTest(t, 0, wire.JobKeep)
	for id := range uint64(100) {
		a.job.ID = id + 1
		c := a.open(wire.ChannelControl)
		c.send(1, 0, a.job)
		c.want(1, wire.TypeReady)
	}
	a.restart()
	for id := range uint64(100) {
		if info := a.ask.over(id + 1); info.State != wire.JobSuspended {
			t.Fatalf("got %+v", info)
		}
		a.ask.send(2, 0, &wire.Cancel{Job: id + 1, Discard: true})
		a.ask.want(2, wire.TypeOK)
	}
	a.wantFiles("b", "b/k")
}

// TestInputsLost cuts the list of a job's tasks, as a loss of power may. The job must
// fail then: without some of its tasks its output would not be whole.
func TestInputsLost(t *testing.T) {
	a := newAttachTest(t, time.Hour, 0)
	a.submit(42)
	a.stop()
	if err := os.Truncate(filepath.Join(a.dir, "_s4/jobs", jobText(42), "inputs"), 0); err != nil {
		t.Fatal(err)
	}
	a.restart()
	a.try(2, 7, false).wantError(1, wire.CodeNoJob)
	if info := a.ask.over(42); info.State != wire.JobFailed || info.Why.Code != wire.CodeInternal {
		t.Errorf("got %+v", info)
	}
}

// TestStoppedWhileRestoring stops a server that finds out what a job has done. The job
// outlives that, too.
func TestStoppedWhileRestoring(t *testing.T) {
	a := newAttachTest(t, time.Hour, 0)
	a.submit(42)
	a.restart()
	inputs := filepath.Join(a.dir, "_s4/jobs", jobText(42), "inputs")
	list, err := os.ReadFile(inputs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(inputs); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(inputs, 0o644); err != nil { // the server waits for its writer
		t.Fatal(err)
	}
	c := a.try(2, 7, false)
	nodetest.Eventually(t, "the job runs", func() bool { return a.ask.jobInfo(42).State == wire.JobRunning })
	stopped := make(chan struct{})
	go func() { a.stop(); close(stopped) }()
	nodetest.Eventually(t, "the server stops", func() bool {
		c, err := net.Dial("tcp", a.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	a.ask.wantEnd()
	if err := os.WriteFile(inputs, list, 0o644); err != nil {
		t.Fatal(err)
	}
	c.wantError(1, wire.CodeShuttingDown)
	<-stopped
	if err := os.Remove(inputs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inputs, list, 0o644); err != nil {
		t.Fatal(err)
	}
	a.restart()
	a.state(wire.JobWaiting, 2, false)
	a.attach(3, 7, false, wire.PhaseHalted)
}

// TestResumeOfBrokenStage takes up a suspended job whose staged output cannot be opened. It
// stays suspended, on the disk, too.
func TestResumeOfBrokenStage(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	a.openGate()
	a.parkDone(42, true)
	stage := a.jobFile(42, "stage")
	if err := os.Rename(stage, stage+".away"); err != nil {
		t.Fatal(err)
	}
	a.refused(generation, 8, true, wire.CodeStorage)
	a.state(wire.JobSuspended, 1, false)
	b, err := os.ReadFile(a.jobFile(42, "info"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.Decode(wire.TypeJobInfo, b[wire.HeaderSize:len(b)-wire.CheckSize])
	if err != nil {
		t.Fatal(err)
	}
	if info := m.(*wire.JobInfo); info.State != wire.JobSuspended || info.Term != 1 {
		t.Errorf("on the disk: %+v", info)
	}
	if err := os.Rename(stage+".away", stage); err != nil {
		t.Fatal(err)
	}
	a.publish(42, true)
	a.wantFiles("b", "b/k", "out42", "out42/k")
}
