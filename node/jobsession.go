package node

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// jobSession is the job that a control connection is busy with. The job answers from a
// goroutine of its own. The session goes on reading meanwhile, so that it notices
// DISCARD and the loss of the client at any time.
type jobSession struct {
	session *session
	job     *job
	conn    *xfer.Conn
	tag     uint16        // of JOB or ATTACH
	out     *outbox       // what the job's goroutine sends
	over    chan struct{} // closed when the job is over, or has another client
	once    sync.Once     // of end
}

// bind makes a session busy with a job.
func (s *session) bind(j *job, tag uint16) *jobSession {
	js := &jobSession{session: s, job: j, conn: s.conn, tag: tag, over: make(chan struct{})}
	js.out = newOutbox(s.node, func(m wire.Message) error { return js.conn.Write(tag, 0, m) }, func() { js.conn.Close() })
	s.job.Store(js)
	return js
}

// Send implements client.
func (js *jobSession) Send(m wire.Message) { js.out.put(letter{m: m}) }

// Report implements client.
func (js *jobSession) Report(r *report) { js.out.setReport(r) }

// Tell implements client.
func (js *jobSession) Tell() { js.out.put(letter{}) }

// HangUp implements client.
func (js *jobSession) HangUp() { js.out.put(letter{hangUp: true}) }

// Close implements client.
func (js *jobSession) Close() { js.conn.Close() }

// finish is end, when all that was to be sent is.
func (js *jobSession) finish() {
	js.out.drain()
	js.end()
}

// end frees the connection for other requests. What was to be sent is dropped: the client
// is lost.
func (js *jobSession) end() {
	js.once.Do(func() {
		js.out.drop()
		js.session.job.CompareAndSwap(js, nil)
		if js.session.node.ctx.Err() != nil {
			js.conn.Close() // or the session would wait for another request
		}
		close(js.over)
	})
}

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
	js := s.bind(j, tag)
	j.client = js
	j.mu.Lock() // others may know it already
	j.link.client = js
	j.mu.Unlock()
	s.node.wg.Go(j.drive) // this session is counted, so wg is not zero
	return nil
}

// attachJob answers ATTACH.
func (s *session) attachJob(tag uint16, m *wire.Attach) error {
	n := s.node
	j := n.job(m.Job)
	if j == nil {
		return s.attachPast(tag, m)
	}
	js := s.bind(j, tag)
	if err := j.attach(js, m); err != nil {
		n.log.Info("attach refused", zap.String("job", jobName(m.Job)), zap.Error(err))
		defer js.end() // which closes the connection if the server stops
		return s.reply(tag, err)
	}
	return nil
}

// attachPast answers ATTACH to a job that is over.
func (s *session) attachPast(tag uint16, m *wire.Attach) error {
	was, err := s.node.store.committed(m.Job)
	switch {
	case err != nil:
		return s.reply(tag, storeError(withoutPath(err), ""))
	case !was:
		e := wire.Errorf(wire.CodeNoJob, "no job %016x here", m.Job)
		if info, err := s.node.store.pastInfo(m.Job); err == nil && info.Why.Code != 0 {
			e.Text = "the job is over: " + info.Why.Text
		}
		return s.reply(tag, e)
	}
	answer := &wire.Attached{Phase: wire.PhaseCommitted}
	if info, err := s.node.store.pastInfo(m.Job); err == nil {
		answer.Ready, answer.Progress, answer.Keys, answer.Bytes = info.Ready, info.Progress, info.Keys, info.Bytes
	}
	return s.conn.Write(tag, 0, answer)
}

