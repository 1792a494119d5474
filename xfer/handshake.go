package xfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/nathants/s4/wire"
)

// The start of a connection, at both of its ends: PROTOCOL.md, "Connection".

// dialTimeout is how long a server may take to accept a connection.
const dialTimeout = 5 * time.Second

// lingerTime is how long a peer may take to read a last word.
const lingerTime = time.Second

// Dialer says how to connect to one server.
type Dialer struct {
	Addr        string        // host:port
	Fingerprint uint64        // of the cluster file
	Index       uint32        // of the server, or wire.AnyServer
	Timeout     time.Duration // how long it may be silent in mid transfer; 0 for DefaultTimeout
	Stats       *Stats        // may be nil
	Blocking    bool          // see NewBlockingConn
	Patience    time.Duration // how long DialPatiently tries; 0 for Timeout, and not less than that
}

// Dial connects and exchanges preambles. The caller owns the connection. An error is
// a *wire.Error (CodeUnavailable if the server cannot be reached), the cause of ctx's
// end, or an error of the network.
func (d *Dialer) Dial(ctx context.Context, channel wire.Channel) (*Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, "tcp", d.Addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, syscall.EMFILE) {
			return nil, noDescriptor{wire.Errorf(wire.CodeStorage, "cannot connect: too many open files")}
		}
		failed := wire.Errorf(wire.CodeUnavailable, "cannot connect: %s", dialReason(err))
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && !errors.As(err, new(*net.DNSError)) {
			return nil, noAnswer{failed}
		}
		return nil, failed
	}
	newConn := NewConn
	if d.Blocking {
		newConn = NewBlockingConn
	}
	conn, err := newConn(nc.(*net.TCPConn), d.Timeout, d.Stats)
	if err != nil {
		return nil, err
	}
	conn.Check()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = conn.greet(d.preamble(channel, conn.timeout))
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// noDescriptor is the error of a connection that this process has no descriptor for, which
// says nothing of the server.
type noDescriptor struct{ error }

func (e noDescriptor) Unwrap() []error { return []error{e.error, syscall.EMFILE} }

// noAnswer is the error of a connection that nobody has accepted in time.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }

// DialPatiently is Dial for a connection that is worth a wait. If the server does not
// answer, for example because it is too busy to accept, it tries again until the I/O
// timeout is over, or d.Patience if that is longer. It does not try again if the server
// refuses.
func (d *Dialer) DialPatiently(ctx context.Context, channel wire.Channel) (*Conn, error) {
	limit := max(d.Patience, cmp.Or(d.Timeout, DefaultTimeout))
	for b := NewBackoff(limit); ; {
		conn, err := d.Dial(ctx, channel)
		switch {
		case !errors.As(err, new(noAnswer)):
			return conn, err
		case b.Wait(ctx):
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default:
			return nil, wire.Errorf(wire.CodeUnavailable, "cannot connect: no answer within %v", max(limit, dialTimeout))
		}
	}
}

func (d *Dialer) preamble(channel wire.Channel, timeout time.Duration) wire.Preamble {
	return wire.Preamble{
		Version:     wire.Version,
		MinVersion:  wire.Version,
		Channel:     channel,
		Features:    wire.AllFeatures,
		IOTimeout:   milliseconds(timeout),
		Fingerprint: d.Fingerprint,
		Index:       d.Index,
	}
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(d.Milliseconds(), 1<<32-1))
}

// dialReason words the usual failures to connect briefly.
func dialReason(err error) string {
	var ne net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &ne) && ne.Timeout():
		return fmt.Sprintf("no answer within %v", dialTimeout)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	}
	return err.Error()
}

// greet sends the client's preamble and checks the server's.
func (c *Conn) greet(mine wire.Preamble) error {
	if err := c.WriteRaw(mine.Append(nil)); err != nil {
		return err
	}
	buf := make([]byte, wire.PreambleSize)
	if err := c.readFull(buf[:len(wire.Magic)]); err != nil {
		return err
	}
	if string(buf[:len(wire.Magic)]) != wire.Magic {
		return c.readRefusal(buf[:len(wire.Magic)])
	}
	if err := c.readFull(buf[len(wire.Magic):]); err != nil {
		return err
	}
	theirs, err := wire.DecodePreamble(buf)
	switch {
	case err != nil:
		return err
	case !theirs.Speaks():
		return wire.Errorf(wire.CodeVersion, "the server speaks protocol version %s, the client %s", theirs.Versions(), mine.Versions())
	case theirs.Fingerprint != mine.Fingerprint:
		return wire.Errorf(wire.CodeWrongCluster, "cluster file has fingerprint %016x here and %016x there", mine.Fingerprint, theirs.Fingerprint)
	case mine.Index != wire.AnyServer && theirs.Index != mine.Index:
		return wire.Errorf(wire.CodeWrongServer, "server %d answers where server %d is listed", theirs.Index, mine.Index)
	}
	c.agree(theirs.Features&mine.Features, theirs.IOTimeout)
	return nil
}

