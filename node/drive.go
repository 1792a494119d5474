package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// job runs the server's part of a job on the client's control connection. See
// wire.Job for the exchange. It returns when the job has ended, one way or the
// other, and nothing of it is left but its published output and its record; or
// when the client is gone and the peers have to be asked.
func (s *session) job(tag uint16, m *wire.Job) error {
	if m.Options&wire.JobDetach != 0 {
		return s.coordinate(tag, m)
	}
	j, err := s.node.newJob(m)
	if err != nil {
		s.node.log.Info("job refused", zap.String("job", jobName(m.ID)), zap.Error(err))
		return s.reply(tag, err)
	}
	// The requests of the job are read while it runs, so that giving it up
	// and losing the client work at any time.
	r := &jobRequests{asks: make(chan wire.Type)}
	go s.readJob(j, r)
	outcome := s.drive(tag, j, r)
	if j.current() == wire.JobPrepared {
		for range r.asks { // the connection is lost, or was given up
		}
		if r.discarded {
			j.retract()
		}
	}
	switch {
	case j.current() == wire.JobCommitted: // and finished
	case j.to(wire.JobPrepared, wire.JobOrphaned):
		s.node.orphan(j)
	default:
		if outcome != nil {
			j.cancel(outcome)
		}
		s.node.finish(j, outcome)
	}
	for range r.asks { // after an error, DISCARD is all that counts
	}
	if r.discarded {
		return s.reply(tag, nil)
	}
	return r.err
}

// jobRequests is what a job's client asks for while the job runs.
type jobRequests struct {
	asks chan wire.Type // START, PREPARE, COMMIT

	// Set before asks is closed.
	discarded bool  // by DISCARD
	err       error // of the connection
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

// readJob reads the job's requests until the last one, COMMIT or DISCARD.
func (s *session) readJob(j *job, r *jobRequests) {
	defer close(r.asks)
	for {
		h, err := s.conn.ReadHeader()
		var m wire.Message
		if err == nil {
			m, err = s.conn.ReadMessage(h)
		}
		if err != nil {
			r.err = err
			j.cancel(errClientGone)
			s.conn.Close()
			return
		}
		if d, ok := m.(*wire.Discard); ok {
			r.discarded = true
			j.cancel(discarded(d.Reason))
			return
		}
		r.asks <- h.Type
		if h.Type == wire.TypeCommit {
			return
		}
	}
}

// drive takes the job through its phases and returns why it was not committed,
// or nil. It has then told the client, if there was something to tell; a client
// that got an error says DISCARD, which is left to read. A job that is still
// prepared has lost its client.
func (s *session) drive(tag uint16, j *job, r *jobRequests) error {
	fail := func(err error) error {
		if cause := context.Cause(j.ctx); cause != nil {
			err = cause // what broke, broke because the job is over
		}
		if !errors.As(err, new(givenUp)) {
			_ = s.reply(tag, err) // if it does not arrive, the client is gone
		}
		return err
	}
	if err := j.find(); err != nil {
		return fail(err)
	}
	j.found.Store(true)
	ready := j.ready()
	if err := s.conn.Write(tag, 0, &ready); err != nil {
		return fail(err)
	}
	for _, step := range []struct {
		ask wire.Type
		do  func() (wire.Message, error)
	}{
		{wire.TypeStart, func() (wire.Message, error) {
			err := s.runJob(tag, j)
			return &wire.Done{Progress: j.progress()}, err
		}},
		{wire.TypePrepare, func() (wire.Message, error) {
			return wire.Empty{T: wire.TypePrepared}, j.prepare()
		}},
		{wire.TypeCommit, func() (wire.Message, error) {
			err := j.commit()
			if j.current() == wire.JobCommitted {
				s.node.finish(j, err) // who hears COMMITTED may ask for the job at once
			}
			return &wire.Committed{Keys: uint64(j.stage.keys.Load()), Bytes: uint64(j.stage.bytes.Load())}, err
		}},
	} {
		ask, err := s.nextAsk(j, r)
		if err != nil {
			return fail(err)
		}
		if ask != step.ask {
			j.retract() // no COMMIT can follow
			return fail(wire.Errorf(wire.CodeBadRequest, "a %s frame where %s belongs", ask, step.ask))
		}
		reply, err := step.do()
		if err == nil {
			err = s.conn.Write(tag, 0, reply)
		}
		switch {
		case j.current() == wire.JobCommitted:
			if err != nil {
				_ = s.reply(tag, err)
			}
			return nil // whoever hears of it or not
		case err != nil && j.current() == wire.JobPrepared:
			// The promise stands: the client may have committed elsewhere.
			s.conn.Close()
			return err
		case err != nil:
			return fail(err)
		}
	}
	return nil // not reached: COMMIT ends it
}

// nextAsk waits for the client's next request, or for the end of the job.
func (s *session) nextAsk(j *job, r *jobRequests) (wire.Type, error) {
	stopped := j.ctx.Done()
	for {
		select {
		case t, ok := <-r.asks:
			switch {
			case ok:
				return t, nil
			case r.discarded:
				return 0, context.Cause(j.ctx)
			}
			return 0, errClientGone
		case <-stopped:
		}
		prepared := j.current() == wire.JobPrepared
		switch {
		case prepared && j.node.ctx.Err() != nil:
			// The server stops. Its promise is on disk.
			s.conn.Close()
		case !prepared && !errors.As(context.Cause(j.ctx), new(givenUp)):
			return 0, context.Cause(j.ctx) // news to the client
		}
		stopped = nil // asks is about to be closed
	}
}

// progressInterval is how often a running job tells how far it is.
const progressInterval = 200 * time.Millisecond

// runJob runs the tasks, and sends PROGRESS and TASKS meanwhile.
func (s *session) runJob(tag uint16, j *job) error {
	err := j.begin(func(m *wire.Tasks) error { return s.conn.Write(tag, 0, m) })
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
				_ = s.conn.Write(tag, 0, &p) // the reader sees a lost client
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
