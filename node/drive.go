package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// client is who a job answers to: a connection on which a JOB or ATTACH has come.
// None of its methods waits for it.
type client interface {
	// Send sends a frame of the job's answer, behind those before.
	Send(m wire.Message)
	// Report sets what Tell takes the tasks from.
	Report(r *report)
	// Tell sends, behind the frames before, the tasks that are new in the job's log.
	Tell()
	// HangUp ends the connection behind the frames before.
	HangUp()
	// Close ends the connection at once.
	Close()
}

// drive takes a job through its phases, each on its client's request, see wire.Job. It
// is the job's goroutine, and the only one that writes to the client for it. When it
// returns, the job is over, and only its published output and its record are left. Or
// the job has promised to publish and its client is gone: then settle continues it. Or
// the job is suspended, and another one, which is parked, has taken its place. Or the
// server stops, and its next start parks the job.
//
// Events that end a job early, such as DISCARD, come from other goroutines at any time:
// see next. So do the loss of the client, and a client that takes its place: see link.
func (j *job) drive() {
	err := j.phases()
	if cause := context.Cause(j.ctx); cause != nil && err != nil {
		err = cause // err is only a consequence of the job's end
	}
	defer j.leaveClients(err)
	if j.current() == wire.JobCommitted {
		return // phases has finished it
	}
	if j.msg.Durable() && (j.phase != 0 || j.again != nil) && errors.Is(err, errShutdown) && isDriven(j.current()) {
		j.client.Send(errShutdown)
		return // the next start of the server parks it
	}
	// An error of the job's own ends it, unless it has promised.
	j.move(jobFailed, err)
	if j.current() == wire.JobPrepared {
		// The client may have sent COMMIT to other servers. Only they can tell.
		if errors.Is(err, wire.CodeBadRequest) {
			j.client.Send(toWire(err))
		}
		j.client.HangUp()
		for !j.move(jobLost, errClientGone) && j.current() == wire.JobPrepared {
			select { // the disk is full, perhaps
			case <-j.node.ctx.Done():
				return
			case <-time.After(settleMost):
			}
		}
	}
	if j.current() == wire.JobOrphaned {
		j.node.orphan(j)
		return
	}
	told := errors.As(err, new(givenUp))
	if !told {
		j.client.Send(toWire(err)) // before cleaning up, so that the client stops the others soon
	}
	j.node.retire(j, err)
	for !told {
		select {
		case a := <-j.asks:
			if a.from != nil {
				a.from.Send(toWire(outOfTurn(a.t))) // every request gets an answer, also one sent ahead
			}
		default:
			told = true
		}
	}
}

// leaveClients ends what ties connections to a job whose goroutine ends. A client that
// was about to take it over is told why.
func (j *job) leaveClients(err error) {
	j.mu.Lock()
	c := j.link.client
	j.link.client = nil
	j.link.stop()
	j.mu.Unlock()
	select {
	case a := <-j.attaches:
		switch {
		case j.current() == wire.JobCommitted:
			_ = a.client.session.attachPast(a.client.tag, &wire.Attach{Job: j.id})
		case err == nil:
			a.client.Send(wire.Errorf(wire.CodeNoJob, "job %016x is over", j.id))
		default:
			a.client.Send(toWire(err))
		}
		a.client.finish()
	default:
	}
	if c != nil {
		c.finish()
	}
}

// phases runs the phases and returns why the job was not committed, or nil.
func (j *job) phases() error {
	if j.phase == 0 {
		if err := j.look(); err != nil {
			return err
		}
	}
	if j.phase == wire.PhaseReady || j.phase == wire.PhaseHalted {
		if _, err := j.await(wire.TypeStart); err != nil {
			return err
		}
		if err := j.runTasks(); err != nil {
			return err
		}
		j.phase = wire.PhaseDone
		j.client.Send(&wire.Done{Progress: j.progress()})
	}
	if j.phase == wire.PhaseDone {
		a, err := j.await(wire.TypePrepare)
		if err != nil {
			return err
		}
		if err := j.prepare(a.without); err != nil {
			return err
		}
		j.phase = wire.PhasePrepared
		j.client.Send(wire.Empty{T: wire.TypePrepared})
	}
	if err := j.awaitCommit(); err != nil {
		return err
	}
	err := j.commit()
	if j.current() != wire.JobCommitted {
		return err
	}
	j.node.retire(j, err) // first: a client may ask for the job as soon as it reads COMMITTED
	var answer wire.Message = &wire.Committed{Keys: uint64(j.stage.keys.Load()), Bytes: uint64(j.stage.bytes.Load())}
	if err != nil {
		answer = toWire(err)
	}
	j.client.Send(answer) // the job is committed even if the client is gone
	return nil
}

// look finds the job's input, or what was found of it before, and tells the client.
func (j *job) look() error {
	if j.again != nil {
		if err := j.restore(); err != nil {
			return err
		}
		if j.phase = wire.PhaseReady; j.begun.Load() {
			j.phase = wire.PhaseHalted
		}
		j.client.Send(j.attached(j.seen))
		return nil
	}
	if err := j.find(); err != nil {
		return err
	}
	j.found.Store(true)
	if j.msg.Durable() {
		if err := j.save(); err != nil {
			return err
		}
	}
	j.phase = wire.PhaseReady
	ready := j.ready()
	j.client.Send(&ready)
	return nil
}

