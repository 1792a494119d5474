package xfer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// A file that became shorter breaks the connection, because the frame that was begun
// cannot be completed. The receiver does not accept what was sent.
func TestShortFileBreaksConn(t *testing.T) {
	for _, c := range []struct{ have, want int }{{0, 1}, {999, 1000}, {wire.MaxData, wire.MaxData + 1}, {ChunkSize, 2 * wire.MaxData}} {
		a, b := connPair(t, patient, patient)
		data := random(c.have)
		wait := receiving(b)
		err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(c.want), xxhash.Sum64(data), PackNever, false, nil)
		if err == nil || !a.Broken() {
			t.Errorf("%d of %d bytes: %v, broken %v", c.have, c.want, err, a.Broken())
		}
		a.Close()
		if r := wait(); !errors.Is(r.err, io.ErrUnexpectedEOF) || !b.Broken() {
			t.Errorf("%d of %d bytes: the receiver got %v, broken %v", c.have, c.want, r.err, b.Broken())
		}
	}
}

func TestSourceError(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 5} {
		for _, pack := range []Packing{PackNever, PackAlways} {
			for _, size := range []int64{-1, int64(n) + 1, 1 << 40} {
				wait := receiving(b)
				_, _, err := a.SendStream(5, putHead, 0, Source{R: failing(text(n), errTest), Size: size, Pack: pack}, nil)
				var src *SourceError
				if !errors.As(err, &src) || !errors.Is(err, errTest) || src.Error() != errTest.Error() {
					t.Fatalf("%d bytes of %d: %v", n, size, err)
				}
				r := wait()
				wantCode(t, r.err, wire.CodeCanceled)
				if r.h.Tag != 5 || r.head == nil {
					t.Errorf("%d bytes of %d: no head came: %+v", n, size, r.h)
				}
				wantUsable(t, a, b)
			}
		}
	}
}

// A source that ends before its size is a source error: the file changed.
func TestSourceTooShort(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, c := range []struct{ have, want int }{{0, 1}, {5, 6}, {ChunkSize, ChunkSize + 1}, {ChunkSize, 2 * ChunkSize}, {ChunkSize + 5, 3 * ChunkSize}} {
		wait := receiving(b)
		_, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(text(c.have)), Size: int64(c.want)}, nil)
		var src *SourceError
		if !errors.As(err, &src) {
			t.Fatalf("%d of %d bytes: %v", c.have, c.want, err)
		}
		wantCode(t, wait().err, wire.CodeCanceled)
		wantUsable(t, a, b)
	}
}

func TestSinkError(t *testing.T) {
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			a, b := connPair(t, patient, patient)
			data := text(5*ChunkSize + 3)
			for _, room := range []int{0, 1, ChunkSize, 3*ChunkSize + 1, len(data) - 1} {
				for _, tell := range []bool{true, false} {
					told := 0
					var onSinkError func(error)
					if tell {
						onSinkError = func(err error) {
							told++
							if err != errTest {
								t.Errorf("told of %v", err)
							}
						}
					}
					wait := async(func() received {
						_, _, err := b.Read()
						if err == nil {
							_, _, err = b.Recv(&fullDisk{room: room, err: errTest}, onSinkError)
						}
						return received{err: err}
					})
					s.send(t, a, data)
					r := wait()
					var sink *SinkError
					if !errors.As(r.err, &sink) || !errors.Is(r.err, errTest) || sink.Error() != errTest.Error() {
						t.Fatalf("room for %d: %v", room, r.err)
					}
					if tell && told != 1 {
						t.Fatalf("room for %d: told %d times", room, told)
					}
					wantUsable(t, a, b)
				}
			}
		})
	}
}

// The receiver's full disk is reported even if the sender gives up after it.
func TestSinkErrorThenAbort(t *testing.T) {
	a, b := connPair(t, patient, patient)
	full := make(chan struct{})
	wait := async(func() error {
		_, _, err := b.Read()
		if err == nil {
			_, _, err = b.Recv(&fullDisk{err: errTest}, func(error) { close(full) })
		}
		return err
	})
	src := newGate(text(ChunkSize), text(ChunkSize))
	sent := async(func() error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: src, Size: -1}, func() bool { return true })
		return err
	})
	<-full
	close(src.open)
	if err := sent(); !errors.Is(err, ErrRefused) {
		t.Fatalf("sender: %v", err)
	}
	if err := wait(); !errors.Is(err, errTest) {
		t.Fatalf("receiver: %v", err)
	}
	wantUsable(t, a, b)
}

func TestRefusedStream(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, chunks := range []int{1, 2, 5} {
		for _, pack := range []Packing{PackNever, PackAlways} {
			asked := 0
			wait := receiving(b)
			// The reader never ends: only being refused ends this.
			n, _, err := a.SendStream(1, putHead, 0, Source{R: endless{}, Size: -1, Pack: pack}, func() bool { asked++; return asked == chunks })
			if err != ErrRefused || n != int64(chunks*ChunkSize) {
				t.Fatalf("after %d chunks: %d bytes, %v", chunks, n, err)
			}
			r := wait()
			wantCode(t, r.err, wire.CodeCanceled)
			if r.n != n {
				t.Errorf("%d bytes came, %d were sent", r.n, n)
			}
			wantUsable(t, a, b)
		}
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestRefusedFile(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := random(2*wire.MaxData + 1)
	for _, frames := range []int{1, 2} {
		asked := 0
		wait := receiving(b)
		err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), 0, PackNever, false, func() bool { asked++; return asked == frames })
		if err != ErrRefused {
			t.Fatalf("after %d frames: %v", frames, err)
		}
		r := wait()
		wantCode(t, r.err, wire.CodeCanceled)
		if r.n != int64(frames*wire.MaxData) {
			t.Errorf("%d bytes came, want %d frames", r.n, frames)
		}
		wantUsable(t, a, b)
	}
}

