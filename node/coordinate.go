package node

import (
	"context"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

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
	err = s.conn.Write(tag, 0, &ready)
	var next wire.Message
	if err == nil {
		// A server that stops waits for nobody.
		unwatch := context.AfterFunc(s.node.ctx, func() { s.conn.Close() })
		h, herr := s.conn.ReadHeader()
		unwatch()
		if err = herr; err == nil {
			next, err = s.conn.ReadMessage(h)
		}
	}
	if err != nil {
		co.Discard("the client was gone before the job began")
		return err
	}
	if d, ok := next.(*wire.Discard); ok {
		co.Discard(d.Reason)
		return s.reply(tag, nil)
	}
	if next.Type() != wire.TypeStart {
		co.Discard("the client broke the protocol")
		return s.reply(tag, wire.Errorf(wire.CodeBadRequest, "a %s frame where START belongs", next.Type()))
	}
	// n.wg counts this session, so it cannot be waited to zero meanwhile.
	s.node.wg.Go(func() {
		defer context.AfterFunc(s.node.late, co.Abandon)()
		err := co.Run(s.node.ctx)
		log.Info("detached job", zap.NamedError("outcome", err))
	})
	return s.reply(tag, nil)
}
