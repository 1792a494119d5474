package node

import (
	"context"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// jobSession is the job that a control connection is busy with. The job answers from a
// goroutine of its own. The session goes on reading meanwhile, so that it notices
// DISCARD and the loss of the client at any time.
type jobSession struct {
	job  *job
	conn *xfer.Conn
	tag  uint16        // of JOB
	over chan struct{} // closed when the job's goroutine has ended
}

// Send implements client.
func (js *jobSession) Send(m wire.Message) error { return js.conn.Write(js.tag, 0, m) }

// Close implements client.
func (js *jobSession) Close() error { return js.conn.Close() }

// startJob answers JOB: it starts a job, or refuses it.
func (s *session) startJob(tag uint16, m *wire.Job) error {
	if m.Options&wire.JobDetach != 0 {
		return s.coordinate(tag, m)
	}
	j, err := s.node.newJob(m)
	if err != nil {
		s.node.log.Info("job refused", zap.String("job", jobName(m.ID)), zap.Error(err))
		return s.reply(tag, err)
	}
	js := &jobSession{job: j, conn: s.conn, tag: tag, over: make(chan struct{})}
	s.job.Store(js)
	go func() {
		defer close(js.over) // endJob and the session's end wait for it
		j.drive(js)
		s.job.Store(nil)
		if s.node.ctx.Err() != nil {
			s.conn.Close() // or the session would wait for another request
		}
	}()
	return nil
}

// jobRequest handles a request that came while a job was under way. If it could not be
// read, err is why, and m is nil. jobRequest reports false if the job is over: the
// request then belongs to the connection. An error means that the connection is over.
func (s *session) jobRequest(js *jobSession, h wire.Header, m wire.Message, err error) (taken bool, _ error) {
	switch {
	case err != nil && s.conn.Broken():
		return true, err
	case h.Type == wire.TypeDiscard && err == nil:
		js.job.move(jobDiscarded, discarded(m.(*wire.Discard).Why))
		<-js.over
		return true, s.reply(js.tag, nil)
	}
	taken = js.job.ask(h.Type)
	if !taken || h.Type != wire.TypeStart && h.Type != wire.TypePrepare {
		// Requests after COMMIT, or after one that is out of place in a job, do not
		// belong to the job: wait for its end.
		<-js.over
	}
	return taken, nil
}

// endJob ends the job of a connection that is lost, if there is one.
func (s *session) endJob() {
	if js := s.job.Load(); js != nil {
		js.job.move(jobLost, errClientGone)
		<-js.over
	}
}

// coordinate drives a detached job. This server is then the client of all servers,
// itself included. It needs the submitting client only until that has sent START.
func (s *session) coordinate(tag uint16, m *wire.Job) error {
	job := *m
	job.Options &^= wire.JobDetach
	log := s.node.log.With(zap.String("job", jobName(job.ID)))
	ctx, stop := s.watched()
	co, err := s.node.client.Submit(ctx, &job)
	stop()
	if err != nil {
		log.Info("detached job refused", zap.Error(err))
		return s.reply(tag, err)
	}
	ready := co.Ready()
	if err := s.conn.Write(tag, 0, &ready); err != nil {
		co.Discard(errClientGone.why)
		return err
	}
	// A server that stops does not wait for START.
	unwatch := context.AfterFunc(s.node.ctx, func() { s.conn.Close() })
	h, err := s.conn.ReadHeader()
	unwatch()
	var next wire.Message
	if err == nil {
		next, err = s.conn.ReadMessage(h)
	}
	switch {
	case s.conn.Broken():
		co.Discard(errClientGone.why)
		return err
	case err != nil || h.Type != wire.TypeStart && h.Type != wire.TypeDiscard:
		err := outOfTurn(h.Type)
		co.Discard(toWire(err))
		return s.reply(tag, err)
	case h.Type == wire.TypeDiscard:
		co.Discard(discarded(next.(*wire.Discard).Why).why)
		return s.reply(tag, nil)
	}
	// n.wg counts this session, so it cannot drop to zero before Go adds to it.
	s.node.wg.Go(func() {
		defer context.AfterFunc(s.node.late, co.Abandon)()
		err := co.Run(s.node.ctx)
		log.Info("detached job", zap.NamedError("outcome", err))
	})
	return s.reply(tag, nil)
}