// An ERROR may take the place of the rest of a stream.
func TestErrorInsideStream(t *testing.T) {
	a, b := connPair(t, patient, patient)
	sent := &wire.Error{Code: wire.CodeStorage, Key: "b/k", Text: "the disk broke"}
	wait := receiving(b)
	for _, err := range []error{a.Write(1, 0, putHead), a.WriteData(1, wire.TypeData, text(5000)), a.Write(1, 0, sent)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := wait()
	wantCode(t, r.err, wire.CodeStorage)
	if *r.err.(*PeerError).Said != *sent {
		t.Errorf("got %+v", r.err)
	}
	wantUsable(t, a, b)
	// And of the head.
	if err := a.Write(1, 0, sent); err != nil {
		t.Fatal(err)
	}
	wantCode(t, receive(b).err, wire.CodeStorage)
	wantUsable(t, a, b)
}

// A malformed message inside a good frame leaves the connection usable. Raw bytes in
// the place of a message do not.
func TestReadMessageErrors(t *testing.T) {
	a, b := connPair(t, patient, patient)
	if err := a.WriteRaw([]byte("\x00\x00\x00\x03\x20\x00\x00\x01xyz")); err != nil {
		t.Fatal(err)
	}
	h, _, err := b.Read()
	wantCode(t, err, wire.CodeBadRequest)
	if h.Type != wire.TypeList || h.Tag != 1 {
		t.Errorf("header %+v", h)
	}
	wantUsable(t, a, b)
	if err := a.WriteData(1, wire.TypeData, []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.Read()
	wantCode(t, err, wire.CodeBadRequest)
	if !b.Broken() {
		t.Error("not broken")
	}
}

func TestReadBytesErrors(t *testing.T) {
	a, b := connPair(t, patient, patient)
	if err := a.WriteRaw([]byte("\x00\x00\x00\x01\x15\x01\x00\x01x")); err != nil {
		t.Fatal(err)
	}
	h, err := b.ReadHeader()
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.ReadBytes(h, io.Discard), wire.CodeBadRequest)
	if !b.Broken() {
		t.Error("not broken by a packed frame")
	}

	a, b = connPair(t, patient, patient)
	sent := async(func() error { return a.WriteData(1, wire.TypeStderr, text(wire.MaxData)) })
	if h, err = b.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	err = b.ReadBytes(h, &fullDisk{room: 10, err: errTest})
	var sink *SinkError
	if !errors.As(err, &sink) || !errors.Is(err, errTest) || !b.Broken() {
		t.Errorf("%v, broken %v", err, b.Broken())
	}
	if err := sent(); err != nil { // all was read all the same
		t.Error(err)
	}
}

// Close ends what is under way at this end with net.ErrClosed.
func TestCloseDuringUse(t *testing.T) {
	a, b := connPair(t, patient, patient)
	wait := receiving(b)
	src := newGate(text(ChunkSize), nil)
	sent := async(func() error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: src, Size: -1}, nil)
		return err
	})
	<-src.reached
	b.Close()
	if r := wait(); !errors.Is(r.err, net.ErrClosed) {
		t.Errorf("receiver: %v", r.err)
	}
	a.Close()
	close(src.open)
	if err := sent(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sender: %v", err)
	}
	for _, c := range []*Conn{a, b} {
		if !c.Broken() || !c.Stale() {
			t.Error("closed, and not broken and stale")
		}
		if err := c.Write(1, 0, putHead); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if _, err := c.ReadHeader(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
	}
}

func TestNewConnOfClosed(t *testing.T) {
	tcp, _ := tcpPair(t)
	c, err := NewConn(tcp, 0, nil)
	if err != nil || c.Timeout() != DefaultTimeout || c.RemoteAddr().String() != tcp.RemoteAddr().String() {
		t.Errorf("%v, timeout %v", err, c.Timeout())
	}
	c.Close()
	if _, err := c.ReadHeader(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}

// Drain ends when the peer does, with whatever was still on the way.
func TestDrain(t *testing.T) {
	a, b := connPair(t, patient, patient)
	drained := async(func() bool { b.Drain(patient); return true })
	data := random(4 * wire.MaxData)
	f := fileOf(t, data)
	if err := a.SendFile(1, putHead, 0, f, int64(len(data)), 0, PackNever, false, nil); err != nil {
		t.Fatal(err)
	}
	a.Close()
	drained()
	if !b.Broken() {
		t.Error("not broken")
	}
	b.Drain(patient) // at the end already
	b.Close()
	b.Drain(patient)
}

// A reader that says that its input was cut (an HTTP body, a gzip stream)
// does so with io.ErrUnexpectedEOF. That must not pass for the end.
func TestTruncatedSource(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, n := range []int{0, 5, ChunkSize, ChunkSize + 5} {
		wait := receiving(b)
		_, _, err := a.SendStream(1, putHead, 0, Source{R: failing(text(n), io.ErrUnexpectedEOF), Size: -1}, nil)
		var src *SourceError
		if !errors.As(err, &src) {
			t.Errorf("a source cut after %d bytes was sent: %v", n, err)
		}
		if r := wait(); r.err == nil {
			t.Errorf("a source cut after %d bytes was received as whole", n)
		}
	}
}
