package s4

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// discardTimeout is how long a failed or canceled job waits for the servers
// to clean up; they do so anyway when the connection closes.
const discardTimeout = 5 * time.Second

// errDiscarded ends a phase that was waiting when the job was given up.
var errDiscarded = errors.New("job discarded")

// jobServer is one server of a job, as its coordinator sees it. One goroutine at a time
// takes it through a phase.
type jobServer struct {
	co    *Coordinator
	index int
	phase wire.Phase // what it waits for or does, as far as is known; 0 before READY
	term  uint64     // of JOB, or of the last ATTACH that was sent
	first bool       // another client has had it so far
	again bool       // see wire.Attach
	seen  uint64     // tasks in its TASKS
	gone  bool       // it was lost for good, and the job goes on without it

	mu    sync.Mutex
	conn  *jobConn    // nil while there is none; guarded by mu
	given *wire.Error // why the job was given up, or nil; guarded by mu
}

// jobConn is the coordinator's connection to one server. One goroutine at a
// time reads from it: a phase's, and after the phases discard's.
type jobConn struct {
	*xfer.Conn
	giveUp func(why *wire.Error) // sends DISCARD or SUSPEND, once; if no answer comes, closes
	acked  bool                  // the server has answered that; the reader's
	close  func()

	// promised says that the job was prepared when this connection was attached.
	// Another client may have committed it elsewhere, so it is not for this one to
	// discard it: giveUp only closes the connection. Set before giveUp can be called.
	promised bool

	unbind func() bool // undoes bind, or nil
}

// bind lets the connection end with life, until it is closed. It is called before the
// connection is anybody else's.
func (j *jobConn) bind(life context.Context) {
	j.unbind = context.AfterFunc(life, func() { j.Conn.Close() })
}

func newJobConn(conn *xfer.Conn, keep func() bool) *jobConn {
	j := &jobConn{Conn: conn}
	quiet := conn.KeepAlive(nil) // also while other servers are slower
	var (
		once  sync.Once
		timer *time.Timer
	)
	j.giveUp = func(why *wire.Error) {
		once.Do(func() {
			timer = time.AfterFunc(discardTimeout, func() { conn.Close() })
			if j.promised {
				conn.Close()
				return
			}
			var m wire.Message = &wire.Discard{Why: *why}
			if keep() {
				m = &wire.Suspend{Why: *why}
			}
			_ = conn.Write(1, 0, m) // if it is lost, the job is, too
		})
	}
	j.close = func() {
		if j.unbind != nil {
			j.unbind()
		}
		quiet()
		conn.Close()
		j.giveUp(new(wire.Error)) // waits for one under way; a new one fails at once
		timer.Stop()
	}
	return j
}

// roundTrip is the package function roundTrip, and takes the answer to DISCARD. A nil m
// is a request that was sent before.
func (j *jobConn) roundTrip(m wire.Message, each func(wire.Message) (bool, error)) error {
	return roundTrip(j.Conn, 0, m, func(m wire.Message) (bool, error) {
		if m.Type() == wire.TypeOK {
			j.acked = true
			return true, errDiscarded
		}
		return each(m)
	})
}

// current returns the connection, or nil.
func (s *jobServer) current() *jobConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// use makes conn the server's connection, and nil none. It reports false if the job was
// given up meanwhile.
func (s *jobServer) use(conn *jobConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn != nil && (s.given != nil || s.co.life.Err() != nil) {
		return false
	}
	s.conn = conn
	return true
}

// giveUp tells the server that the job is given up, once.
func (s *jobServer) giveUp(why *wire.Error) {
	s.mu.Lock()
	conn := s.conn
	if s.given == nil {
		s.given = why
	}
	s.mu.Unlock()
	switch {
	case conn == nil:
	case s.co.life.Err() != nil:
		conn.Close() // somebody else goes on with it
	default:
		conn.giveUp(why)
	}
}

// discard is giveUp, and waits for the answer.
func (s *jobServer) discard(why *wire.Error) {
	s.giveUp(why)
	conn := s.current()
	for conn != nil && !conn.Broken() && !conn.acked {
		// What was under way may come first; errors, too.
		if _, m, err := conn.Read(); err == nil && m.Type() == wire.TypeOK {
			conn.acked = true
		}
	}
}

func (s *jobServer) close() {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		conn.close()
	}
}

// submit sends JOB.
func (s *jobServer) submit(ctx context.Context) error {
	err := s.trySubmit(ctx)
	if err == nil || s.co.job.Wait == 0 {
		return err
	}
	if conn := s.current(); conn == nil && errors.As(err, new(*wire.Error)) || conn != nil && !s.isLost(err) {
		return err // it refuses, or is not there
	}
	// JOB may have come there or not.
	return s.regain(ctx, err, func(ctx context.Context) error {
		err := s.tryAttach(ctx)
		if errors.Is(err, wire.CodeNoJob) {
			err = s.trySubmit(ctx)
		}
		return err
	})
}

