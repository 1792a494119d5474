package xfer

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/nathants/s4/wire"
)

// read takes what has come, or else reads from the socket.
func (c *Conn) read(p []byte) (int, error) {
	if len(c.in) > 0 && !c.noReads.Load() {
		n := copy(p, c.in)
		c.in = c.in[n:]
		return n, nil
	}
	return c.readSocket(p)
}

// fill reads until n bytes, at most readAhead, have come and are not read yet.
func (c *Conn) fill(n int) error {
	if len(c.in) < n {
		c.in = c.inbuf[:copy(c.inbuf[:], c.in)]
	}
	if c.noReads.Load() {
		return net.ErrClosed
	}
	for len(c.in) < n {
		m, err := c.readSocket(c.inbuf[len(c.in):])
		c.in = c.inbuf[:len(c.in)+m]
		if err != nil && len(c.in) < n {
			return err
		}
	}
	return nil
}

// readSocket reads once, with the I/O timeout.
func (c *Conn) readSocket(p []byte) (int, error) {
	if err := c.SendHeld(); err != nil {
		return 0, err
	}
	for silent := 1; ; silent++ {
		if now := time.Now(); now.Sub(c.readArmed) > c.period()/rearm {
			c.readArmed = now
			if err := c.tcp.SetReadDeadline(now.Add(c.period())); err != nil {
				return 0, err
			}
		}
		n, err := c.tcp.Read(p)
		c.rx.Add(int64(n))
		if silent == silentPeriods || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.readArmed = time.Time{}
	}
}

func (c *Conn) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := c.read(p)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return c.fail(err)
		}
		p = p[n:]
	}
	return nil
}

// ReadHeader reads the header of the next frame, skipping PINGs. At the end
// of the stream between two frames it returns io.EOF. The caller must read
// the body with ReadMessage, Recv or ReadBytes.
func (c *Conn) ReadHeader() (wire.Header, error) { return c.readHeader(nil) }

// AwaitHeader is ReadHeader for an end that waits for a request. Whenever the I/O
// timeout passes without a byte, it calls patient, and goes on waiting if that reports
// true. A nil patient waits for ever. KeepAlive notices a dead peer.
func (c *Conn) AwaitHeader(patient func() bool) (wire.Header, error) {
	if patient == nil {
		patient = func() bool { return true }
	}
	return c.readHeader(patient)
}

func (c *Conn) readHeader(patient func() bool) (wire.Header, error) {
	for {
		if err := c.fill(wire.HeaderSize); err != nil {
			if patient != nil && len(c.in) == 0 && errors.Is(err, os.ErrDeadlineExceeded) && patient() {
				c.readArmed = time.Time{}
				continue
			}
			if err == io.EOF && len(c.in) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return wire.Header{}, c.fail(err)
		}
		h, err := c.takeHeader()
		if err != nil {
			return h, c.fail(err)
		}
		if h.Type != wire.TypePing {
			return h, nil
		}
		if err := c.readPing(h); err != nil {
			return h, err
		}
	}
}

// takeHeader takes a header that has come.
func (c *Conn) takeHeader() (wire.Header, error) {
	h, err := wire.DecodeHeader(c.in)
	c.in = c.in[wire.HeaderSize:]
	return h, err
}

// readPing reads the rest of a PING: its checksum, if it has one.
func (c *Conn) readPing(h wire.Header) error {
	size := uint32(0)
	if h.Flags&wire.FlagChecked != 0 {
		size = wire.CheckSize
	}
	if h.Len != size {
		return c.fail(wire.Errorf(wire.CodeBadRequest, "a PING with a body of %d bytes, not %d", h.Len, size))
	}
	var buf [wire.CheckSize]byte
	body := buf[:size]
	if err := c.readFull(body); err != nil {
		return err
	}
	_, err := c.openBody(h, body)
	return err
}

// openBody checks the checksum of a body and returns the body without it. Once the
// peer has sent a checksum, all of its frames must have one.
func (c *Conn) openBody(h wire.Header, body []byte) ([]byte, error) {
	text, err := wire.OpenBody(h, body, c.mustCheck)
	if err != nil {
		return nil, c.fail(err) // the damage may be in the header: the position is lost
	}
	if h.Flags&wire.FlagChecked != 0 && !c.mustCheck {
		c.mustCheck = true
		c.checked.Store(true)
	}
	return text, nil
}

// ReadMessage reads and decodes the body that belongs to h. An error of kind
// bad-request, too-large or unsupported leaves the connection usable if the
// header itself was good.
func (c *Conn) ReadMessage(h wire.Header) (wire.Message, error) {
	if h.Type == wire.TypeData || h.Type == wire.TypeStderr {
		return nil, c.fail(wire.Errorf(wire.CodeBadRequest, "a %s frame stands where none belongs", h.Type))
	}
	if need := int(h.Len); cap(c.body) < need {
		c.body = make([]byte, need, max(need, 512))
	}
	body := c.body[:h.Len]
	if err := c.readFull(body); err != nil {
		return nil, err
	}
	text, err := c.openBody(h, body)
	if err != nil {
		return nil, err
	}
	m, err := wire.Decode(h.Type, text)
	if cap(c.body) > 8<<10 {
		c.body = nil // do not keep the memory of one large message for hours
	}
	return m, err
}

// Read reads the next frame and its message: ReadHeader and ReadMessage. An
// ERROR frame is returned as the *wire.Error it holds.
func (c *Conn) Read() (wire.Header, wire.Message, error) {
	h, err := c.ReadHeader()
	if err != nil {
		return h, nil, err
	}
	m, err := c.ReadMessage(h)
	if err != nil {
		return h, nil, err
	}
	if e, ok := m.(*wire.Error); ok {
		return h, nil, e
	}
	return h, m, nil
}

// ReadReply is Read for the answer to the request with the given tag. An
// answer to another breaks the connection.
func (c *Conn) ReadReply(tag uint16) (wire.Message, error) {
	h, m, err := c.Read()
	if c.noReads.Load() || h.Tag == tag {
		return m, err
	}
	return nil, c.fail(wire.Errorf(wire.CodeBadRequest, "a %s frame answers request %d instead of %d", h.Type, h.Tag, tag))
}
