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
	Secret      wire.Secret   // of the cluster, if it has one
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
	err = conn.greet(d, channel)
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
	p := wire.Preamble{
		Version:     wire.Version,
		MinVersion:  wire.Version,
		Channel:     channel,
		Features:    wire.AllFeatures,
		IOTimeout:   milliseconds(timeout),
		Fingerprint: d.Fingerprint,
		Index:       d.Index,
	}
	if d.Secret.IsSet() {
		p.Auth, p.Extra = wire.AuthSecret, wire.ClientExtra
	}
	return p
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

// greet sends the client's preamble and checks the server's. With a secret, both ends
// prove that they have it: the client checks before it trusts anything else.
func (c *Conn) greet(d *Dialer, channel wire.Channel) error {
	mine := d.preamble(channel, c.timeout)
	hello := mine.Append(nil)
	if d.Secret.IsSet() {
		hello = wire.AppendNonce(hello)
	}
	if err := c.WriteRaw(hello); err != nil {
		return err
	}
	answer := make([]byte, wire.PreambleSize, wire.PreambleSize+wire.ServerExtra)
	if err := c.readWhole(answer[:len(wire.Magic)]); err != nil {
		return err
	}
	if string(answer[:len(wire.Magic)]) != wire.Magic {
		return c.readRefusal(answer[:len(wire.Magic)])
	}
	if err := c.readWhole(answer[len(wire.Magic):]); err != nil {
		return err
	}
	theirs, err := wire.DecodePreamble(answer)
	switch {
	case err != nil:
		return err
	case !theirs.Speaks():
		return wire.Errorf(wire.CodeVersion, "the server speaks protocol version %s, the client %s", theirs.Versions(), mine.Versions())
	}
	if err := c.proveToServer(d, hello, answer, theirs); err != nil {
		return err
	}
	switch {
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

// Acceptor says what a server is and whom it takes. It is the counterpart of Dialer.
type Acceptor struct {
	Name        string      // host:port, for the reader of a refusal
	Fingerprint uint64      // of the cluster file
	Index       uint32      // of the server
	Secret      wire.Secret // of the cluster, if it has one
	Slow        func()      // is called before a client with a wrong proof is told so; may be nil
}

// Accept is the server's half: it reads the client's preamble, and answers with the
// server's own. Or it refuses with a line of text, or an ERROR if the client does not
// prove that it has the secret, and returns the reason.
func (c *Conn) Accept(a *Acceptor) (wire.Channel, error) {
	hello := make([]byte, wire.PreambleSize, wire.PreambleSize+wire.ClientExtra)
	theirs, err := c.readPreamble(hello)
	if err == nil {
		err = a.check(theirs)
	}
	if err == nil && a.Secret.IsSet() {
		hello = hello[:cap(hello)]
		if err = c.readWhole(hello[wire.PreambleSize:]); err != nil {
			err = preambleError(err)
		}
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
		Fingerprint: a.Fingerprint,
		Index:       a.Index,
	}
	if a.Secret.IsSet() {
		mine.Auth, mine.Extra = wire.AuthSecret, wire.ServerExtra
		err = c.proveToClient(a, hello, mine.Append(nil))
	} else {
		err = c.WriteRaw(mine.Append(nil))
	}
	if err != nil {
		return 0, err
	}
	c.agree(mine.Features, theirs.IOTimeout)
	return theirs.Channel, nil
}

// readPreamble reads a client's preamble into buf.
func (c *Conn) readPreamble(buf []byte) (wire.Preamble, error) {
	if err := c.readWhole(buf[:len(wire.Magic)]); err != nil {
		return wire.Preamble{}, preambleError(err)
	}
	if string(buf[:len(wire.Magic)]) != wire.Magic {
		return wire.Preamble{}, wire.Errorf(wire.CodeBadRequest, "this port speaks the s4 protocol, version %d, see PROTOCOL.md", wire.Version)
	}
	if err := c.readWhole(buf[len(wire.Magic):]); err != nil {
		return wire.Preamble{}, preambleError(err)
	}
	return wire.DecodePreamble(buf)
}

// readWhole is readFull for a part of the handshake: what has come behind it is taken
// from the socket in the same read.
func (c *Conn) readWhole(p []byte) error {
	err := c.fill(len(p))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return c.fail(err)
	}
	c.in = c.in[copy(p, c.in):]
	return nil
}

// preambleError is what to tell a peer that has not sent a whole preamble.
func preambleError(err error) error {
	if errors.Is(err, wire.CodeTimeout) {
		return err
	}
	return wire.Errorf(wire.CodeBadRequest, "the connection ended inside the preamble")
}

// check returns an error if a client's preamble cannot be accepted. One without the
// secret is not told of the cluster file.
func (a *Acceptor) check(p wire.Preamble) error {
	if !p.Speaks() {
		return wire.Errorf(wire.CodeVersion, "the server speaks protocol version %d, the client %s", wire.Version, p.Versions())
	}
	if err := a.checkAuth(p); err != nil {
		return err
	}
	switch {
	case p.Fingerprint != a.Fingerprint:
		return wire.Errorf(wire.CodeWrongCluster,
			"the client's cluster file has fingerprint %016x, that of server %s has %016x", p.Fingerprint, a.Name, a.Fingerprint)
	case p.Index != wire.AnyServer && p.Index != a.Index:
		return wire.Errorf(wire.CodeWrongServer, "this is server %d, not %d", a.Index, p.Index)
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
