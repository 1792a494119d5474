package xfer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// The tests here are about silence, so they take time. None asserts how long
// anything takes: where an end must bear with the other, the other pings many
// times within its patience.
const (
	brisk   = 300 * time.Millisecond // pings every 100 ms
	lenient = 1200 * time.Millisecond
	forlong = 2 * lenient // longer than lenient bears
)

func TestPingsAreSkipped(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := text(1000)
	ping := wire.Empty{T: wire.TypePing}
	pings := func(n int) {
		for range n {
			if err := a.Write(3, 0x7f, ping); err != nil {
				t.Fatal(err)
			}
		}
	}
	wait := receiving(b)
	pings(2)
	if err := a.Write(1, 0, putHead); err != nil {
		t.Fatal(err)
	}
	pings(1)
	for i := range data {
		if i%100 == 0 {
			pings(i / 100)
			if err := a.WriteData(1, wire.TypeData, data[i:i+100]); err != nil {
				t.Fatal(err)
			}
		}
	}
	pings(1)
	sum := sumOf(data)
	if err := a.Write(1, 0, &wire.Trailer{Length: 1000, Sum: sum}); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
	wantUsable(t, a, b)
}

func sumOf(data []byte) uint64 {
	_, sum, _ := Hash(bytes.NewReader(data))
	return sum
}

// A producer may be slow for longer than the receiver bears silence.
func TestSlowProducer(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"before the head": 0, "in mid stream": ChunkSize} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connPair(t, brisk, lenient)
			src := newGate(text(n), []byte("end"))
			wait := receiving(b)
			time.AfterFunc(forlong, func() { close(src.open) })
			if _, _, err := a.SendStream(1, putHead, 0, Source{R: src, Size: -1}, nil); err != nil {
				t.Fatal(err)
			}
			wantObject(t, wait(), append(text(n), "end"...))
			wantUsable(t, a, b)
		})
	}
}

// KeepAlive pings until it is stopped, and not after.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	ca, cb := tcpPair(t)
	a := newConn(t, ca, brisk)
	stop := a.KeepAlive(nil)
	readPings(t, cb, 5)
	stop()
	stop() // harmless
	a.Close()
	if rest, err := io.ReadAll(cb); err != nil || !bytes.Equal(rest, bytes.Repeat(pingFrame, len(rest)/len(pingFrame))) {
		t.Errorf("%x, %v", rest, err)
	}
	b := newConn(t, cb, brisk)
	b.Close()
	defer b.KeepAlive(nil)() // of a broken connection ends by itself
}

func TestSilentPeerIsDropped(t *testing.T) {
	t.Parallel()
	head := string(wire.AppendFrame(nil, 1, 0, putHead))
	for name, sent := range map[string]string{
		"before a frame": "",
		"in a header":    head[:5],
		"in a message":   head[:12],
		"after a head":   head,
		"in data":        head + "\x00\x00\x10\x00\x15\x00\x00\x01some",
		"in an lz4":      head + "\x00\x00\x10\x00\x15\x01\x00\x01some",
		"after data":     head + "\x00\x00\x00\x04\x15\x00\x00\x01some",
		"in a trailer":   head + "\x00\x00\x00\x10\x16\x00\x00\x01some",
		"in a ping":      "\x00\x00\x00\x04\x03\x80\x00\x01som",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, cb := tcpPair(t)
			b := newConn(t, cb, brisk)
			if _, err := io.WriteString(ca, sent); err != nil {
				t.Fatal(err)
			}
			r := receive(b)
			wantCode(t, r.err, wire.CodeTimeout)
			if !b.Broken() {
				t.Error("not broken")
			}
		})
	}
}

// heldUp is a socket whose next calls find their deadlines passed, as if this process
// had been stopped meanwhile.
type heldUp struct {
	socket
	control
	n    int
	each func(left int) // or nil; before each
}

func (s *heldUp) late() bool {
	if s.n == 0 {
		return false
	}
	s.n--
	if s.each != nil {
		s.each(s.n)
	}
	return true
}

func (s *heldUp) Read(p []byte) (int, error) {
	if s.late() {
		return 0, os.ErrDeadlineExceeded
	}
	return s.socket.Read(p)
}

func (s *heldUp) Write(f func(uintptr) bool) error {
	if s.late() {
		return os.ErrDeadlineExceeded
	}
	return s.control.Write(f)
}

