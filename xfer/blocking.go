package xfer

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is what a Conn needs of a *net.TCPConn, or of a blockingSocket.
type socket interface {
	io.ReadCloser
	CloseWrite() error
	RemoteAddr() net.Addr
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// blockingSocket is a TCP connection whose system calls block in the kernel, outside
// of the runtime's poller. Each call that waits takes a thread, so it does not suit a
// server with many connections. For a single busy connection it is cheaper: the
// poller wakes a thread for every segment that arrives, even while nobody waits for
// it (bench/NOTES.md, Get).
type blockingSocket struct {
	fd        int
	remote    net.Addr
	closed    atomic.Bool
	canGather bool
	use       sync.RWMutex // held for reading while fd is in use
}

// newBlockingSocket takes over tcp, which is closed in any case.
func newBlockingSocket(tcp *net.TCPConn) (*blockingSocket, error) {
	defer tcp.Close() // leaves the poller
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &blockingSocket{fd: -1, remote: tcp.RemoteAddr(), canGather: lowatWorks()}
	cerr := raw.Control(func(fd uintptr) {
		if s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(s.fd, false)
		}
	})
	if err == nil {
		err = cerr
	}
	if err != nil {
		if s.fd >= 0 {
			unix.Close(s.fd)
		}
		return nil, os.NewSyscallError("fcntl", err)
	}
	return s, nil
}

// RemoteAddr returns the peer's address.
func (s *blockingSocket) RemoteAddr() net.Addr { return s.remote }

// acquire keeps fd open until release is called. It fails if the socket is closed.
func (s *blockingSocket) acquire() error {
	s.use.RLock()
	if s.closed.Load() {
		s.use.RUnlock()
		return net.ErrClosed
	}
	return nil
}

func (s *blockingSocket) release() { s.use.RUnlock() }

// why returns the error that package net would return for that of a system call.
func (s *blockingSocket) why(call string, err error) error {
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case err == unix.EAGAIN:
		return os.ErrDeadlineExceeded // of SO_RCVTIMEO or SO_SNDTIMEO
	}
	return os.NewSyscallError(call, err)
}

func (s *blockingSocket) Read(p []byte) (int, error) {
	if err := s.acquire(); err != nil {
		return 0, err
	}
	defer s.release()
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, s.why("read", err)
		case n == 0 && len(p) > 0:
			if s.closed.Load() {
				return 0, net.ErrClosed
			}
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Control calls f with the descriptor, as syscall.RawConn has it.
func (s *blockingSocket) Control(f func(fd uintptr)) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	f(uintptr(s.fd))
	return nil
}

// Write calls f, which writes and reports false if that would block. Here, false means
// that it has blocked until the deadline.
func (s *blockingSocket) Write(f func(fd uintptr) bool) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if !f(uintptr(s.fd)) {
		return s.why("send", unix.EAGAIN)
	}
	return nil
}

// SetReadDeadline sets a timeout for every read from now on (socket(7)): the time that
// is left until t. It differs from a deadline for reads that begin later.
func (s *blockingSocket) SetReadDeadline(t time.Time) error {
	return s.setTimeout(unix.SO_RCVTIMEO, t)
}

// SetWriteDeadline is SetReadDeadline for what is written.
func (s *blockingSocket) SetWriteDeadline(t time.Time) error {
	return s.setTimeout(unix.SO_SNDTIMEO, t)
}

func (s *blockingSocket) setTimeout(option int, t time.Time) error {
	var tv unix.Timeval // 0 is for ever
	if !t.IsZero() {
		tv = unix.NsecToTimeval(int64(max(time.Until(t), time.Millisecond)))
	}
	var err error
	cerr := s.Control(func(fd uintptr) { err = unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, option, &tv) })
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt", err)
}

// gather makes a blocked read wait until n bytes have arrived, or the stream ends, or
// it fails, or its deadline passes (socket(7), SO_RCVLOWAT). The reader then waits
// less often, and the sender's system calls wake it less often.
//
// The caller must be sure that 2n more bytes come, even if it reads fewer: a read may
// take almost n bytes that are there already, and then sleeps until n more arrive.
// If the peer falls silent, the read returns what came when the deadline passes.
func (s *blockingSocket) gather(n int) error {
	if !s.canGather {
		return nil
	}
	var err error
	cerr := s.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) })
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt", err)
}

// lowatWorks reports whether the kernel wakes a read that waits for more bytes than
// the receive window has room for. Linux does since 5.12 ("tcp: fix SO_RCVLOWAT
// related hangs under mem pressure").
func lowatWorks() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	return atLeast(unix.ByteSliceToString(u.Release[:]), 5, 12)
}

// atLeast compares the release of a kernel, such as 6.18.44-cloud.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// CloseWrite tells the peer that nothing more comes.
func (s *blockingSocket) CloseWrite() error {
	var err error
	if cerr := s.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }); cerr != nil {
		return cerr
	}
	return os.NewSyscallError("shutdown", err)
}

// Close ends blocked calls, waits for them to return and closes the descriptor.
func (s *blockingSocket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // fails if it is not connected any more; then nothing blocks
	s.use.Lock()
	defer s.use.Unlock()
	return os.NewSyscallError("close", unix.Close(s.fd))
}

// control is what a Conn needs of a syscall.RawConn.
type control interface {
	Control(f func(fd uintptr)) error
	Write(f func(fd uintptr) bool) error
}

var _ control = syscall.RawConn(nil)
