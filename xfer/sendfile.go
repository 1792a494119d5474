package xfer

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// Stored is a regular file to send: a *File or an *os.File.
type Stored interface {
	io.Reader
	Fd() uintptr
	Name() string
}

// SendFile sends head, the first size bytes of f by sendfile(2), and a trailer
// with sum, the checksum that was stored with those bytes. Only bytes that pack says
// to compress pass through this process. The receiver finds out if a byte has
// changed on disk. refused, if not nil, is called between frames, and ends the
// stream by reporting true.
//
// A small file is read, and goes out with head and trailer in one write: two system
// calls in place of three, and sendfile(2) saves little on a few pages.
//
// soon says that the caller is the goroutine that reads requests: if another is at hand,
// a small file is held back to go out with the next answer, as WriteSoon does it.
//
// A file shorter than size breaks the connection, because a frame that was begun
// must be completed. f stays the caller's; its offset is read and moved.
func (c *Conn) SendFile(tag uint16, head wire.Message, headFlags byte, f Stored, size int64, sum uint64, pack Packing, soon bool, refused func() bool) error {
	soon = soon && c.atHand()
	var chunks filePacker
	defer chunks.close()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = c.frame(c.wbuf[:0], tag, headFlags, head)
	if 0 < size && size <= smallFile && !c.worth(pack, int(size)) {
		return c.sendSmall(tag, f, int(size), sum, pack, soon)
	}
	for left := size; left > 0; {
		if left != size {
			// Let a PING or a reply of another goroutine in between.
			c.wmu.Unlock()
			stop := refused != nil && refused()
			c.wmu.Lock()
			c.wbuf = c.wbuf[:0]
			if stop {
				return c.abort(tag)
			}
		}
		if n := min(left, ChunkSize); c.worth(pack, int(n)) {
			if err := c.sendPacked(tag, &chunks, f, int(n), pack); err != nil {
				return err
			}
			left -= n
			continue
		}
		n := min(left, c.plainMax(pack))
		c.wbuf = wire.Header{Len: uint32(n), Type: wire.TypeData, Tag: tag}.Append(c.wbuf)
		if err := c.send(c.wbuf, true); err != nil {
			return err
		}
		c.wbuf = c.wbuf[:0]
		if err := c.sendfile(f, n); err != nil {
			return err
		}
		c.sentPlain(pack, n)
		left -= n
	}
	c.wbuf = c.frame(c.wbuf, tag, 0, &wire.Trailer{Length: uint64(size), Sum: sum})
	return c.send(c.wbuf, false)
}

// smallFile is the size in bytes of the largest file that is read to be sent.
const smallFile = 16 << 10

// sendSmall sends c.wbuf, a file of size bytes, and its trailer; c.wmu is held.
func (c *Conn) sendSmall(tag uint16, f Stored, size int, sum uint64, pack Packing, soon bool) error {
	buf := getBuffer()
	defer putBuffer(buf)
	front := wire.Header{Len: uint32(size), Type: wire.TypeData, Tag: tag}.Append(c.wbuf)
	c.wbuf = front[:0]
	n, err := io.ReadFull(f, buf.space(size))
	start := frontRoom - len(front)
	copy(buf.b[start:], front)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = shorter(f, int64(size-n))
	}
	if err != nil {
		_ = c.send(buf.b[start:frontRoom+n], false) // so that the peer sees that the stream was cut short
		return c.failWrite(err)
	}
	out := c.frame(buf.b[start:frontRoom+size], tag, 0, &wire.Trailer{Length: uint64(size), Sum: sum})
	write := func() error { return c.send(out, false) }
	if soon {
		write = func() error { return c.hold(out) }
	}
	if err := write(); err != nil {
		return err
	}
	c.stats.Copied.Add(int64(size))
	c.sentPlain(pack, int64(size))
	return nil
}

// plainMax returns how many bytes of a file to send plain before the packing policy
// is asked again; c.wmu is held.
func (c *Conn) plainMax(pack Packing) int64 {
	switch {
	case pack == PackNever || c.policy.local:
		return wire.MaxData
	case pack == PackAuto:
		return min(wire.MaxData, c.policy.ahead())
	}
	return ChunkSize
}

