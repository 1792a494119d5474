package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// session is one connection from a client or a peer. Its goroutine answers
// one request after the other.
type session struct {
	node *Node
	conn *xfer.Conn
	peer string
	busy atomic.Bool // between a request and the end of its answer
}

// lingerTime is how long a refused peer may take to read why.
const lingerTime = time.Second

func (s *session) serve() {
	defer s.conn.Close()
	channel, err := s.greet()
	if err != nil {
		s.node.log.Info("refused", zap.String("peer", s.peer), zap.Error(err))
		return
	}
	// A client that uploads awaits the answer all the while, though its source
	// may pause for hours and the disk here take its time; and one that is
	// gone is to be noticed: never be silent.
	defer s.conn.KeepAlive(s.busy.Load)()
	handle := s.data
	if channel == wire.ChannelControl {
		handle = s.control
	}
	for {
		h, err := s.conn.AwaitHeader()
		if err != nil {
			s.lastWord(h.Tag, err)
			return
		}
		s.busy.Store(true)
		if err := handle(h); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				s.node.log.Info("connection lost", zap.String("peer", s.peer), zap.Error(err))
			}
			s.lastWord(h.Tag, err)
			return
		}
		s.busy.Store(false)
		if s.node.ctx.Err() != nil {
			return
		}
	}
}

// greet exchanges preambles, or refuses in words.
func (s *session) greet() (wire.Channel, error) {
	buf := make([]byte, wire.PreambleSize)
	if err := s.conn.ReadRaw(buf[:len(wire.Magic)]); err != nil {
		return 0, s.refuse(greetError(err))
	}
	if string(buf[:len(wire.Magic)]) != wire.Magic {
		return 0, s.refuse(wire.Errorf(wire.CodeBadRequest, "this port speaks the s4 protocol, version %d, see PROTOCOL.md", wire.Version))
	}
	if err := s.conn.ReadRaw(buf[len(wire.Magic):]); err != nil {
		return 0, s.refuse(greetError(err))
	}
	p, err := wire.DecodePreamble(buf)
	if err != nil {
		return 0, s.refuse(err)
	}
	if p.Version != wire.Version {
		return 0, s.refuse(wire.Errorf(wire.CodeVersion, "the server speaks protocol version %d, the client %d", wire.Version, p.Version))
	}
	cfg := s.node.cfg
	mine := cfg.Cluster.Fingerprint()
	if p.Fingerprint != mine {
		return 0, s.refuse(wire.Errorf(wire.CodeWrongCluster,
			"the client's cluster file has fingerprint %016x, that of server %s has %016x", p.Fingerprint, cfg.Cluster.Servers[cfg.Index], mine))
	}
	if p.Index != wire.AnyServer && p.Index != uint32(cfg.Index) {
		return 0, s.refuse(wire.Errorf(wire.CodeWrongServer, "this is server %d, not %d", cfg.Index, p.Index))
	}
	reply := wire.Preamble{Version: wire.Version, Channel: p.Channel, Fingerprint: mine, Index: uint32(cfg.Index)}
	return p.Channel, s.conn.WriteRaw(reply.Append(nil))
}

// greetError is what to tell a peer that has not sent a whole preamble.
func greetError(err error) error {
	var we *wire.Error
	if errors.As(err, &we) {
		return we
	}
	return wire.Errorf(wire.CodeBadRequest, "the connection ended inside the preamble")
}

// refuse tells the peer why, in one line of text, and returns the error.
func (s *session) refuse(err error) error {
	var we *wire.Error
	if errors.As(err, &we) {
		we = s.told(we)
		if s.conn.WriteRaw(wire.AppendRefusal(nil, we.Code, we.Text)) == nil {
			s.linger()
		}
	}
	return err
}

// linger reads on for a moment after the last word, because closing a socket
// with unread input resets it, and the reset can overtake the word (RFC 1122,
// 4.2.2.13).
func (s *session) linger() {
	if s.conn.CloseWrite() == nil {
		s.conn.Drain(lingerTime)
	}
}

// lastWord tells a peer that broke the protocol, or was silent, why the
// connection ends.
func (s *session) lastWord(tag uint16, err error) {
	var we *wire.Error
	if errors.As(err, &we) && s.conn.Write(tag, 0, s.told(we)) == nil {
		s.linger()
	}
}

// told is a last word as its reader is to understand it: to a client that was silent,
// "the peer" of a timeout would be the server.
func (s *session) told(we *wire.Error) *wire.Error {
	if we.Code == wire.CodeTimeout && s.conn.Broken() {
		return wire.Errorf(wire.CodeTimeout, "the server heard nothing from this client for %v", s.conn.Timeout())
	}
	return we
}

// reply answers with OK or with err. What it returns breaks the connection.
func (s *session) reply(tag uint16, err error) error {
	if err == nil {
		return s.conn.Write(tag, 0, wire.Empty{T: wire.TypeOK})
	}
	return s.conn.Write(tag, 0, toWire(err))
}

// toWire returns err as the message that tells it.
func toWire(err error) *wire.Error {
	var we *wire.Error
	if errors.As(err, &we) {
		return we
	}
	var ce *s4.Error // of a job that this server drives
	if errors.As(err, &ce) {
		we = &wire.Error{Code: ce.Code, Key: strings.TrimPrefix(ce.Key, s4.Scheme), Text: ce.Text,
			Exit: int32(ce.Exit), Signal: byte(ce.Signal), Stderr: ce.Stderr}
		if ce.Server != "" {
			we.Text += " on " + ce.Server
		}
		return we
	}
	if e := trouble(err); e != nil {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return wire.Errorf(wire.CodeCanceled, "canceled")
	}
	return wire.Errorf(wire.CodeInternal, "%v", err)
}

// own checks that a key is allowed and belongs to this server.
func (n *Node) own(name string) error {
	if err := s4.CheckKey(name); err != nil {
		return err
	}
	if at := n.cfg.Cluster.Place(name); at != n.cfg.Index {
		return &wire.Error{Code: wire.CodeWrongServer, Key: name, Text: fmt.Sprintf("the key belongs to server %d, this is %d", at, n.cfg.Index)}
	}
	return nil
}

// done logs a request's end.
func (s *session) done(verb, key string, bytes int64, start time.Time, err error) {
	log := s.node.log
	if err == nil {
		log.Info(verb, zap.String("key", key), zap.Int64("bytes", bytes), zap.Duration("took", time.Since(start)), zap.String("outcome", "ok"))
		return
	}
	log.Info(verb, zap.String("key", key), zap.Int64("bytes", bytes), zap.Duration("took", time.Since(start)),
		zap.String("outcome", toWire(err).Code.String()), zap.String("peer", s.peer), zap.Error(err))
}
