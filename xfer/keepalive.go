package xfer

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// Keepalive: how one end of a connection shows that it is alive, and notices that
// the other is not.

// pingInterval is how often a connection is pinged that is kept alive. A peer's
// timeout must be several times as long: see MinTimeout.
const pingInterval = time.Second

// MinTimeout is the shortest I/O timeout that a peer's pings keep from firing.
const MinTimeout = 3 * pingInterval

// idlePings is how many of the pings are skipped between two that are sent while a
// connection is idle. A dead peer need not be noticed at once then. It is not more,
// because a peer whose own source has not yielded its first byte looks idle, too.
const idlePings = 4

// KeepAlive sends PINGs until stop is called, so that the peer does not mistake a
// long wait for a dead connection: one every second, or three in the shorter of
// both ends' timeouts. While busy, if it is not nil, reports false, only one in
// five is sent. stop waits for a ping that is being sent.
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

// ping sends a PING, unless a frame is being written: that shows life as well.
func (c *Conn) ping() {
	if !c.wmu.TryLock() {
		return
	}
	defer c.wmu.Unlock()
	c.wbuf = c.frame(c.wbuf[:0], 0, 0, wire.Empty{T: wire.TypePing})
	_ = c.send(c.wbuf, false) // the next frame reports a broken connection
}

// Drain reads and discards what still arrives, until the peer closes the connection
// or d is over. Only Close may follow.
func (c *Conn) Drain(d time.Duration) {
	c.noReads.Store(true)
	if c.tcp.SetReadDeadline(time.Now().Add(d)) != nil {
		return
	}
	// Into memory that is there: of those that are refused there may be many, and none has
	// shown that it may come in.
	c.in = nil
	for {
		if _, err := c.tcp.Read(c.inbuf[:]); err != nil {
			return
		}
	}
}

// WaitGone calls gone when the peer closes the connection, unless stop is called
// first. It is for a handler that works for long without reading. A half-closed
// connection, as nc -N makes, does not count as closed: it is pinged, and if nobody
// is there, the peer's kernel answers with a reset.
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

// goneInterval is how often WaitGone checks the connection.
const goneInterval = 200 * time.Millisecond

// events returns the events of poll(2) that concern the end of the connection.
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

// Stale reports whether an idle connection cannot be used any more, for example
// because the peer has closed it.
func (c *Conn) Stale() bool {
	return c.Broken() || c.events() != 0
}
