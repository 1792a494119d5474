package xfer

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// How an end of a connection shows that it is alive, and sees that the other
// is not.

// pingInterval is how often a connection that is kept alive is pinged. The
// peer's timeout may be shorter than ours: it must be some times this.
const pingInterval = time.Second

// MinTimeout is the shortest I/O timeout that a peer's pings keep from firing.
const MinTimeout = 3 * pingInterval

// idlePings is how many pings are left out between two while idle: a peer that
// is dead need not be noticed at once, but one that waits for an answer while
// its own source has not yielded the first byte must not be kept too long.
const idlePings = 4

// KeepAlive sends a PING every second, or every third of a shorter timeout of
// either end, until stop is called, so that the peer does not take a long wait for a death.
// If busy is not nil, it is every five seconds when that reports false. stop
// waits for a ping that is under way.
func (c *Conn) KeepAlive(busy func() bool) (stop func()) {
	var (
		mu      sync.Mutex
		stopped bool
		timer   *time.Timer
	)
	mu.Lock()
	skipped := 0
	interval := min(pingInterval, c.timeout/3)
	if longest := time.Duration(c.pingTime.Load()); longest > 0 {
		interval = min(interval, longest)
	}
	timer = time.AfterFunc(interval, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped || c.Broken() {
			return
		}
		if busy != nil && !busy() && skipped < idlePings {
			skipped++
		} else {
			skipped = 0
			c.ping()
		}
		timer.Reset(interval)
	})
	mu.Unlock()
	return func() {
		timer.Stop()
		mu.Lock()
		stopped = true
		mu.Unlock()
	}
}

// ping sends a PING, unless a frame is being written, which says as much.
func (c *Conn) ping() {
	if !c.wmu.TryLock() {
		return
	}
	defer c.wmu.Unlock()
	c.wbuf = c.frame(c.wbuf[:0], 0, 0, wire.Empty{T: wire.TypePing})
	_ = c.send(c.wbuf, false) // a broken connection shows at the next frame
}

// Drain reads and forgets what still comes, until the peer closes or for d at
// most: the last use of a connection before Close.
func (c *Conn) Drain(d time.Duration) {
	c.noReads.Store(true)
	if c.tcp.SetReadDeadline(time.Now().Add(d)) != nil {
		return
	}
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		if _, err := c.tcp.Read(buf.space(ChunkSize)); err != nil {
			return
		}
	}
}

// WaitGone watches for the peer closing the connection until stop is called;
// it is for a handler that works long without reading. gone is called then,
// unless stop came first. A peer that has only said that it sends no more (a
// half-closed connection, as nc -N makes) is sent PINGs: if nobody is there,
// its kernel answers with a reset.
func (c *Conn) WaitGone(gone func()) (stop func()) {
	done := make(chan struct{})
	quit := make(chan struct{})
	go func() {
		defer close(done)
		half := false
		tick := time.NewTicker(goneInterval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			ev := c.events()
			if ev&(unix.POLLERR|unix.POLLHUP) != 0 || c.Broken() {
				gone()
				return
			}
			if half = half || ev&unix.POLLRDHUP != 0; half {
				c.ping()
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// goneInterval is how often WaitGone looks.
const goneInterval = 200 * time.Millisecond

// events returns what poll(2) says of the connection's end.
func (c *Conn) events() (ev int16) {
	err := c.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(p, 0); err == nil {
			ev = p[0].Revents
		}
	})
	if err != nil {
		return unix.POLLHUP
	}
	return ev
}

// Stale reports whether an idle connection is of no use any more, because the
// peer has closed it, say.
func (c *Conn) Stale() bool {
	return c.Broken() || c.events() != 0
}