// agree stores what both preambles have settled.
func (c *Conn) agree(features wire.Features, timeout uint32) {
	c.features = features
	c.pingTime.Store(int64(time.Duration(timeout) * time.Millisecond / 3))
}

// Features returns the features that both ends have.
func (c *Conn) Features() wire.Features { return c.features }

// readRefusal reads the rest of the line that a server sent in place of its
// preamble.
func (c *Conn) readRefusal(start []byte) error {
	line := start
	var b [1]byte
	for len(line) < wire.MaxRefusal {
		if err := c.readFull(b[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return wire.ParseRefusal(string(line))
}

// Accept is the server's half: it reads the client's preamble, and answers with the
// server's own, made of fingerprint and index. Or it refuses with a line of text, and
// returns the reason. name, host:port, is what that text calls the server.
func (c *Conn) Accept(fingerprint uint64, index uint32, name string) (wire.Channel, error) {
	theirs, err := c.readPreamble()
	if err == nil {
		err = acceptable(theirs, fingerprint, index, name)
	}
	if err != nil {
		c.refuse(err)
		return 0, err
	}
	mine := wire.Preamble{
		Version:     wire.Version,
		MinVersion:  wire.Version,
		Channel:     theirs.Channel,
		Features:    theirs.Features & wire.AllFeatures,
		IOTimeout:   milliseconds(c.timeout),
		Fingerprint: fingerprint,
		Index:       index,
	}
	c.agree(mine.Features, theirs.IOTimeout)
	return theirs.Channel, c.WriteRaw(mine.Append(nil))
}

func (c *Conn) readPreamble() (wire.Preamble, error) {
	buf := make([]byte, wire.PreambleSize)
	if err := c.readFull(buf[:len(wire.Magic)]); err != nil {
		return wire.Preamble{}, preambleError(err)
	}
	if string(buf[:len(wire.Magic)]) != wire.Magic {
		return wire.Preamble{}, wire.Errorf(wire.CodeBadRequest, "this port speaks the s4 protocol, version %d, see PROTOCOL.md", wire.Version)
	}
	if err := c.readFull(buf[len(wire.Magic):]); err != nil {
		return wire.Preamble{}, preambleError(err)
	}
	return wire.DecodePreamble(buf)
}

// preambleError is what to tell a peer that has not sent a whole preamble.
func preambleError(err error) error {
	if errors.Is(err, wire.CodeTimeout) {
		return err
	}
	return wire.Errorf(wire.CodeBadRequest, "the connection ended inside the preamble")
}

// acceptable returns an error if a client's preamble cannot be accepted.
func acceptable(p wire.Preamble, fingerprint uint64, index uint32, name string) error {
	switch {
	case !p.Speaks():
		return wire.Errorf(wire.CodeVersion, "the server speaks protocol version %d, the client %s", wire.Version, p.Versions())
	case p.Fingerprint != fingerprint:
		return wire.Errorf(wire.CodeWrongCluster,
			"the client's cluster file has fingerprint %016x, that of server %s has %016x", p.Fingerprint, name, fingerprint)
	case p.Index != wire.AnyServer && p.Index != index:
		return wire.Errorf(wire.CodeWrongServer, "this is server %d, not %d", index, p.Index)
	}
	return nil
}

// refuse tells the peer why, in one line of text.
func (c *Conn) refuse(err error) {
	var we *wire.Error
	if errors.As(err, &we) && c.WriteRaw(wire.AppendRefusal(nil, we.Code, c.toPeer(we).Text)) == nil {
		c.linger()
	}
}

// LastWord tells a peer that broke the protocol, or was silent, why the connection
// ends. Only Close may follow.
func (c *Conn) LastWord(tag uint16, err error) {
	var we *wire.Error
	if errors.As(err, &we) && c.Write(tag, 0, c.toPeer(we)) == nil {
		c.linger()
	}
}

// toPeer rewords an error for the peer that reads it: a timeout is its own silence.
func (c *Conn) toPeer(we *wire.Error) *wire.Error {
	if we.Code == wire.CodeTimeout && c.Broken() {
		return wire.Errorf(wire.CodeTimeout, "the server heard nothing from this client for %v", c.timeout)
	}
	return we
}

// linger reads on for a moment after the last word. Closing a socket with unread
// input resets the connection, and the reset can overtake the last word (RFC 1122,
// 4.2.2.13).
func (c *Conn) linger() {
	if c.CloseWrite() == nil {
		c.Drain(lingerTime)
	}
}
