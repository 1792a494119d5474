package xfer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"s4/wire"
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
			return a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackNever, nil)
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