// trySubmit connects and sends JOB once.
func (s *jobServer) trySubmit(ctx context.Context) error {
	co := s.co
	d := co.client.dialer(s.index)
	d.Patience = time.Duration(co.job.Wait)
	nc, err := d.DialPatiently(ctx, wire.ChannelControl)
	if err != nil {
		return err
	}
	conn := newJobConn(nc, co.keeps)
	conn.bind(co.life)
	if !s.use(conn) {
		conn.close()
		return errAbandoned
	}
	first := wire.Message(co.job)
	if co.tasks != nil {
		// If it refuses, it says so in place of READY.
		err := conn.Write(1, 0, first)
		if err == nil {
			err = sendInputs(ctx, conn.Conn, co.tasks(s.index))
		}
		if err != nil {
			return err
		}
		first = nil
	}
	return conn.roundTrip(first, func(m wire.Message) (bool, error) {
		ready, ok := m.(*wire.Ready)
		if !ok {
			return true, unexpected(m)
		}
		s.phase = wire.PhaseReady
		co.mu.Lock()
		co.parts[s.index].ready = *ready
		co.mu.Unlock()
		return true, nil
	})
}

// bring takes the server through its phases until it has reached one. If it is lost
// meanwhile, bring waits for it to come back.
func (s *jobServer) bring(ctx context.Context, to wire.Phase) error {
	for s.phase < to && !s.gone {
		if s.phase < wire.PhasePrepared && to == wire.PhaseCommitted {
			return wire.Errorf(wire.CodeInternal, "it was prepared, and is %s now", s.phase)
		}
		err := s.step()
		if err == nil {
			continue
		}
		if !s.isLost(err) {
			return err
		}
		if err := s.back(ctx, err, to == wire.PhaseDone); err != nil {
			return err
		}
	}
	return nil
}

// back waits for a server that was lost, and why, to come back. If it does not, and without
// is set, the job may go on without it: then s.gone is set and the error is nil.
func (s *jobServer) back(ctx context.Context, why error, without bool) error {
	err := s.attach(ctx, why)
	if err != nil && without && ctx.Err() == nil && isGone(err) && s.co.goOnWithout(s, err) {
		return nil
	}
	return err
}

// isGone reports whether a server that was lost has not come back, or without its part of
// the job, as attach says it.
func isGone(err error) bool {
	return errors.Is(err, wire.CodeUnavailable) || errors.Is(err, wire.CodeNoJob)
}

// confirm makes sure, as far as its connection tells, that a server whose tasks have ended
// is still there, before any is prepared: from then on the job takes all of them.
func (s *jobServer) confirm(ctx context.Context) error {
	if conn := s.current(); s.gone || conn != nil && !conn.Stale() {
		return nil
	}
	if err := s.back(ctx, wire.Errorf(wire.CodeUnavailable, "the connection was lost"), true); err != nil {
		return err
	}
	return s.bring(ctx, wire.PhaseDone)
}

// step makes the request that the server's phase calls for, and waits for the answer.
func (s *jobServer) step() error {
	co := s.co
	conn := s.current()
	if conn == nil {
		return errAbandoned
	}
	var m wire.Message
	switch s.phase {
	case wire.PhaseReady, wire.PhaseHalted:
		if co.Secrets != nil {
			if err := conn.Write(1, 0, co.Secrets); err != nil {
				return err
			}
		}
		m = wire.Empty{T: wire.TypeStart}
	case wire.PhaseDone:
		m = &wire.Prepare{Without: co.without()}
	case wire.PhasePrepared:
		m = wire.Empty{T: wire.TypeCommit}
	}
	return conn.roundTrip(m, func(m wire.Message) (bool, error) {
		switch m := m.(type) {
		case *wire.Progress:
			co.update(s.index, m)
			return false, nil
		case *wire.Tasks:
			s.seen += uint64(len(m.List))
			co.ended(s.index, m)
			return false, nil
		case *wire.Done:
			co.update(s.index, &m.Progress)
			s.phase = wire.PhaseDone
			return true, nil
		case *wire.Committed:
			co.committed(m.Keys, m.Bytes)
			s.phase = wire.PhaseCommitted
			return true, nil
		}
		if m.Type() != wire.TypePrepared {
			return true, unexpected(m)
		}
		s.phase = wire.PhasePrepared
		return true, nil
	})
}

// isLost reports whether a step failed because the server, or the way to it, was lost,
// and the job may outlive that.
func (s *jobServer) isLost(err error) bool {
	if s.co.job.Wait == 0 || errors.Is(err, errDiscarded) {
		return false
	}
	conn := s.current()
	return conn == nil || conn.Broken() || errors.Is(err, wire.CodeShuttingDown) || errors.Is(err, wire.CodeTimeout)
}

// attach connects to the server and takes the job up there. It tries again until the
// job's Wait is over, while the server is down or slow. cause is why it was lost, or
// nil.
func (s *jobServer) attach(ctx context.Context, cause error) error {
	return s.regain(ctx, cause, s.tryAttach)
}