// A single deadline that has passed is not silence: this end may have been stopped.
func TestDeadlinesThatPass(t *testing.T) {
	for n := range silentPeriods + 1 {
		a, b := connPair(t, patient, patient)
		if err := b.Write(1, 0, &wire.Get{Key: "b/k"}); err != nil {
			t.Fatal(err)
		}
		late := &heldUp{socket: a.tcp, control: a.raw, n: n}
		a.tcp, a.raw = late, late
		_, _, err := a.Read()
		if late.n = n; err == nil {
			err = a.Write(1, 0, wire.Empty{T: wire.TypeOK})
		}
		if n < silentPeriods && err != nil {
			t.Errorf("%d silent periods: %v", n, err)
		}
		if n == silentPeriods {
			wantCode(t, err, wire.CodeTimeout)
		}

		// A ping that arrives starts the count anew.
		a, b = connPair(t, patient, patient)
		late = &heldUp{socket: a.tcp, control: a.raw, n: silentPeriods + n}
		late.each = func(left int) {
			if left == silentPeriods-1 {
				had := a.inbound()
				if err := b.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
					t.Error(err)
				}
				until(t, "a ping arrives", func() bool { return a.inbound() != had })
			}
		}
		a.tcp, a.raw = late, late
		if err := a.Write(1, 0, wire.Empty{T: wire.TypeOK}); n < silentPeriods && err != nil {
			t.Errorf("%d silent periods, a ping, and %d more: %v", n, silentPeriods-1, err)
		} else if n == silentPeriods {
			wantCode(t, err, wire.CodeTimeout)
		}
	}
}

// A sender gives up a peer that neither takes anything nor says anything.
func TestBlockedSenderGivesUp(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name string
		send func(a *Conn) error
	}{
		{"sendfile", func(a *Conn) error {
			return a.SendFile(1, putHead, 0, fileOf(t, make([]byte, 4*wire.MaxData)), 4*wire.MaxData, 0, PackNever, false, nil)
		}},
		{"stream", func(a *Conn) error {
			_, _, err := a.SendStream(1, putHead, 0, Source{R: endless{}, Size: -1}, nil)
			return err
		}},
	} {
		ca, _ := tcpPair(t)
		a := newConn(t, ca, brisk)
		wantCode(t, s.send(a), wire.CodeTimeout)
		if !a.Broken() {
			t.Errorf("%s: not broken", s.name)
		}
	}
}

// A peer that is slow to consume, for longer than the sender bears, but
// pings, is not dropped.
func TestSlowConsumerThatPings(t *testing.T) {
	t.Parallel()
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			a, b := connPair(t, lenient, patient)
			data := random(2*wire.MaxData + 1) // more than the sockets hold
			sent := async(func() error { s.send(t, a, data); return nil })
			for start := time.Now(); time.Since(start) < forlong; time.Sleep(brisk / 3) {
				if err := b.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
					t.Fatal(err)
				}
			}
			wait := receiving(b)
			sent()
			wantObject(t, wait(), data)
			if a.Broken() {
				t.Error("the sender gave up")
			}
		})
	}
}

// An end that waits for requests and is kept alive pings a peer that has none,
// for ever, and then takes its request.
func TestAwaitHeaderPings(t *testing.T) {
	t.Parallel()
	ca, cb := tcpPair(t)
	a := newConn(t, ca, brisk)
	defer a.KeepAlive(func() bool { return false })()
	wait := async(func() received {
		h, err := a.AwaitHeader(nil)
		if err != nil {
			return received{err: err}
		}
		m, err := a.ReadMessage(h)
		return received{h: h, head: m, err: err}
	})
	readPings(t, cb, 3)
	if _, err := cb.Write(append(bytes.Clone(pingFrame), wire.AppendFrame(nil, 4, 0, &wire.Get{Key: "b/k"})...)); err != nil {
		t.Fatal(err)
	}
	if r := wait(); r.err != nil || r.h.Tag != 4 || r.head.(*wire.Get).Key != "b/k" {
		t.Fatalf("%+v", r)
	}
	// What begins a request must end it.
	wait = async(func() received { _, err := a.AwaitHeader(nil); return received{err: err} })
	if _, err := cb.Write([]byte("\x00\x00")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, wait().err, wire.CodeTimeout)
}

// The end of an idle connection is io.EOF, or the reset that a ping gets.
func TestAwaitHeaderEnd(t *testing.T) {
	t.Parallel()
	a, b := connPair(t, patient, patient)
	b.Close()
	if _, err := a.AwaitHeader(nil); err != io.EOF || !a.Broken() {
		t.Errorf("closed: %v, broken %v", err, a.Broken())
	}
	a, b = connPair(t, patient, patient)
	if err := b.tcp.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := a.AwaitHeader(nil); !errors.Is(err, unix.ECONNRESET) || !a.Broken() {
		t.Errorf("reset: %v, broken %v", err, a.Broken())
	}
	a, b = connPair(t, brisk, patient)
	defer a.KeepAlive(func() bool { return false })()
	wait := async(func() error { _, err := a.AwaitHeader(nil); return err })
	readPings(t, b.tcp, 1)
	a.Close()
	if err := wait(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed here: %v", err)
	}
}

