package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"s4"
	"s4/wire"
)

// job is this server's part of a job, for as long as its client's connection
// lasts.
type job struct {
	node   *Node
	msg    *wire.Job
	in     s4.Glob
	stage  *stage
	tasks  taskList
	env    []string
	ctx    context.Context
	cancel context.CancelCauseFunc

	done     atomic.Uint64 // tasks
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
	pushed   atomic.Uint64

	mu     sync.Mutex
	closed bool           // no more pushes; guarded by mu
	pushes sync.WaitGroup // receiving now; Add under mu
}

var (
	errDiscarded  = wire.Errorf(wire.CodeCanceled, "the job was given up")
	errClientGone = wire.Errorf(wire.CodeCanceled, "the client is gone")
)

// job runs the server's part of a job on the client's control connection. See
// wire.Job for the exchange. It returns when the job has ended, one way or the
// other, and nothing of it is left but its published output.
func (s *session) job(tag uint16, m *wire.Job) error {
	start := time.Now()
	j, err := s.node.newJob(m)
	if err != nil {
		s.node.log.Info("job refused", zap.String("job", fmt.Sprintf("%016x", m.ID)), zap.Error(err))
		return s.reply(tag, err)
	}
	// The requests of the job are read while it runs, so that giving it up
	// and losing the client work at any time.
	asks := make(chan wire.Type)
	ended := make(chan error, 1)
	go func() {
		defer close(asks)
		ended <- s.readJob(j, asks)
	}()
	committed, outcome := s.drive(tag, j, asks)
	if !committed {
		j.cancel(errDiscarded)
	}
	if err := j.end(); err != nil {
		s.node.log.Error("clean up job", zap.Error(err))
	}
	for t := range asks {
		// After an error the client says DISCARD; nothing else counts.
		if t == wire.TypeDiscard {
			outcome = errors.Join(outcome, s.reply(tag, nil))
		}
	}
	s.node.log.Info("job", zap.String("job", fmt.Sprintf("%016x", m.ID)), zap.Stringer("verb", m.Verb),
		zap.String("indir", m.Indir), zap.String("outdir", m.Outdir), zap.Uint64("tasks", j.done.Load()),
		zap.Int64("keys", j.stage.keys.Load()), zap.Int64("bytes", j.stage.bytes.Load()),
		zap.Duration("took", time.Since(start)), zap.Bool("committed", committed), zap.NamedError("outcome", outcome))
	return <-ended
}

// readJob reads the job's requests until the last one, COMMIT or DISCARD. Its
// error is of the connection.
func (s *session) readJob(j *job, asks chan<- wire.Type) error {
	for {
		h, err := s.conn.ReadHeader()
		if err == nil {
			_, err = s.conn.ReadMessage(h)
		}
		if err != nil {
			j.cancel(errClientGone)
			s.conn.Close()
			return err
		}
		if h.Type == wire.TypeDiscard {
			j.cancel(errDiscarded)
		}
		asks <- h.Type
		if h.Type == wire.TypeDiscard || h.Type == wire.TypeCommit {
			return nil
		}
	}
}

// drive takes the job through its phases. After an error it answers with that
// error and leaves the wait for DISCARD to the caller.
func (s *session) drive(tag uint16, j *job, asks <-chan wire.Type) (committed bool, err error) {
	fail := func(err error) (bool, error) {
		if cause := context.Cause(j.ctx); cause != nil {
			err = cause // what broke, broke because the job is over
		}
		if !errors.Is(err, errClientGone) && !errors.Is(err, errDiscarded) {
			_ = s.reply(tag, err) // if it does not arrive, the client is gone
		}
		return false, err
	}
	if err := j.find(); err != nil {
		return fail(err)
	}
	ready := &wire.Ready{Tasks: uint64(j.tasks.len()), Bytes: uint64(j.tasks.bytes)}
	if err := s.conn.Write(tag, 0, ready); err != nil {
		return fail(err)
	}
	expect := wire.TypeStart
	for t := range asks {
		if t == wire.TypeDiscard {
			return false, errors.Join(errDiscarded, s.discardJob(tag, j))
		}
		if t != expect {
			return fail(wire.Errorf(wire.CodeBadRequest, "a %s frame where %s belongs", t, expect))
		}
		switch t {
		case wire.TypeStart:
			err := s.runJob(tag, j)
			if err == nil {
				err = s.conn.Write(tag, 0, &wire.Done{Progress: j.progress()})
			}
			if err != nil {
				return fail(err)
			}
			expect = wire.TypePrepare
		case wire.TypePrepare:
			if err := j.prepare(); err != nil {
				return fail(err)
			}
			if err := s.conn.Write(tag, 0, wire.Empty{T: wire.TypePrepared}); err != nil {
				return fail(err)
			}
			expect = wire.TypeCommit
		case wire.TypeCommit:
			if err := j.commit(); err != nil {
				return fail(err)
			}
			done := &wire.Committed{Keys: uint64(j.stage.keys.Load()), Bytes: uint64(j.stage.bytes.Load())}
			return true, s.conn.Write(tag, 0, done)
		}
	}
	return fail(errClientGone)
}

