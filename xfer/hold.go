package xfer

import (
	"time"

	"github.com/nathants/s4/wire"
)

// A server that has more requests at hand holds small answers back, so that one system
// call sends several. They go out before the next read that may wait, and before any
// other frame.

// maxHeldTime is how long a frame is held back at most while requests are at hand that
// take long, because the disk is slow.
const maxHeldTime = 10 * time.Millisecond

// heldFrames are frames to send before any other.
type heldFrames struct {
	buf   *buffer // of n bytes, or nil
	n     int
	since time.Time
}

// WriteSoon is Write for an answer, by the goroutine that reads requests and is sure to
// go on with that. If another request is at hand, the frame is held back.
func (c *Conn) WriteSoon(tag uint16, flags byte, m wire.Message) error {
	if !c.atHand() {
		return c.Write(tag, flags, m)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = c.frame(c.wbuf[:0], tag, flags, m)
	return c.hold(c.wbuf)
}

// atHand reports whether the header of another request has come. It is for the goroutine
// that reads.
func (c *Conn) atHand() bool {
	for in := c.in; len(in) >= wire.HeaderSize; {
		h, err := wire.DecodeHeader(in)
		if err != nil || h.Type != wire.TypePing {
			return true
		}
		in = in[min(len(in), wire.HeaderSize+int(h.Len)):]
	}
	return false
}

// hold holds p back, or sends it if too much is held, or for too long; c.wmu is held. It
// is for the goroutine that reads.
func (c *Conn) hold(p []byte) error {
	h := &c.held
	switch {
	case h.buf == nil:
		h.buf, h.since = getBuffer(), time.Now()
	case h.n+len(p) > ChunkSize/4 || time.Since(h.since) > maxHeldTime:
		return c.send(p, false)
	}
	h.n += copy(h.buf.space(ChunkSize)[h.n:], p)
	c.holds = true
	return nil
}

// sendHeld sends what is held back; c.wmu is held. With more, other bytes follow.
func (c *Conn) sendHeld(more bool) error {
	h := c.held
	if h.buf == nil {
		return nil
	}
	c.held = heldFrames{}
	defer putBuffer(h.buf)
	return c.send(h.buf.space(h.n), more)
}

// Holds reports whether frames are held back. It is for the goroutine that reads.
func (c *Conn) Holds() bool {
	if c.holds { // they may have gone out before another frame
		c.wmu.Lock()
		c.holds = c.held.buf != nil
		c.wmu.Unlock()
	}
	return c.holds
}

// SendHeld sends what WriteSoon has held back. It is for the goroutine that reads, before
// it turns to a request that may take long. After an error nothing can be written any more.
func (c *Conn) SendHeld() error {
	if !c.holds {
		return nil
	}
	c.holds = false
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.sendHeld(false)
}