func TestStale(t *testing.T) {
	a, b := connPair(t, patient, patient)
	if a.Stale() || b.Stale() {
		t.Error("a new connection is stale")
	}
	wantUsable(t, a, b)
	if a.Stale() || b.Stale() {
		t.Error("a used connection is stale")
	}
	if err := b.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
		t.Fatal(err)
	}
	until(t, "a ping arrives", func() bool { return a.inbound() == int64(len(pingFrame)) })
	if a.Stale() {
		t.Error("a connection with a ping to read is stale")
	}
	if a.inbound() != int64(len(pingFrame)) {
		t.Error("Stale reads")
	}
	a, b = connPair(t, patient, patient)
	b.Close()
	until(t, "closed by the peer is stale", a.Stale)
	a, b = connPair(t, patient, patient)
	if err := b.tcp.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	until(t, "reset by the peer is stale", a.Stale)
	a, _ = connPair(t, patient, patient)
	a.Close()
	if !a.Stale() {
		t.Error("closed here is not stale")
	}
}

func TestWaitGone(t *testing.T) {
	t.Parallel()
	gone := func(c *Conn) (ch chan struct{}, stop func()) {
		ch = make(chan struct{})
		return ch, c.WaitGone(func() { close(ch) }) // twice would panic
	}

	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		a, b := connPair(t, patient, patient)
		ch, stop := gone(a)
		b.Close()
		<-ch
		stop()
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		a, b := connPair(t, patient, patient)
		ch, stop := gone(a)
		if err := a.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
			t.Fatal(err)
		}
		until(t, "a ping arrives", func() bool { return b.inbound() > 0 })
		b.Close() // with something unread: the kernel sends a reset
		<-ch
		stop()
	})
	t.Run("closed here", func(t *testing.T) {
		t.Parallel()
		a, _ := connPair(t, patient, patient)
		ch, stop := gone(a)
		a.Close()
		<-ch
		stop()
	})
	t.Run("with a request waiting", func(t *testing.T) {
		t.Parallel()
		a, b := connPair(t, patient, patient)
		ch, stop := gone(a)
		if err := b.Write(1, 0, &wire.Get{Key: "b/k"}); err != nil {
			t.Fatal(err)
		}
		b.Close()
		<-ch
		stop()
	})
	// nc -N says that it sends no more and goes on to read. It is there as
	// long as it takes pings; the pings it gets are this test's clock.
	t.Run("half closed", func(t *testing.T) {
		t.Parallel()
		ca, cb := tcpPair(t)
		a := newConn(t, ca, patient)
		ch, stop := gone(a)
		if err := cb.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		readPings(t, cb, 4)
		select {
		case <-ch:
			t.Error("gone, though the half-closed peer lives")
		default:
		}
		// And an answer still reaches it.
		if err := a.Write(1, 0, wire.Empty{T: wire.TypeOK}); err != nil {
			t.Fatal(err)
		}
		cb.Close()
		<-ch
		stop()
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		a, b := connPair(t, patient, patient)
		var calls atomic.Int32
		stop := a.WaitGone(func() { calls.Add(1) })
		stop() // returns when nobody watches any more
		b.Close()
		until(t, "closed", a.Stale)
		if calls.Load() != 0 {
			t.Error("called after stop")
		}
	})
}

// A server pings idle connections. One that then closes is gone all the same.
func TestStaleBehindPing(t *testing.T) {
	a, b := connPair(t, patient, patient)
	if err := b.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	until(t, "stale behind an unread ping", a.Stale)
}

// After a timeout has cut a frame nothing may be written: the peer would take it for
// the rest of that frame.
func TestNoWriteInsideTornFrame(t *testing.T) {
	ca, cb := tcpPair(t)
	a := newConn(t, ca, brisk)
	wantCode(t, a.WriteData(1, wire.TypeData, text(wire.MaxData)), wire.CodeTimeout)
	drained := async(func() int64 { n, _ := io.Copy(io.Discard, cb); return n })
	err := a.Write(1, 0, wire.Empty{T: wire.TypeOK})
	a.Close()
	drained()
	if err == nil {
		t.Error("an OK was written into the middle of a DATA frame")
	}
}