// filePacker holds what is needed to pack a file, from the first chunk on.
type filePacker struct {
	buf    *buffer
	packer *packer
}

func (p *filePacker) close() {
	if p.buf != nil {
		putBuffer(p.buf)
		putPacker(p.packer)
	}
}

// sendPacked sends c.wbuf and the next n bytes of f, packed if that makes them
// shorter. c.wmu is held, and released while it reads and packs.
func (c *Conn) sendPacked(tag uint16, p *filePacker, f Stored, n int, pack Packing) error {
	if p.buf == nil {
		p.buf, p.packer = getBuffer(), getPacker()
	}
	plain := p.buf.space(n)
	if len(c.wbuf) > 0 {
		// c.wbuf may be overwritten as soon as c.wmu is released.
		if err := c.send(c.wbuf, true); err != nil {
			return err
		}
		c.wbuf = c.wbuf[:0]
	}
	c.wmu.Unlock()
	got, err := io.ReadFull(f, plain)
	body, flags := plain, byte(0)
	if err == nil {
		if b, ok := c.pack(pack, p.packer, plain); ok {
			body, flags = b, wire.FlagLZ4
		}
	}
	c.wmu.Lock()
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return c.failWrite(shorter(f, int64(n-got)))
	case err != nil:
		return c.failWrite(err)
	}
	c.wbuf = wire.Header{Len: uint32(len(body)), Type: wire.TypeData, Flags: flags, Tag: tag}.Append(c.wbuf[:0])
	if err := c.send(c.wbuf, true); err != nil {
		return err
	}
	c.wbuf = c.wbuf[:0]
	if err := c.send(body, false); err != nil {
		return err
	}
	c.stats.Copied.Add(int64(n))
	return nil
}

func shorter(f Stored, n int64) error {
	return fmt.Errorf("%s is %d bytes shorter than it should be", f.Name(), n)
}

// sendfile moves n bytes from f's offset to the socket; c.wmu is held.
func (c *Conn) sendfile(f Stored, n int64) error {
	// f.Fd, not SyscallConn: a regular file is never in the poller, and the
	// caller keeps f open.
	c.op.file = int(f.Fd())
	for n > 0 {
		c.op.max = int(n)
		if err := c.do(c.fileFn); err != nil {
			return err
		}
		if c.op.n == 0 {
			return c.failWrite(shorter(f, n))
		}
		c.stats.Sendfile.Add(int64(c.op.n))
		n -= int64(c.op.n)
	}
	return nil
}

const (
	pollTime  = 10 // ms: longer than most peers take to make room, and soon over
	maxPolls  = 16 // threads of one Stats that may poll at a time
	pollTries = 4  // polls that may find room where sendfile then finds none
)

// sendfilePoll calls sendfile(2), and again as long as the socket, full at first,
// takes more within a brief poll. It reports whether the call ended other than by
// EAGAIN.
//
// A peer that is about as fast as this end makes room all the time. Each time the
// runtime's poller would park a goroutine, and two or three threads would wake each
// other. Waiting for a moment in poll(2) is cheaper (bench/NOTES.md, Get).
func (c *Conn) sendfilePoll(fd uintptr) bool {
	for range pollTries {
		c.op.n, c.op.err = unix.Sendfile(int(fd), c.op.file, nil, c.op.max)
		if c.op.err != unix.EAGAIN {
			return true
		}
		if !c.stats.pollBriefly(int(fd)) {
			return false
		}
	}
	return false
}

// pollBriefly waits a moment for a socket to take bytes, and reports whether to try
// again. It blocks a thread, so only maxPolls may wait at once. A longer wait is left
// to the runtime's poller.
func (s *Stats) pollBriefly(fd int) bool {
	defer s.polls.Add(-1)
	if s.polls.Add(1) > maxPolls {
		return false
	}
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(p[:], pollTime)
	// Go's own signals end a wait (runtime, preemption by SIGURG).
	return err == unix.EINTR || err == nil && p[0].Revents&unix.POLLOUT != 0
}