// regain calls try until it succeeds, the server refuses, or the job's Wait is over.
func (s *jobServer) regain(ctx context.Context, cause error, try func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // that is why it was lost, perhaps
	}
	co := s.co
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(co.life, func() { cancel(errAbandoned) })()
	if conn := s.current(); conn != nil {
		s.use(nil)
		_ = conn.Reset() // not closed: a server that was slow must not take this client for gone
		conn.close()
	}
	start := time.Now()
	if cause != nil { // else it is there, most likely
		co.waitFor(s.index, start)
	}
	for b := xfer.NewBackoff(time.Duration(co.job.Wait)); ; co.waitFor(s.index, start) {
		err := try(ctx)
		var we *wire.Error
		switch {
		case err == nil:
			co.waitFor(s.index, time.Time{})
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &we) && we.Code == wire.CodeExists:
			// Another client has the job here. One of the two must stop, and it is not
			// the one that submitted it.
			if cause == nil || co.attached {
				co.Abandon()
				e := toError(co.client.cluster.Servers[s.index].String(), we)
				e.Op = "jobs" // it is no key that exists
				return e
			}
		case errors.Is(err, syscall.EMFILE): // soon there may be a descriptor
		case errors.As(err, &we) && we.Code != wire.CodeUnavailable && we.Code != wire.CodeShuttingDown && we.Code != wire.CodeTimeout:
			if cause != nil && we.Code == wire.CodeNoJob {
				return wire.Errorf(wire.CodeNoJob, "the server was lost (%s), and has no part of the job any more: %s", toError("", cause).Text, we.Text)
			}
			return err
		}
		switch {
		case b.Wait(ctx):
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, wire.CodeExists):
			return err // it is there
		default:
			return wire.Errorf(wire.CodeUnavailable, "the server was lost, and did not come back within %v: %s", time.Duration(co.job.Wait), toError("", err).Text)
		}
	}
}

// tryAttach connects and sends ATTACH once.
func (s *jobServer) tryAttach(ctx context.Context) error {
	co := s.co
	d := co.client.dialer(s.index)
	nc, err := d.Dial(ctx, wire.ChannelControl)
	if err != nil {
		return err
	}
	s.term++
	conn := newJobConn(nc, co.keeps)
	conn.bind(co.life)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	m := &wire.Attach{
		Job:     co.job.ID,
		Term:    s.term,
		Driver:  co.job.Driver,
		Seen:    s.seen,
		Again:   s.again,
		Options: co.job.Options,
		Retries: co.job.Retries,
		Timeout: co.job.Timeout,
		Wait:    co.job.Wait,
	}
	var got *wire.Attached
	err = conn.roundTrip(m, func(m wire.Message) (ok bool, err error) {
		if got, ok = m.(*wire.Attached); !ok {
			return true, unexpected(m)
		}
		return true, nil
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		conn.promised = got.Phase >= wire.PhasePrepared
		if !s.use(conn) {
			err = errAbandoned
		}
	}
	if err != nil {
		_ = nc.Reset()
		conn.close()
		return err
	}
	s.phase, s.seen = got.Phase, got.Seen
	if s.first && s.phase == wire.PhasePrepared {
		// It has promised this to another client. Its answer to PREPARE, once all
		// servers are attached, shows that it still keeps it.
		s.phase = wire.PhaseDone
	}
	s.first, s.again = false, false
	co.mu.Lock()
	co.parts[s.index].ready, co.parts[s.index].progress = got.Ready, got.Progress
	co.mu.Unlock()
	if got.Phase == wire.PhaseCommitted {
		co.committed(got.Keys, got.Bytes)
	}
	return nil
}

// How long a server that was lost after COMMIT may take to say how it ended,
// and how often it is asked.
const (
	learnTime  = 10 * time.Second
	learnEvery = 250 * time.Millisecond
)

// learn finds out what became of COMMIT on a server whose connection was lost.
// The servers settle it among themselves, soon unless the server is down.
func (s *jobServer) learn() error {
	co, i := s.co, s.index
	ctx, cancel := context.WithTimeout(co.life, learnTime)
	defer cancel()
	for ctx.Err() == nil {
		info, err := co.client.jobOn(ctx, i, co.job.ID)
		switch {
		case err != nil: // it may come back
		case info.State == wire.JobCommitted:
			co.committed(info.Keys, info.Bytes)
			return nil
		case info.State == wire.JobCanceled, info.State == wire.JobFailed, info.State == wire.JobSuspended:
			return wire.Errorf(wire.CodeUnavailable, "the connection was lost before COMMIT arrived; the job was not published")
		}
		select {
		case <-ctx.Done():
		case <-time.After(learnEvery):
		}
	}
	return wire.Errorf(wire.CodeUnavailable, "lost while it published its part of the output of job %s, which it completes when it is back", jobID(co.job.ID))
}

// commit sends COMMIT, from which on there is no way back.
func (s *jobServer) commit(ctx context.Context) error {
	err := s.bring(ctx, wire.PhaseCommitted)
	if err == nil {
		return nil
	}
	if conn := s.current(); conn == nil || conn.Broken() {
		return s.learn()
	}
	return err
}
