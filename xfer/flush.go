package xfer

import (
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// Flushed reports whether the next frame is a FLUSH for the request with the given
// tag. If so, it reads the frame and returns the FLUSH's own tag, and the caller must
// answer that with OK. It does not wait. It is for the goroutine that reads, between
// two frames of an answer. A FLUSH that comes after another request is not found
// here: it is read and answered in its turn.
func (c *Conn) Flushed(tag uint16) (flush uint16, ok bool) {
	for {
		var frame [wire.HeaderSize + 2 + wire.CheckSize]byte
		n := copy(frame[:], c.in)
		n += c.peek(frame[n:])
		if n < wire.HeaderSize {
			return 0, false
		}
		h, err := wire.DecodeHeader(frame[:])
		if err != nil || h.Type != wire.TypePing && h.Type != wire.TypeFlush || n < wire.HeaderSize+int(h.Len) {
			return 0, false // for the next read
		}
		if h.Type == wire.TypePing {
			if c.skipHeader() != nil || c.readPing(h) != nil {
				return 0, false
			}
			continue
		}
		body, err := wire.OpenBody(h, frame[wire.HeaderSize:wire.HeaderSize+h.Len], c.mustCheck)
		if err != nil {
			return 0, false
		}
		m, err := wire.Decode(h.Type, body)
		if err != nil || m.(*wire.Flush).Tag != tag {
			return 0, false
		}
		if c.skipHeader() != nil {
			return 0, false
		}
		_, err = c.ReadMessage(h)
		return h.Tag, err == nil
	}
}

// skipHeader reads a header that has arrived, and was looked at.
func (c *Conn) skipHeader() error {
	var header [wire.HeaderSize]byte
	return c.readFull(header[:])
}

// peek copies the bytes that have arrived, and leaves them to be read.
func (c *Conn) peek(p []byte) (n int) {
	_ = c.raw.Control(func(fd uintptr) {
		if got, _, err := unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil {
			n = got
		}
	})
	return n
}
