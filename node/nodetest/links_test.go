package nodetest_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4/node/nodetest"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the proxy closes it
			}()
		}
	}()
	return ln.Addr().String()
}

// caller is a connection to it, and counts what has come back.
type caller struct {
	net.Conn
	got  atomic.Int64
	done chan error
}

func call(t *testing.T, p *nodetest.Proxy) *caller {
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &caller{Conn: conn, done: make(chan error, 1)}
	go func() {
		var b [1]byte
		for {
			if _, err := conn.Read(b[:]); err != nil {
				c.done <- err
				return
			}
			c.got.Add(1)
		}
	}()
	return c
}

func (c *caller) say(t *testing.T) {
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

func (c *caller) hears(t *testing.T, n int64) {
	t.Helper()
	nodetest.Eventually(t, "the answer has come", func() bool { return c.got.Load() == n })
}

func TestLinks(t *testing.T) {
	p := nodetest.NewProxy(t, echo(t))
	a := call(t, p)
	a.say(t)
	a.hears(t, 1)

	// What is held comes when it is released, and what is made later is not held.
	release := p.Hold(func() bool { return true }, false)
	b := call(t, p)
	b.say(t)
	b.hears(t, 1)
	a.say(t)
	b.say(t)
	b.hears(t, 2)
	if n := a.got.Load(); n != 1 {
		t.Errorf("%d answers on a link that is held", n)
	}
	release()
	a.hears(t, 2)

	// With coming it is.
	release = p.Hold(func() bool { return false }, true)
	c := call(t, p)
	c.say(t)
	a.say(t)
	a.hears(t, 3)
	if n := c.got.Load(); n != 0 {
		t.Errorf("%d answers on a link that is held", n)
	}
	release()
	c.hears(t, 1)

	p.Reset(func() bool { return true })
	for _, c := range []*caller{a, b, c} {
		if err := <-c.done; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a reset: %v", err)
		}
	}
	p.Slow(time.Millisecond)
	d := call(t, p)
	d.say(t)
	d.hears(t, 1)

	// Close waits for none that is held, however slow.
	p.Slow(time.Hour)
	p.Hold(func() bool { return true }, true)
	d.say(t)
	p.Close()
	<-d.done
}
