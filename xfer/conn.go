package xfer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// DefaultTimeout is how long a peer may be silent in mid transfer.
const DefaultTimeout = 30 * time.Second

// Stats counts the bytes that connections moved. Connections that have one Stats in
// common also share what they know of the host.
type Stats struct {
	Sendfile atomic.Int64 // object bytes the kernel moved from file to socket
	Copied   atomic.Int64 // object bytes sent through a buffer of this process
	Received atomic.Int64 // plain object bytes received

	cores cores        // how busy they are, for all that share this
	polls atomic.Int32 // threads that wait for a socket, see pollBriefly
}

// Conn is a framed connection. One goroutine may read and any number write:
// frames are written whole, under a lock. After an error that leaves the
// stream position unknown the Conn is broken and only good for Close.
type Conn struct {
	tcp     socket
	raw     control
	timeout time.Duration
	stats   *Stats

	rx       atomic.Int64 // bytes read, to tell a silent peer from a busy one
	checked  atomic.Bool  // frames that are written carry a checksum
	pingTime atomic.Int64 // upper limit of the time between two PINGs, in nanoseconds; 0 for none
	noReads  atomic.Bool  // the position of what is read is lost
	noWrites atomic.Bool  // the position of what is written is lost

	// Used by the reading goroutine only.
	readArmed time.Time // when the read deadline was last set
	in        []byte    // has come, and is not read yet: a part of inbuf
	inbuf     [readAhead]byte
	holds     bool // frames may be held back
	body      []byte
	mustCheck bool          // the peer has sent a frame with a checksum
	features  wire.Features // what both ends can do; set before the first frame

	wmu        sync.Mutex // guards what follows, and the order of frames
	writeArmed time.Time
	lastRx     int64 // inbound() when the count of silent periods began
	wbuf       []byte
	held       heldFrames
	policy     packPolicy
	op         sendOp
	sendFn     func(fd uintptr) bool // made once, so that a send allocates nothing
	fileFn     func(fd uintptr) bool
	sampleFn   func(fd uintptr)
}

// readAhead is how many bytes a read takes at most where a frame begins. All frames of a
// small key come in one read, or of a few keys: 3 of 4 system calls are saved. Of a
// large one it is one copy more of these bytes.
const readAhead = 16 << 10

// sendOp holds the arguments and results of one send or sendfile.
type sendOp struct {
	p     []byte
	flags int
	file  int
	max   int
	n     int
	err   error
}

// NewConn makes a Conn of tcp, which it owns from then on. timeout is how long
// the peer may be silent in mid transfer, 0 for DefaultTimeout. stats may be
// nil.
func NewConn(tcp *net.TCPConn, timeout time.Duration, stats *Stats) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return makeConn(tcp, raw, newPackPolicy(tcp.LocalAddr(), tcp.RemoteAddr()), timeout, stats), nil
}

// NewBlockingConn is NewConn for one of a few connections that are busy: its
// methods block a thread while they wait, which is cheaper then.
func NewBlockingConn(tcp *net.TCPConn, timeout time.Duration, stats *Stats) (*Conn, error) {
	policy := newPackPolicy(tcp.LocalAddr(), tcp.RemoteAddr())
	s, err := newBlockingSocket(tcp)
	if err != nil {
		return nil, err
	}
	return makeConn(s, s, policy, timeout, stats), nil
}

func makeConn(tcp socket, raw control, policy packPolicy, timeout time.Duration, stats *Stats) *Conn {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if stats == nil {
		stats = new(Stats)
	}
	c := &Conn{tcp: tcp, raw: raw, timeout: timeout, stats: stats, policy: policy}
	c.sendFn = func(fd uintptr) bool {
		c.op.n, c.op.err = unix.SendmsgN(int(fd), c.op.p, nil, nil, c.op.flags)
		return c.op.err != unix.EAGAIN
	}
	c.fileFn = c.sendfilePoll
	c.sampleFn = c.sampleSocket
	return c
}

// Check makes c write frames with a checksum from now on. An end that has read such
// a frame writes them, too, without this call.
func (c *Conn) Check() { c.checked.Store(true) }

// frame appends a frame holding m to b.
func (c *Conn) frame(b []byte, tag uint16, flags byte, m wire.Message) []byte {
	if c.checked.Load() {
		flags |= wire.FlagChecked
	}
	return wire.AppendFrame(b, tag, flags, m)
}

// Timeout returns how long the peer may be silent in mid transfer.
func (c *Conn) Timeout() time.Duration { return c.timeout }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

// Close closes the connection. It may be called at any time from any
// goroutine; reads and writes under way fail with net.ErrClosed.
func (c *Conn) Close() error {
	c.noReads.Store(true)
	c.noWrites.Store(true)
	return c.tcp.Close()
}

