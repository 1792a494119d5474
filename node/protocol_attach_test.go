package node_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// attachTest is a server with the key b/k, and a job on it that outlives its connection.
type attachTest struct {
	*protoServer
	t    *testing.T
	job  *wire.Job
	gate string // the job's task waits for this file
	seen uint64 // of ATTACH
	ask  *protoConn
}

func newAttachTest(t *testing.T, wait time.Duration, options wire.JobOption) *attachTest {
	t.Helper()
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	a := &attachTest{protoServer: p, t: t, gate: filepath.Join(t.TempDir(), "gate")}
	a.job = protoJob(wire.VerbMap, "while [ ! -e "+a.gate+" ]; do sleep 0.05; done; cat")
	a.job.Options, a.job.Wait, a.job.Driver = options, uint64(wait), 7
	a.ask = a.open(wire.ChannelControl)
	return a
}

// restart stops the server and starts it again.
func (a *attachTest) restart() {
	a.t.Helper()
	a.stop()
	a.protoServer = startProtoIn(a.t, a.dir, 0)
	a.ask = a.open(wire.ChannelControl)
}

// openGate lets the task go on.
func (a *attachTest) openGate() {
	a.t.Helper()
	if err := os.WriteFile(a.gate, nil, 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// submit starts a job with a given ID. Its task runs when it returns.
func (a *attachTest) submit(id uint64) *protoConn {
	a.t.Helper()
	c := a.open(wire.ChannelControl)
	a.job.ID = id
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	c.start()
	return c
}

// start sends START and waits until the task runs.
func (c *protoConn) start() {
	c.t.Helper()
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	for c.want(1, wire.TypeProgress).(*wire.Progress).Running == 0 {
	}
}

// bring takes a job from one phase to the next, with the request for that.
func (c *protoConn) bring(request, answer wire.Type) {
	c.t.Helper()
	c.send(1, 0, wire.Empty{T: request})
	c.want(1, answer)
}

// reset ends a connection like a machine that has crashed.
func (c *protoConn) reset() {
	c.t.Helper()
	if err := c.SetLinger(0); err != nil {
		c.t.Fatal(err)
	}
	c.Close()
}

// lost waits until the server has noticed that the job's client is gone.
func (a *attachTest) lost() {
	a.t.Helper()
	for end := time.Now().Add(protoHang); a.ask.jobInfo(a.job.ID).Attached; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			a.t.Fatal("the job still has its client")
		}
	}
}

// try sends ATTACH on a connection of its own.
func (a *attachTest) try(term, driver uint64, again bool) *protoConn {
	a.t.Helper()
	c := a.open(wire.ChannelControl)
	c.send(1, 0, &wire.Attach{Job: a.job.ID, Term: term, Driver: driver, Seen: a.seen, Again: again, Options: a.job.Options, Wait: a.job.Wait})
	return c
}

// attach is try that is granted.
func (a *attachTest) attach(term, driver uint64, again bool, phase wire.Phase) *protoConn {
	a.t.Helper()
	c := a.try(term, driver, again)
	m := c.want(1, wire.TypeAttached).(*wire.Attached)
	if m.Phase != phase || m.Ready != (wire.Ready{Tasks: 1, Bytes: 6, Keys: 1}) {
		a.t.Fatalf("want the phase %s, got %+v", phase, m)
	}
	a.seen = m.Seen
	return c
}

// generation is the first term of the first client that resumes a job.
const generation = 1 << 32

// refused is try that is not granted. The connection is free then.
func (a *attachTest) refused(term, driver uint64, again bool, code wire.Code) {
	a.t.Helper()
	c := a.try(term, driver, again)
	defer c.Close()
	c.wantError(1, code)
	c.send(2, 0, wire.Empty{T: wire.TypeHealth})
	c.want(2, wire.TypeHealthInfo)
}

// state checks the state and the term of the job.
func (a *attachTest) state(state wire.JobState, term uint64, attached bool) *wire.JobInfo {
	a.t.Helper()
	info := a.ask.jobInfo(a.job.ID)
	if info.State != state || info.Term != term || info.Attached != attached {
		a.t.Errorf("want %s at term %d, attached: %v; got %+v", state, term, attached, info)
	}
	return info
}

