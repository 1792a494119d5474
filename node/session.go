package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// session is one connection from a client or a peer. Its goroutine reads the
// requests and answers one after the other.
type session struct {
	node  *Node
	conn  *xfer.Conn
	peer  string
	since time.Time                  // it was accepted
	busy  atomic.Bool                // between a request and the end of its answer
	job   atomic.Pointer[jobSession] // under way, or nil; set by the session's goroutine, cleared by the job's

	last   lastDir // of lastOf; the session's goroutine's
	lastOf *stage  // to which the last push went
}

// lastDir returns what is kept open for pushes to a stage.
func (s *session) lastDir(of *stage) *lastDir {
	if s.lastOf != of {
		s.last.close()
		s.lastOf = of
	}
	return &s.last
}

func (s *session) serve() {
	defer s.conn.Close()
	cfg := s.node.cfg
	channel, err := s.conn.Accept(&xfer.Acceptor{
		Name:        cfg.Cluster.Servers[cfg.Index].String(),
		Fingerprint: s.node.fingerprint,
		Index:       uint32(cfg.Index),
		Secret:      cfg.Secret,
		Slow:        func() { s.node.auth.slow(s.node.ctx) },
	})
	if dropped := s.node.greeted(s); dropped && err != nil {
		err = errSilent
	}
	switch {
	case err != nil && (cfg.Secret.IsSet() || errors.Is(err, wire.CodeUnauthenticated)): // whoever it is has proved nothing
		s.node.refused.Add(1)
		s.node.auth.add(time.Now(), s.peer, err)
		return
	case err != nil:
		s.node.refused.Add(1)
		s.node.log.Info("refused", zap.String("peer", s.peer), zap.Error(err))
		return
	}
	defer func() { _ = s.conn.SendHeld() }()
	defer func() { s.last.close() }()
	// Ping all the time. A client that uploads waits for its answer for as long as
	// its own source pauses, which may be hours, and must not take silence for a
	// dead server. And pings reveal a client that is gone.
	defer s.conn.KeepAlive(s.isBusy)()
	defer func() {
		if js := s.job.Load(); js != nil {
			<-js.over
		}
	}()
	handle := s.data
	if channel == wire.ChannelControl {
		handle = s.control
	}
	for {
		// Between requests a client may be silent, but not in a job.
		h, err := s.conn.AwaitHeader(func() bool { return s.job.Load() == nil })
		if err != nil {
			if js := s.job.Load(); js != nil {
				h.Tag = js.tag
			}
			s.loseJob(err)
			s.conn.LastWord(h.Tag, err)
			return
		}
		s.busy.Store(true)
		if err := handle(h); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				s.node.log.Info("connection lost", zap.String("peer", s.peer), zap.Error(err))
			}
			s.loseJob(err)
			s.conn.LastWord(h.Tag, err)
			return
		}
		s.busy.Store(s.conn.Holds()) // an answer is not given before it is sent
		if s.node.ctx.Err() != nil && s.job.Load() == nil {
			return
		}
	}
}

// isBusy reports whether somebody waits for an answer.
func (s *session) isBusy() bool { return s.busy.Load() || s.job.Load() != nil }

// reply answers with OK or with err. An error that it returns ends the connection.
func (s *session) reply(tag uint16, err error) error {
	if err == nil {
		return s.conn.Write(tag, 0, wire.Empty{T: wire.TypeOK})
	}
	return s.conn.Write(tag, 0, toWire(err))
}

// toWire returns the ERROR message for err.
func toWire(err error) *wire.Error {
	var we *wire.Error
	if errors.As(err, &we) {
		return we
	}
	if e := hostError(err); e != nil {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return wire.Errorf(wire.CodeCanceled, "canceled")
	}
	return wire.Errorf(wire.CodeInternal, "%v", err)
}

// checkOwner checks that a key is allowed and belongs to this server.
func (n *Node) checkOwner(name string) error {
	if err := names.CheckKey(name); err != nil {
		return err
	}
	if at := n.cfg.Cluster.Place(name); at != n.cfg.Index {
		return &wire.Error{Code: wire.CodeWrongServer, Key: name, Text: fmt.Sprintf("the key belongs to server %d, this is %d", at, n.cfg.Index)}
	}
	return nil
}

// logRequest logs a request and its outcome, and tells the observer of it.
func (s *session) logRequest(verb, key string, bytes int64, start time.Time, err error) {
	outcome := s.observe(verb, start, err)
	log := s.node.log
	if err == nil {
		log.Info(verb, zap.String("key", key), zap.Int64("bytes", bytes), zap.Duration("took", time.Since(start)), zap.String("outcome", "ok"))
		return
	}
	log.Info(verb, zap.String("key", key), zap.Int64("bytes", bytes), zap.Duration("took", time.Since(start)),
		zap.String("outcome", outcome.String()), zap.String("peer", s.peer), zap.Error(err))
}