// ask is a request of a job's client.
type ask struct {
	t       wire.Type
	from    *jobSession
	without []uint32 // of PREPARE
	settled bool     // it is COMMIT of a peer that has committed
}

// maxAsks is how many requests of a job a client may send ahead of their turn: START,
// PREPARE and COMMIT, and one more, which is an error that deserves its answer.
const maxAsks = 4

// ask queues a request of a client for the job, and reports whether the job is still
// under way.
func (j *job) ask(a ask) bool {
	j.mu.Lock() // so that nothing is asked for once the state is final
	defer j.mu.Unlock()
	if isOver(j.state) || j.state == wire.JobSuspended {
		return false
	}
	if !a.settled && a.from != j.link.client {
		return true // it has lost the job meanwhile
	}
	select {
	case j.asks <- a:
	default:
		j.moveLocked(jobFailed, outOfTurn(a.t))
	}
	return true
}

// forget drops what a client has asked for whose place another one takes: that one could
// ask for nothing if the queue were full of it. j.mu is held.
func (j *job) forget() {
	for range len(j.asks) {
		select {
		case a := <-j.asks:
			if a.settled {
				j.asks <- a // there is room: who puts something there holds mu
			}
		default:
			return // the job's goroutine has taken it
		}
	}
}

// awaitCommit waits for COMMIT. Another client than the one that was told PREPARED may
// ask for that again.
func (j *job) awaitCommit() error {
	for {
		got, err := j.awaitAny()
		switch {
		case err != nil:
			return err
		case got.t == wire.TypeCommit:
			return nil
		case got.t != wire.TypePrepare || !j.met:
			return outOfTurn(got.t)
		}
		j.client.Send(wire.Empty{T: wire.TypePrepared})
	}
}

// await waits for a request of the client, or for the end of the job. The client may
// be another one then.
func (j *job) await(want wire.Type) (ask, error) {
	got, err := j.awaitAny()
	if err == nil && got.t != want {
		err = outOfTurn(got.t)
	}
	return got, err
}

func (j *job) awaitAny() (ask, error) {
	for {
		select {
		case a := <-j.attaches:
			j.meet(a)
		case got := <-j.asks:
			select {
			case a := <-j.attaches: // whose client has sent this ahead
				j.meet(a)
			default:
			}
			if got.settled || got.from == j.client { // and not of a client that has lost the job
				return got, nil
			}
		case <-j.ctx.Done():
			return ask{}, context.Cause(j.ctx)
		}
	}
}

func outOfTurn(t wire.Type) error {
	return wire.Errorf(wire.CodeBadRequest, "a %s frame out of turn in a job", t)
}

// retire puts a job away whose state is suspended or final, and whose tasks have ended.
func (n *Node) retire(j *job, why error) {
	defer close(j.gone)
	j.mu.Lock()
	j.link.stop() // of a job that waited for a client, and was canceled
	j.mu.Unlock()
	if j.current() == wire.JobSuspended {
		n.suspend(j, why)
		return
	}
	n.finish(j, why)
}

// finish ends a job and logs how it went.
func (n *Node) finish(j *job, outcome error) {
	if err := j.end(outcome); err != nil {
		n.log.Error("clean up job", zap.String("job", jobName(j.id)), zap.Error(err))
	}
	n.logJob(j, outcome)
}

// logJob logs a job that is over or suspended, and tells the observer of it.
func (n *Node) logJob(j *job, outcome error) {
	n.observer.Job(j.msg.Verb, j.current())
	n.log.Info("job", zap.String("job", jobName(j.id)), zap.Stringer("verb", j.msg.Verb),
		zap.String("indir", j.msg.Indir), zap.String("outdir", j.msg.Outdir),
		zap.Uint64("tasks", j.done.Load()), zap.Uint64("failed", j.failed.Load()),
		zap.Int64("keys", j.stage.keys.Load()), zap.Int64("bytes", j.stage.bytes.Load()),
		zap.Duration("took", time.Since(j.started)),
		zap.Stringer("state", j.current()), zap.NamedError("outcome", outcome))
}

// progressInterval is how often a running job tells how far it is.
const progressInterval = 200 * time.Millisecond

// runTasks runs the tasks. It sends PROGRESS and TASKS meanwhile, and meets clients
// that take the place of the one before.
func (j *job) runTasks() error {
	j.phase = wire.PhaseRunning
	if err := j.begin(); err != nil {
		return err
	}
	if j.tasks.len() == 0 {
		return nil
	}
	log := j.log.Load()
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := j.resetPushed()
		switch {
		case err == nil:
			err = j.run()
		case j.ctx.Err() == nil:
			j.move(jobFailed, err)
		}
		ended <- err
	})
	defer wg.Wait()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	var last wire.Progress
	for {
		select {
		case a := <-j.attaches:
			j.meet(a)
		case err := <-ended:
			lerr := log.flush()
			j.client.Tell()
			if err == nil && lerr != nil {
				err = storeError(j.node.store.serverFileError(lerr), "")
			}
			return err
		case <-tick.C:
			if err := log.flush(); err != nil {
				j.move(jobFailed, storeError(j.node.store.serverFileError(err), ""))
			}
			j.client.Tell()
			if p := j.progress(); p != last {
				last = p
				j.client.Send(&p)
			}
		}
	}
}