// verdict checks the answer to SETTLE.
func (a *attachTest) verdict(want wire.Verdict) {
	a.t.Helper()
	a.ask.send(2, 0, &wire.Settle{Job: a.job.ID})
	if m := a.ask.want(2, wire.TypeSettled).(*wire.Settled); m.Verdict != want {
		a.t.Errorf("verdict %s, want %s", m.Verdict, want)
	}
}

// TestProtocolAttach loses the client of a job in every phase, and takes it up again.
func TestProtocolAttach(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobReport)
	c := a.submit(42)
	a.state(wire.JobRunning, 1, true)
	a.verdict(wire.VerdictPrepared) // it may still be prepared
	a.refused(1, 7, false, wire.CodeExists)
	a.refused(2, 8, false, wire.CodeExists) // another client, while the first is there
	a.refused(2, 8, true, wire.CodeExists)
	a.job.ID = 43
	a.refused(2, 7, false, wire.CodeNoJob)
	a.job.ID = 42

	c.reset()
	a.lost()
	a.state(wire.JobRunning, 1, false)
	a.verdict(wire.VerdictPrepared)
	a.refused(1, 7, false, wire.CodeExists)
	c = a.attach(2, 7, false, wire.PhaseRunning)
	a.state(wire.JobRunning, 2, true)

	// The same client may come before the server has noticed that it was lost. What is
	// on the connection it had before counts no more.
	old := c
	c = a.attach(3, 7, false, wire.PhaseRunning)
	_, _ = old.Write(wire.AppendFrame(nil, 1, 0, &wire.Discard{}))
	old.wantEnd()
	old.Close()
	a.refused(3, 7, false, wire.CodeExists)
	a.state(wire.JobRunning, 3, true)
	a.openGate()
	c.want(1, wire.TypeTasks)
	c.want(1, wire.TypeDone)

	// Another client, once there is none. It has seen no task yet.
	c.reset()
	a.lost()
	c = a.attach(10, 8, false, wire.PhaseDone)
	if m := c.want(1, wire.TypeTasks).(*wire.Tasks); len(m.List) != 1 || m.List[0].Key != "b/k" {
		t.Errorf("got %+v", m)
	}
	a.refused(11, 7, false, wire.CodeExists)
	a.seen = 1 // and the same tasks do not come again
	c = a.attach(12, 8, false, wire.PhaseDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.reset()
	a.lost()
	a.state(wire.JobPrepared, 12, false)
	a.verdict(wire.VerdictPrepared)
	c = a.attach(13, 9, false, wire.PhasePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	a.wantFiles("b", "b/k", "out", "out/k")
	a.verdict(wire.VerdictCommitted)

	// Whoever has not heard COMMITTED learns it so, whatever its term is.
	c = a.attach(1, 7, false, wire.PhaseCommitted)
	c.send(2, 0, wire.Empty{T: wire.TypeHealth})
	c.want(2, wire.TypeHealthInfo)
}

// TestProtocolAttachRestart restarts the server in every phase but running.
func TestProtocolAttachRestart(t *testing.T) {
	a := newAttachTest(t, time.Hour, 0)
	c := a.open(wire.ChannelControl)
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	a.restart()
	a.state(wire.JobWaiting, 1, false)
	a.verdict(wire.VerdictPrepared)
	a.refused(1, 7, false, wire.CodeExists)
	c = a.attach(2, 7, false, wire.PhaseReady)
	a.openGate()
	c.bring(wire.TypeStart, wire.TypeDone)
	a.restart()
	a.state(wire.JobWaiting, 2, false)
	c = a.attach(3, 7, false, wire.PhaseHalted) // START runs nothing now
	if err := os.Remove(a.gate); err != nil {
		t.Fatal(err)
	}
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	a.restart()
	a.state(wire.JobPrepared, 3, false)
	a.verdict(wire.VerdictPrepared)
	c = a.attach(4, 7, false, wire.PhasePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	a.wantFiles("b", "b/k", "out", "out/k")
}

// TestProtocolAttachLate lets jobs end whose client does not come back.
func TestProtocolAttachLate(t *testing.T) {
	t.Parallel()
	a := newAttachTest(t, time.Millisecond, 0)
	for _, end := range []func(*protoConn){(*protoConn).reset, func(c *protoConn) { c.Close() }} {
		end(a.submit(42))
		if info := a.ask.over(42); info.State != wire.JobCanceled || info.Why.Code != wire.CodeCanceled {
			t.Errorf("got %+v", info)
		}
		a.wantFiles("b", "b/k")
		a.refused(2, 7, true, wire.CodeNoJob)
	}

	// Who closes the connection is not waited for as long as one that was lost.
	a.job.Wait = uint64(time.Hour)
	a.submit(43).Close()
	a.lost()
	c := a.attach(2, 7, false, wire.PhaseRunning) // unless it comes at once
	c.Close()
	if info := a.ask.over(43); info.State != wire.JobCanceled {
		t.Errorf("got %+v", info)
	}

	// A job that has a Wait of 0, and is kept.
	a.job.Wait, a.job.Options = 0, wire.JobKeep
	a.submit(44).reset()
	if info := a.ask.over(44); info.State != wire.JobSuspended {
		t.Errorf("got %+v", info)
	}
	a.verdict(wire.VerdictDiscarded)

	// As it does not wait, SETTLE stops it.
	c = a.submit(45)
	a.verdict(wire.VerdictDiscarded)
	c.wantError(1, wire.CodeCanceled)
	if info := a.ask.over(45); info.State != wire.JobSuspended {
		t.Errorf("got %+v", info)
	}
}

// TestProtocolSuspend suspends jobs, and goes on with them.
func TestProtocolSuspend(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	suspend := func(c *protoConn) {
		t.Helper()
		c.send(1, 0, &wire.Suspend{Why: wire.Error{Code: wire.CodeCanceled, Text: "for today"}})
		c.want(1, wire.TypeOK)
		c.send(2, 0, wire.Empty{T: wire.TypeHealth}) // the connection is free
		c.want(2, wire.TypeHealthInfo)
		c.Close()
	}
	c := a.open(wire.ChannelControl)
	suspend(c) // of no job

	// Before START there is nothing to keep but its place: it may have begun elsewhere.
	c = a.open(wire.ChannelControl)
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	suspend(c)
	a.state(wire.JobSuspended, 1, false)
	a.ask.send(2, 0, &wire.Cancel{Job: a.job.ID, Discard: true})
	a.ask.want(2, wire.TypeOK)
	a.wantFiles("b", "b/k")
	a.refused(2, 7, true, wire.CodeNoJob)

	suspend(a.submit(43))
	if info := a.state(wire.JobSuspended, 1, false); info.Ended == 0 || info.Why.Text != "for today" {
		t.Errorf("got %+v", info)
	}
	a.verdict(wire.VerdictDiscarded)
	a.refused(2, 7, false, wire.CodeCanceled)
	a.refused(1, 7, true, wire.CodeExists)
	a.restart() // it stays suspended
	a.state(wire.JobSuspended, 1, false)
	a.refused(2, 7, false, wire.CodeCanceled)
	a.refused(generation-1, 8, true, wire.CodeExists)
	c = a.attach(generation, 8, true, wire.PhaseHalted)
	a.state(wire.JobRunning, generation, true)
	a.openGate()
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)

	// The promise is taken back, and what is staged stays: the next START runs nothing.
	suspend(c)
	a.state(wire.JobSuspended, generation, false)
	a.verdict(wire.VerdictDiscarded)
	if err := os.Remove(a.gate); err != nil {
		t.Fatal(err)
	}
	c = a.attach(2*generation, 9, true, wire.PhaseHalted)
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	a.wantFiles("b", "b/k", "out", "out/k")
}

// TestProtocolCancelKept cancels jobs that are kept.
func TestProtocolCancelKept(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	cancel := func(discard bool) { t.Helper(); a.ask.send(2, 0, &wire.Cancel{Job: a.job.ID, Discard: discard}) }
	c := a.submit(42)
	cancel(false)
	a.ask.want(2, wire.TypeOK)
	c.wantError(1, wire.CodeCanceled)
	if info := a.ask.over(42); info.State != wire.JobSuspended {
		t.Errorf("got %+v", info)
	}
	cancel(false)
	a.ask.wantError(2, wire.CodeNoJob)
	cancel(true)
	a.ask.want(2, wire.TypeOK)
	if info := a.ask.over(42); info.State != wire.JobCanceled {
		t.Errorf("got %+v", info)
	}
	a.wantFiles("b", "b/k")
	a.refused(2, 7, true, wire.CodeNoJob)
	cancel(true)
	a.ask.wantError(2, wire.CodeNoJob)

	// With discard a running one goes at once, a prepared one is its client's.
	c = a.submit(43)
	cancel(true)
	a.ask.want(2, wire.TypeOK)
	c.wantError(1, wire.CodeCanceled)
	if info := a.ask.over(43); info.State != wire.JobCanceled {
		t.Errorf("got %+v", info)
	}
	c = a.submit(44)
	a.openGate()
	c.want(1, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	for _, discard := range []bool{false, true} {
		cancel(discard)
		a.ask.wantError(2, wire.CodeCanceled)
	}
	a.state(wire.JobPrepared, 1, true)
	c.send(1, 0, &wire.Discard{}) // its client may discard it, though it is kept
	c.want(1, wire.TypeOK)
	a.wantFiles("b", "b/k")
}

// TestProtocolReset is a peer that runs its tasks again.
func TestProtocolReset(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	push := func(epoch uint64, key string) {
		t.Helper()
		d.send(1, 0, &wire.Push{Size: 6, Job: 42, Key: key, Source: 0, Epoch: epoch})
		d.data(1, "hello\n")
		d.send(1, 0, &wire.Trailer{Length: 6, Sum: protoSum})
	}
	r := p.open(wire.ChannelControl)
	defer r.Close()
	reset := func(epoch uint64, dirs ...string) {
		t.Helper()
		r.send(1, 0, &wire.Reset{Job: 42, Source: 0, Epoch: epoch, Dirs: dirs})
	}
	reset(1, "out/a")
	r.wantError(1, wire.CodeNoJob)

	c := p.open(wire.ChannelControl)
	defer c.Close()
	job := protoJob(wire.VerbMapToN, "cat")
	job.Wait, job.Driver = uint64(time.Hour), 7
	c.send(1, 0, job)
	c.want(1, wire.TypeReady)
	push(1, "out/a/k")
	d.want(1, wire.TypeOK)
	push(1, "out/a/k") // the answer to the first was lost, say
	d.want(1, wire.TypeOK)
	d.send(1, 0, &wire.Push{Size: 0, Job: 42, Key: "out/a/k", Source: 0, Epoch: 1})
	d.send(1, 0, &wire.Trailer{Sum: 0xef46db3751d8e999})
	d.wantError(1, wire.CodeExists) // but other bytes are not the same push
	for _, key := range []string{"out/a/l", "out/a/b/k", "out/c/k"} {
		push(1, key)
		d.want(1, wire.TypeOK)
	}

	reset(1, "out/a") // it is an old one: this run has pushed
	r.wantError(1, wire.CodeCanceled)
	for _, bad := range []string{"out", "b", "out/../b", "out/a/", ""} {
		reset(2, bad)
		if e := r.want(1, wire.TypeError).(*wire.Error); e.Code != wire.CodeBadKey {
			t.Errorf("%q: %v", bad, e)
		}
	}
	reset(2, "out/a", "out/none")
	r.want(1, wire.TypeOK)
	reset(2, "out/d") // more of the same run, or a repeat
	r.want(1, wire.TypeOK)
	reset(1)
	r.wantError(1, wire.CodeCanceled)
	push(1, "out/a/k")
	d.wantError(1, wire.CodeCanceled) // too late
	push(2, "out/a/k")
	d.want(1, wire.TypeOK)
	reset(2, "out/a")
	r.wantError(1, wire.CodeCanceled)

	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.want(1, wire.TypeDone)
	c.send(1, 0, wire.Empty{T: wire.TypePrepare})
	c.want(1, wire.TypePrepared)
	reset(3, "out/a")
	r.wantError(1, wire.CodeNoJob)
	c.send(1, 0, wire.Empty{T: wire.TypeCommit})
	if m := c.want(1, wire.TypeCommitted).(*wire.Committed); m.Keys != 3 || m.Bytes != 18 {
		t.Errorf("committed %+v", m) // out/a/l is gone, and what is not directly in out/a is not
	}
	p.wantFiles("out", "out/a", "out/a/b", "out/a/b/k", "out/a/k", "out/c", "out/c/k")
}
