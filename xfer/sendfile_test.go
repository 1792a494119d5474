package xfer

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// A brief poll ends with an answer: the socket takes more bytes, or it does not, or
// too many others poll.
func TestPollBriefly(t *testing.T) {
	a, b := tcpPair(t)
	raw, err := a.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	stats := new(Stats)
	poll := func() (more bool) {
		t.Helper()
		if err := raw.Control(func(fd uintptr) { more = stats.pollBriefly(int(fd)) }); err != nil {
			t.Fatal(err)
		}
		if n := stats.polls.Load(); n != 0 {
			t.Errorf("%d polls are counted after the end of the only one", n)
		}
		return more
	}
	if !poll() {
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
	for !full() || poll() {
	}
	if _, err := io.CopyN(io.Discard, b, int64(total)); err != nil {
		t.Fatal(err)
	}
	// The last acknowledgment may be under way.
	for !poll() {
	}

	stats.polls.Store(maxPolls)
	_ = raw.Control(func(fd uintptr) {
		if stats.pollBriefly(int(fd)) {
			t.Error("one more poll than allowed")
		}
	})
	if n := stats.polls.Load(); n != maxPolls {
		t.Errorf("%d polls are counted, want %d", n, maxPolls)
	}
}

// A send to a peer that is gone fails at once, and does not poll again and again.
func TestPollBrieflyGone(t *testing.T) {
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
			if !c.sendfilePoll(fd) {
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