// Reset is Close, but the peer sees a reset connection and not one that was closed
// (socket(7), SO_LINGER with a time of 0), and what it has not read yet is lost.
func (c *Conn) Reset() error {
	_ = c.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return c.Close()
}

// CloseWrite tells the peer that nothing more comes, after what was written.
func (c *Conn) CloseWrite() error { return c.tcp.CloseWrite() }

// Broken reports whether the stream position is lost in either direction. No other
// request can use the connection then.
func (c *Conn) Broken() bool { return c.noReads.Load() || c.noWrites.Load() }

// fail marks c as broken for reading. It returns err, or the error for a silent peer
// if err is a timeout.
func (c *Conn) fail(err error) error {
	c.noReads.Store(true)
	return c.silent(err)
}

// failWrite is fail for writing. What the peer has sent before can still be read.
func (c *Conn) failWrite(err error) error {
	c.noWrites.Store(true)
	return c.silent(err)
}

func (c *Conn) silent(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.Errorf(wire.CodeTimeout, "the peer was silent for %v", c.timeout)
	}
	return err
}

// silentPeriods is how many deadlines in a row must pass without a byte before the
// peer counts as silent. Together they make the timeout. A single deadline is not
// enough: this process may have been stopped itself, for example on a machine that
// was suspended. The deadline is then over before the bytes that arrived meanwhile
// are read, and a peer on the same machine was stopped, too. However long the stop
// took, it costs one period.
const silentPeriods = 4

// rearm saves a timer per call: a deadline is set anew only when it is older than
// a period divided by rearm.
const rearm = 4

// period is the length of one silent period.
func (c *Conn) period() time.Duration { return c.timeout / silentPeriods }

// Write writes one frame holding m.
func (c *Conn) Write(tag uint16, flags byte, m wire.Message) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = c.frame(c.wbuf[:0], tag, flags, m)
	err := c.send(c.wbuf, false)
	if cap(c.wbuf) > 8<<10 {
		c.wbuf = nil
	}
	return err
}

// WriteAll writes a frame for each message, with tags from 0 on, in one go: several small
// requests whose answers are read afterwards.
func (c *Conn) WriteAll(flags byte, messages []wire.Message) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = c.wbuf[:0]
	for i, m := range messages {
		c.wbuf = c.frame(c.wbuf, uint16(i), flags, m)
	}
	err := c.send(c.wbuf, false)
	if cap(c.wbuf) > 8<<10 {
		c.wbuf = nil
	}
	return err
}

// WriteRaw writes p as it is: for the preamble, before there are frames.
func (c *Conn) WriteRaw(p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.send(p, false)
}

// send writes all of p; c.wmu is held. With more, the kernel may wait for
// what follows before it sends a short segment (send(2), MSG_MORE).
func (c *Conn) send(p []byte, more bool) error {
	if err := c.sendHeld(true); err != nil {
		return err
	}
	c.op.flags = unix.MSG_NOSIGNAL
	if more {
		c.op.flags |= unix.MSG_MORE
	}
	for len(p) > 0 {
		c.op.p = p
		err := c.do(c.sendFn)
		c.op.p = nil
		if err != nil {
			return err
		}
		p = p[c.op.n:]
	}
	return nil
}

// do runs one send or sendfile until it has moved something, with the I/O timeout;
// c.wmu is held. A peer that accepts nothing is given up only if it has sent nothing
// either. A peer that is only slow sends PINGs.
func (c *Conn) do(fn func(uintptr) bool) error {
	silent := 0
	for {
		if c.noWrites.Load() {
			return net.ErrClosed // the peer would take it for the rest of a torn frame
		}
		now := time.Now()
		if now.Sub(c.writeArmed) > c.period()/rearm {
			c.writeArmed = now
			if silent == 0 {
				c.lastRx = c.inbound()
			}
			if err := c.tcp.SetWriteDeadline(now.Add(c.period())); err != nil {
				return c.failWrite(err)
			}
		}
		err := c.raw.Write(fn)
		if err == nil {
			err = c.op.err
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.writeArmed = time.Time{}
			if c.inbound() != c.lastRx {
				silent = 0
				continue
			}
			if silent++; silent == silentPeriods {
				return c.failWrite(err)
			}
		default:
			return c.failWrite(fmt.Errorf("send: %w", err))
		}
	}
}

// inbound returns how many bytes the peer has sent, read or not (tcp(7),
// SIOCINQ).
func (c *Conn) inbound() int64 {
	n := c.rx.Load()
	_ = c.raw.Control(func(fd uintptr) {
		if q, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
			n += int64(q)
		}
	})
	return n
}
