package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// client is who a job answers to: a connection on which a JOB has come.
type client interface {
	// Send writes a frame of the job's answer.
	Send(m wire.Message) error
	// Close ends the connection.
	Close() error
}

// drive takes a job through its phases, each on its client's request, see
// wire.Job. It is the job's goroutine, and the only one that writes to the client
// for it. When it returns, nothing of the job is left here but its published
// output and its record; or it has promised to publish and the client is gone,
// and settle has it.
//
// What ends it early, such as DISCARD, comes from other goroutines as an event,
// at any time: see next.
func (j *job) drive(c client) {
	err := j.phases(c)
	if cause := context.Cause(j.ctx); cause != nil && err != nil {
		err = cause // what broke, broke because the job is over
	}
	if j.current() == wire.JobCommitted {
		return // and finished
	}
	// An error of the job's own ends it, unless it has promised.
	j.move(jobFailed, err)
	if j.current() == wire.JobPrepared {
		// The client may have committed elsewhere: without it there is no way
		// but to ask.
		if errors.Is(err, wire.CodeBadRequest) {
			_ = c.Send(toWire(err))
		}
		c.Close()
		j.move(jobLost, errClientGone)
	}
	if j.current() == wire.JobOrphaned {
		j.node.orphan(j)
		return
	}
	told := errors.As(err, new(givenUp))
	if !told {
		_ = c.Send(toWire(err)) // before it cleans up: the others are to stop soon
	}
	j.node.finish(j, err)
	for !told {
		select {
		case t := <-j.asks:
			_ = c.Send(toWire(outOfTurn(t))) // it was sent ahead, and has its answer, too
		default:
			told = true
		}
	}
}

// phases runs the phases and returns why the job was not committed, or nil.
func (j *job) phases(c client) error {
	if err := j.find(); err != nil {
		return err
	}
	j.found.Store(true)
	ready := j.ready()
	if err := c.Send(&ready); err != nil {
		return err
	}
	if err := j.await(wire.TypeStart); err != nil {
		return err
	}
	if err := j.runTasks(c); err != nil {
		return err
	}
	if err := c.Send(&wire.Done{Progress: j.progress()}); err != nil {
		return err
	}
	if err := j.await(wire.TypePrepare); err != nil {
		return err
	}
	if err := j.prepare(); err != nil {
		return err
	}
	if err := c.Send(wire.Empty{T: wire.TypePrepared}); err != nil {
		return err
	}
	if err := j.await(wire.TypeCommit); err != nil {
		return err
	}
	err := j.commit()
	if j.current() != wire.JobCommitted {
		return err
	}
	j.node.finish(j, err) // who hears COMMITTED may ask for the job at once
	var answer wire.Message = &wire.Committed{Keys: uint64(j.stage.keys.Load()), Bytes: uint64(j.stage.bytes.Load())}
	if err != nil {
		answer = toWire(err)
	}
	_ = c.Send(answer) // it is committed whoever hears of it
	return nil
}

// maxAsks is how many requests a client may send for a job before they are their
// turn: START, PREPARE and COMMIT, and one that is too many.
const maxAsks = 4

// ask hands the job a request of its client, to be taken in its turn, and
// reports whether the job is still under way.
func (j *job) ask(t wire.Type) bool {
	j.mu.Lock() // so that nothing is asked for once the state is final
	defer j.mu.Unlock()
	if isOver(j.state) {
		return false
	}
	select {
	case j.asks <- t:
	default:
		j.moveLocked(jobFailed, outOfTurn(t))
	}
	return true
}

// await waits for a request of the client, or for the end of the job.
func (j *job) await(want wire.Type) error {
	select {
	case got := <-j.asks:
		if got != want {
			return outOfTurn(got)
		}
		return nil
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	}
}

func outOfTurn(t wire.Type) error {
	return wire.Errorf(wire.CodeBadRequest, "a %s frame out of turn in a job", t)
}

// finish ends a job and logs how it went.
func (n *Node) finish(j *job, outcome error) {
	if err := j.end(outcome); err != nil {
		n.log.Error("clean up job", zap.String("job", jobName(j.msg.ID)), zap.Error(err))
	}
	n.log.Info("job", zap.String("job", jobName(j.msg.ID)), zap.Stringer("verb", j.msg.Verb),
		zap.String("indir", j.msg.Indir), zap.String("outdir", j.msg.Outdir),
		zap.Uint64("tasks", j.done.Load()), zap.Uint64("failed", j.failed.Load()),
		zap.Int64("keys", j.stage.keys.Load()), zap.Int64("bytes", j.stage.bytes.Load()),
		zap.Duration("took", time.Since(j.started)),
		zap.Bool("committed", j.current() == wire.JobCommitted), zap.NamedError("outcome", outcome))
}

// progressInterval is how often a running job tells how far it is.
const progressInterval = 200 * time.Millisecond

// runTasks runs the tasks, and sends PROGRESS and TASKS meanwhile.
func (j *job) runTasks(c client) error {
	err := j.begin(func(m *wire.Tasks) error { return c.Send(m) })
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		var last wire.Progress
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			_ = j.report.flush() // as below
			_ = j.log.batch.flush()
			if p := j.progress(); p != last {
				last = p
				_ = c.Send(&p) // the reader sees a lost client
			}
		}
	})
	err = j.run()
	close(stop)
	wg.Wait()
	if rerr := j.report.flush(); err == nil {
		err = rerr
	}
	if lerr := j.log.batch.flush(); lerr != nil {
		j.node.log.Error("job log", zap.String("job", jobName(j.msg.ID)), zap.Error(lerr))
	}
	return err
}
