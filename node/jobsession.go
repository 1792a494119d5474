package node

import (
	"context"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// jobSession is the job that a control connection is busy with. The session goes
// on reading, so that DISCARD and the loss of the client are heard at any time;
// the job answers from a goroutine of its own.
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

// startJob begins with a job.
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
			s.conn.Close() // the session would wait for another request
		}
	}()
	return nil
}

// jobRequest takes a request that came while a job was under way; err is why it
// could not be read, and then m is nil. It reports false if the job is over, and
// the request one of the connection's. An error means that the connection is over.
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
		// What comes after COMMIT, or after what makes no sense here, is no
		// part of the job.
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

// coordinate drives a detached job: this server is the client of all, itself
// included, and goes on when the one that submitted the job has said START.
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
	// A server that stops waits for nobody.
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
	// n.wg counts this session, so it cannot be waited to zero meanwhile.
	s.node.wg.Go(func() {
		defer context.AfterFunc(s.node.late, co.Abandon)()
		err := co.Run(s.node.ctx)
		log.Info("detached job", zap.NamedError("outcome", err))
	})
	return s.reply(tag, nil)
}
