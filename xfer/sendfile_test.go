package xfer

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// A nap ends with an answer: the socket takes more, or it does not, or too many
// others nap.
func TestNap(t *testing.T) {
	a, b := tcpPair(t)
	raw, err := a.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	stats := new(Stats)
	nap := func() (more bool) {
		t.Helper()
		if err := raw.Control(func(fd uintptr) { more = stats.nap(int(fd)) }); err != nil {
			t.Fatal(err)
		}
		if n := stats.naps.Load(); n != 0 {
			t.Errorf("%d nap on after the end of the only one", n)
		}
		return more
	}
	if !nap() {
		t.Error("a socket with room takes nothing")
	}

	total := 0
	full := func() bool {
		var err error
		if cerr := raw.Control(func(fd uintptr) {
			var n int
			n, err = unix.SendmsgN(int(fd), make([]byte, 1<<16), nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			total += max(n, 0)
		}); cerr != nil {
			t.Fatal(cerr)
		}
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return err == unix.EAGAIN
	}
	// It ends, as nobody reads.
	for !full() || nap() {
	}
	if _, err := io.CopyN(io.Discard, b, int64(total)); err != nil {
		t.Fatal(err)
	}
	// The last acknowledgment may be under way.
	for !nap() {
	}

	stats.naps.Store(maxNaps)
	_ = raw.Control(func(fd uintptr) {
		if stats.nap(int(fd)) {
			t.Error("one more than may nap did")
		}
	})
	if n := stats.naps.Load(); n != maxNaps {
		t.Errorf("%d nap in place of %d", n, maxNaps)
	}
}

// A peer that is gone is no reason to nap again and again.
func TestNapGone(t *testing.T) {
	a, b := tcpPair(t)
	if err := b.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close() // resets
	c := newConn(t, a, patient)
	f := fileOf(t, []byte("text"))
	c.op.file, c.op.max = int(f.Fd()), 4
	for c.op.err == nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := c.raw.Control(func(fd uintptr) {
			if !c.sendfileNap(fd) {
				t.Error("a dead socket is waited for")
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if c.op.err != unix.EPIPE && c.op.err != unix.ECONNRESET {
		t.Errorf("error %v", c.op.err)
	}
}