// discardJob cleans up before it says so.
func (s *session) discardJob(tag uint16, j *job) error {
	return errors.Join(j.end(), s.reply(tag, nil))
}

// progressInterval is how often a running job tells how far it is.
const progressInterval = 200 * time.Millisecond

// runJob runs the tasks and sends PROGRESS meanwhile.
func (s *session) runJob(tag uint16, j *job) error {
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
			if p := j.progress(); p != last {
				last = p
				_ = s.conn.Write(tag, 0, &p) // the reader sees a lost client
			}
		}
	})
	err := j.run()
	close(stop)
	wg.Wait()
	return err
}

func (j *job) progress() wire.Progress {
	return wire.Progress{Tasks: j.done.Load(), BytesIn: j.bytesIn.Load(), BytesOut: j.bytesOut.Load(), Pushed: j.pushed.Load()}
}

// newJob checks and registers a job. From then on pushes for it are accepted.
func (n *Node) newJob(m *wire.Job) (*job, error) {
	if m.Verb != wire.VerbMap && m.Verb != wire.VerbMapToN && m.Verb != wire.VerbMapFromN {
		return nil, wire.Errorf(wire.CodeBadRequest, "unknown verb %d", m.Verb)
	}
	in, err := s4.ParseGlob(m.Indir)
	if err != nil {
		return nil, err
	}
	if err := s4.CheckPrefix(m.Outdir + "/"); err != nil {
		return nil, err
	}
	if err := s4.CheckCommand(m.Command); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil, errShutdown
	}
	st, err := n.store.newStage(m.ID)
	if err != nil {
		return nil, err
	}
	j := &job{node: n, msg: m, in: in, stage: st}
	j.ctx, j.cancel = context.WithCancelCause(n.ctx)
	j.env = append(n.env[:len(n.env):len(n.env)],
		"S4_INDIR=s4://"+m.Indir, "S4_OUTDIR=s4://"+m.Outdir, fmt.Sprintf("S4_JOB=%016x", m.ID), "TMPDIR="+st.path+"/tmp")
	n.jobs[m.ID] = j
	return j, nil
}

// enterJob returns a job that accepts a push; leave must be called.
func (n *Node) enterJob(id uint64) (*job, error) {
	n.mu.Lock()
	j := n.jobs[id]
	n.mu.Unlock()
	if j == nil {
		return nil, wire.Errorf(wire.CodeNoJob, "no job %016x here", id)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, wire.Errorf(wire.CodeNoJob, "job %016x is over", id)
	}
	if j.ctx.Err() != nil {
		return nil, wire.Errorf(wire.CodeCanceled, "job %016x has failed", id)
	}
	j.pushes.Add(1)
	return j, nil
}

func (j *job) leave() { j.pushes.Done() }

// accepts checks the name of an output.
func (j *job) accepts(name string) error {
	if !strings.HasPrefix(name, j.msg.Outdir+"/") {
		return &wire.Error{Code: wire.CodeBadKey, Key: name, Text: "is not below the job's OUTDIR"}
	}
	return nil
}

// prepare closes the job to pushes, all of which have come, and reserves the
// names of its output.
func (j *job) prepare() error {
	j.close()
	if err := j.ctx.Err(); err != nil {
		return context.Cause(j.ctx)
	}
	return j.stage.prepare()
}

// close refuses pushes from now on and waits for those under way.
func (j *job) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.pushes.Wait()
}

// commit publishes the job's output.
func (j *job) commit() error {
	if err := j.stage.publish(); err != nil {
		return err
	}
	j.node.store.count.Add(j.stage.keys.Load())
	j.node.store.bytes.Add(j.stage.bytes.Load())
	return nil
}

// end removes what is left of the job. It may be called twice.
func (j *job) end() error {
	j.close()
	j.node.mu.Lock()
	mine := j.node.jobs[j.msg.ID] == j
	delete(j.node.jobs, j.msg.ID)
	j.node.mu.Unlock()
	if !mine {
		return nil
	}
	j.cancel(nil)
	return j.stage.remove()
}
