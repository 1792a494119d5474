package exec

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// readBuffers are for reading stderr pipes, one while a command runs.
var readBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// stderrPipe reads a command's stderr into a tail.
type stderrPipe struct {
	r, w *os.File
	done chan struct{} // closed when the reading goroutine has ended; nil before start
	tail tail          // the reading goroutine's until done, then finish's
}

// newStderrPipe makes the pipe; close must be called.
func newStderrPipe(keep int) (*stderrPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &stderrPipe{r: r, w: w, tail: tail{max: max(0, keep)}}
	// Without deadlines finish could hang, so find out before bash is started.
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// start begins to read. The command has the write end now; ours is closed, or the
// pipe would never end.
func (p *stderrPipe) start() {
	p.w.Close()
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		buf := readBuffers.Get().(*[32 << 10]byte)
		defer readBuffers.Put(buf)
		for {
			n, err := p.r.Read(buf[:])
			p.tail.Write(buf[:n])
			if err != nil { // end of file, or finish's deadline
				return
			}
		}
	}()
}

// finish adds more to what the command has written, and returns what is kept of it, and
// how much it was in all. The command's group must be gone.
//
// An escaped process may hold the pipe open for ever, so end of file is not
// waited for. It need not be: whoever wrote has ended, and what they wrote is
// in the pipe, so reading until it is empty gets all of it, at once.
func (p *stderrPipe) finish(more string) ([]byte, int64) {
	_ = p.r.SetReadDeadline(time.Unix(1, 0)) // worked in newStderrPipe
	<-p.done
	p.drain()
	_, _ = p.tail.Write([]byte(more))
	return p.tail.Bytes(), p.tail.total
}

// drain reads what is in the pipe without ever blocking, and no more than a
// pipe holds: an escaped process may fill it as fast as we read.
func (p *stderrPipe) drain() {
	rc, err := p.r.SyscallConn()
	if err != nil {
		return
	}
	buf := readBuffers.Get().(*[32 << 10]byte)
	defer readBuffers.Put(buf)
	// Control, not Read, which would heed the deadline. The read end is
	// nonblocking since os.Pipe gave it to the poller.
	_ = rc.Control(func(fd uintptr) {
		left, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
		if err != nil {
			left = 64 << 10 // pipe(7)
		}
		for left > 0 {
			n, err := unix.Read(int(fd), buf[:min(left, len(buf))])
			if err == unix.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			p.tail.Write(buf[:n])
			left -= n
		}
	})
}

// close closes both ends and, where start was called, waits for its goroutine.
// It may follow finish.
func (p *stderrPipe) close() {
	p.w.Close()
	p.r.Close()
	if p.done != nil {
		<-p.done
	}
}