// jobRequest handles a request that came while a job was under way. If it could not be
// read, err is why, and m is nil. jobRequest reports false if the job is over: the
// request then belongs to the connection. An error means that the connection is over.
func (s *session) jobRequest(js *jobSession, h wire.Header, m wire.Message, err error) (taken bool, _ error) {
	j := js.job
	if err != nil && s.conn.Broken() {
		return true, err
	}
	if err == nil {
		switch m := m.(type) {
		case *wire.Discard:
			j.giveUp(js, jobDiscarded, m.Why)
			<-js.over
			return true, s.reply(js.tag, nil)
		case *wire.Suspend:
			j.giveUp(js, jobStopped, m.Why)
			<-js.over
			return true, s.reply(js.tag, nil)
		case *wire.Inputs:
			j.takeInputs(m)
			return true, nil
		case *wire.Secrets:
			j.keepSecrets(js, m)
			return true, nil
		}
	}
	a := ask{t: h.Type, from: js}
	if m, ok := m.(*wire.Prepare); ok && err == nil {
		a.without = m.Without
	}
	taken = j.ask(a)
	if !taken || h.Type != wire.TypeStart && h.Type != wire.TypePrepare {
		// Requests after COMMIT, or after one that is out of place in a job, do not
		// belong to the job: wait for its end.
		<-js.over
	}
	return taken, nil
}

// loseJob tells the job that its client is lost, because of err.
func (s *session) loseJob(err error) {
	if js := s.job.Load(); js != nil {
		js.job.lose(js, err)
	}
}

// coordinate drives a detached job. This server is then the client of all servers,
// itself included. It needs the submitting client only until that has sent START.
func (s *session) coordinate(tag uint16, m *wire.Job) error {
	job := *m
	job.Options &^= wire.JobDetach
	if job.Durable() {
		job.Options |= wire.JobDriven
	}
	log := s.node.log.With(zap.String("job", jobName(job.ID)))
	tasks, given, err := s.receiveInputs(&job)
	switch {
	case err != nil && s.conn.Broken():
		return err
	case err != nil:
		log.Info("detached job refused", zap.Error(err))
		return s.reply(tag, err)
	case given != nil:
		return s.reply(tag, nil)
	}
	carried := false
	defer func() {
		if !carried {
			tasks.close()
		}
	}()
	ctx, stop := s.watched()
	co, err := s.node.client.Submit(ctx, &job, tasks.source())
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
	h, next, err := s.conn.Read()
	if secrets, ok := next.(*wire.Secrets); err == nil && ok {
		co.Secrets = secrets
		h, next, err = s.conn.Read()
	}
	unwatch()
	switch {
	case s.conn.Broken():
		co.Discard(errClientGone.why)
		return err
	case err != nil || h.Type != wire.TypeStart && h.Type != wire.TypeDiscard && h.Type != wire.TypeSuspend:
		err := outOfTurn(h.Type)
		co.Discard(toWire(err))
		return s.reply(tag, err)
	case h.Type == wire.TypeDiscard:
		co.Discard(discarded(next.(*wire.Discard).Why).why)
		return s.reply(tag, nil)
	case h.Type == wire.TypeSuspend:
		co.Discard(discarded(next.(*wire.Suspend).Why).why) // nothing was run
		return s.reply(tag, nil)
	}
	// n.wg counts this session, so it cannot drop to zero before Go adds to it.
	carried = true
	s.node.wg.Go(func() {
		defer tasks.close()
		s.node.carry(co, &job)
	})
	if j := s.node.job(job.ID); j != nil && job.Durable() {
		// If this server is killed after its OK, others must find the job begun.
		select {
		case <-j.began:
		case <-j.ctx.Done():
		}
	}
	return s.reply(tag, nil)
}

// carry drives a job that was submitted or attached to its end.
func (n *Node) carry(co *s4.Coordinator, m *wire.Job) {
	ctx := n.ctx
	if m.Options&wire.JobDriven != 0 {
		// Another server carries it on when this one stops.
		ctx = context.Background()
		defer context.AfterFunc(n.ctx, co.Abandon)()
	} else {
		defer context.AfterFunc(n.late, co.Abandon)()
	}
	if j := n.job(m.ID); j != nil {
		co.Missing = j.addMissing
	}
	err := co.Run(ctx)
	n.log.Info("detached job", zap.String("job", jobName(m.ID)), zap.NamedError("outcome", err))
}
