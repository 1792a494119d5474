package xfer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// blockingPair returns a blocking end and one of the usual kind.
func blockingPair(t testing.TB, timeout time.Duration) (a, b *Conn) {
	t.Helper()
	x, y := tcpPair(t)
	a, err := NewBlockingConn(x, timeout, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, newConn(t, y, patient)
}

func TestBlockingConn(t *testing.T) {
	a, b := blockingPair(t, patient)
	data := mixed()
	sendBoth(t, a, b, data, PackNever)
	sendBoth(t, b, a, data, PackAlways)
	if a.RemoteAddr().String() != b.tcp.(*net.TCPConn).LocalAddr().String() || a.Stale() {
		t.Error("the connection is not what it was")
	}
	wantUsable(t, a, b)
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadHeader(); err != io.EOF {
		t.Errorf("after CloseWrite: %v", err)
	}
	wait := receiving(a)
	if _, _, err := b.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1}, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
}

// A read, a write and a sendfile that block end when the connection is closed,
// which waits for them.
func TestBlockingConnClose(t *testing.T) {
	data := make([]byte, 4*wire.MaxData)
	for name, block := range map[string]func(a *Conn) error{
		"read":  func(a *Conn) error { _, err := a.ReadHeader(); return err },
		"write": func(a *Conn) error { return a.WriteRaw(data) },
		"sendfile": func(a *Conn) error {
			return a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackNever, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := blockingPair(t, patient)
			var ended sync.WaitGroup
			ended.Go(func() {
				if err := block(a); !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EPIPE) {
					t.Errorf("%v, want %v", err, net.ErrClosed)
				}
			})
			time.Sleep(50 * time.Millisecond) // it blocks by now, or ends as well if not
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			ended.Wait()
			if err := a.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed twice: %v", err)
			}
			if _, err := a.ReadHeader(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read of what is closed: %v", err)
			}
		})
	}
}

// A peer that is silent is given up, and one that reads nothing.
func TestBlockingConnSilence(t *testing.T) {
	a, _ := blockingPair(t, 300*time.Millisecond)
	var we *wire.Error
	if _, err := a.ReadHeader(); !errors.As(err, &we) || we.Code != wire.CodeTimeout {
		t.Errorf("read: %v", err)
	}
	if err := a.WriteRaw(make([]byte, 4*wire.MaxData)); !errors.As(err, &we) || we.Code != wire.CodeTimeout {
		t.Errorf("write: %v", err)
	}
}

// Inside of a large body a read waits for many bytes, but never for more than are
// sure to come: the kernel wakes nobody for less.
func TestBlockingConnGathers(t *testing.T) {
	a, b := blockingPair(t, patient)
	lowat := func() (n int) {
		t.Helper()
		if err := a.raw.Control(func(fd uintptr) {
			var err error
			if n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually := func(what string, f func() bool) {
		t.Helper()
		for range 1000 {
			if f() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("not in time: " + what)
	}
	data := random(2 * gatherMin)
	head := wire.AppendFrame(nil, 1, wire.FlagStream, &wire.Object{Size: uint64(len(data))})
	wait := receiving(a)
	send := func(p []byte) {
		t.Helper()
		if err := b.WriteRaw(p); err != nil {
			t.Fatal(err)
		}
	}
	send(wire.Header{Len: uint32(len(data)), Type: wire.TypeData, Tag: 1}.Append(head))
	eventually("a read waits for many bytes", func() bool { return lowat() == gathered })
	send(data[:len(data)-1])
	eventually("it waits for the last one only", func() bool { return lowat() == 1 })
	send(data[len(data)-1:])
	send(wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: uint64(len(data)), Sum: xxhash.Sum64(data)}))
	wantObject(t, wait(), data)

	// A body that comes at once, with what follows.
	wait = receiving(a)
	if err := b.SendFile(1, &wire.Object{Size: uint64(len(data))}, wire.FlagStream, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackNever, false, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
	if n := lowat(); n != 1 {
		t.Errorf("after a body a read waits for %d bytes", n)
	}
	wantUsable(t, a, b)
}

// A read that has taken some of what was there, and waits for more, is woken only by
// as many bytes again: it must not wait for many where fewer than that are to come.
func TestBlockingConnGathersNoMore(t *testing.T) {
	a, b := blockingPair(t, patient)
	for i := range 60 {
		data := random(gatherMin + 997*i)
		wait := receiving(a)
		before := a.rx.Load()
		send := func(p []byte) {
			t.Helper()
			if err := b.WriteRaw(p); err != nil {
				t.Fatal(err)
			}
		}
		front := wire.AppendFrame(nil, 1, wire.FlagStream, &wire.Object{Size: uint64(len(data))})
		front = wire.Header{Len: uint32(len(data)), Type: wire.TypeData, Tag: 1}.Append(front)
		send(front)
		// All but the last byte, in pieces that it is faster than, and some of
		// which are there when it asks.
		for p := range slices.Chunk(data[:len(data)-1], 60_000) {
			send(p)
			time.Sleep(time.Duration(i) * time.Microsecond)
		}
		want := before + int64(len(front)+len(data)-1)
		for range 1000 {
			if a.rx.Load() == want {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := a.rx.Load(); n != want {
			t.Fatalf("body %d: the reader waits for more than the last byte: %d of %d were read", i, n-before, want-before)
		}
		send(data[len(data)-1:])
		send(wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: uint64(len(data)), Sum: xxhash.Sum64(data)}))
		wantObject(t, wait(), data)
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{"5.12.0": true, "5.12-rc1": true, "5.11.22-generic": false, "6.1.0": true, "4.19": false, "10.0": true, "": false, "six": false} {
		if got := atLeast(release, 5, 12); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

// The poller knows nothing of the socket, and the descriptor is closed once.
func TestBlockingSocketTakesOver(t *testing.T) {
	x, y := tcpPair(t)
	s, err := newBlockingSocket(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket it was made of: %v", err)
	}
	if _, err := y.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 2)
	if _, err := io.ReadFull(s, p); err != nil || string(p) != "ab" {
		t.Errorf("%q, %v", p, err)
	}
	y.Close()
	if _, err := s.Read(p); err != io.EOF {
		t.Errorf("at the end %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err := newBlockingSocket(x); err == nil {
		s.Close()
		t.Error("a closed socket was taken over")
	}
}
