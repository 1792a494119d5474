package xfer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// busyListener returns a server that accepts nobody: its queue of connections is
// full, and what comes then is not answered.
func busyListener(t *testing.T) (net.Listener, Dialer) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	for full := false; !full; {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 200*time.Millisecond)
		if full = err != nil; !full {
			t.Cleanup(func() { c.Close() })
		}
	}
	return ln, Dialer{Addr: ln.Addr().String(), Index: wire.AnyServer}
}

// A server that is too busy to accept for longer than one try takes is connected to
// in the end.
func TestDialABusyServer(t *testing.T) {
	t.Parallel() // it waits, mostly
	ln, d := busyListener(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		time.Sleep(dialTimeout + time.Second)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			// Those that filled the queue say nothing.
			_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			if b := make([]byte, wire.PreambleSize); func() bool { _, err := io.ReadFull(c, b); return err == nil }() {
				_, _ = c.Write(b) // it is as it should be
			}
			c.Close()
		}
	}()
	conn, err := d.DialPatiently(t.Context(), wire.ChannelData)
	if err != nil {
		t.Errorf("the server accepts again: %v", err)
	} else {
		conn.Close()
	}
	ln.Close()
	<-served
}

// The end of the job ends the wait, and so does a server that refuses.
func TestDialGivesUp(t *testing.T) {
	t.Parallel()
	ln, d := busyListener(t)
	over := errors.New("the job is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	if _, err := d.DialPatiently(ctx, wire.ChannelData); !errors.Is(err, over) {
		t.Errorf("%v", err)
	}
	ln.Close()
	_, err := d.DialPatiently(t.Context(), wire.ChannelData)
	if we, ok := errors.AsType[*wire.Error](err); !ok || we.Code != wire.CodeUnavailable || !strings.Contains(we.Text, "refused") {
		t.Errorf("%v", err)
	}
}
