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

// drive takes a job through its phases, each on its client's request, see wire.Job. It
// is the job's goroutine, and the only one that writes to the client for it. When it
// returns, the job is over, and only its published output and its record are left. Or
// the job has promised to publish and its client is gone: then settle continues it.
//
// Events that end a job early, such as DISCARD, come from other goroutines at any time:
// see next.
func (j *job) drive(c client) {
	err := j.phases(c)
	if cause := context.Cause(j.ctx); cause != nil && err != nil {
		err = cause // err is only a consequence of the job's end
	}
	if j.current() == wire.JobCommitted {
		return // phases has finished it
	}
	// An error of the job's own ends it, unless it has promised.
	j.move(jobFailed, err)
	if j.current() == wire.JobPrepared {
		// The client may have sent COMMIT to other servers. Only they can tell.
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
		_ = c.Send(toWire(err)) // before cleaning up, so that the client stops the others soon
	}
	j.node.finish(j, err)
	for !told {
		select {
		case t := <-j.asks:
			_ = c.Send(toWire(outOfTurn(t))) // every request gets an answer, also one sent ahead
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
	j.node.finish(j, err) // first: a client may ask for the job as soon as it reads COMMITTED
	var answer wire.Message = &wire.Committed{Keys: uint64(j.stage.keys.Load()), Bytes: uint64(j.stage.bytes.Load())}
	if err != nil {
		answer = toWire(err)
	}
	_ = c.Send(answer) // the job is committed even if the client is gone
	return nil
}

// maxAsks is how many requests of a job a client may send ahead of their turn: START,
// PREPARE and COMMIT, and one more, which is an error that deserves its answer.
const maxAsks = 4

// ask queues a request of the client for the job, and reports whether the job is still
// under way.
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
