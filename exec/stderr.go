package exec

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// readSize is how many bytes of stderr are read at once.
const readSize = 32 << 10

// readBuffers are for stderr pipes from which something was read.
var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// stderrPipe reads a command's stderr into a tail. group.wait does so while it waits for
// the command to end, so that no goroutine is needed, and nothing is in the runtime's
// poller: most commands write nothing here.
type stderrPipe struct {
	r, w  int             // -1 once closed
	buf   *[readSize]byte // from readBuffers, once there was something to read
	tail  tail
	ended bool // nobody has the other end, and all is read
}

// newStderrPipe makes the pipe; close must be called.
func newStderrPipe(keep int) (*stderrPipe, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &stderrPipe{r: ends[0], w: ends[1], tail: tail{max: max(0, keep)}}, nil
}

// started closes the write end. The command has it now; with ours open, the pipe would
// never end.
func (p *stderrPipe) started() {
	unix.Close(p.w)
	p.w = -1
}

// polled takes what poll(2) says of the read end.
func (p *stderrPipe) polled(events int16) {
	switch {
	case events&unix.POLLIN != 0:
		p.read(readSize)
	case events != 0: // POLLHUP
		p.ended = true
	}
}

// read reads once, at most so many bytes, and returns how many it got: 0 if nothing is
// there, or nothing more is to come.
func (p *stderrPipe) read(most int) int {
	if p.buf == nil {
		p.buf = readBuffers.Get().(*[readSize]byte)
		_ = unix.SetNonblock(p.r, true) // of this end only, see pipe2(2)
	}
	for {
		n, err := unix.Read(p.r, p.buf[:min(most, readSize)])
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return 0 // the command can read here, too: by way of /dev/stderr
		}
		if err != nil || n <= 0 {
			p.ended = true
			return 0
		}
		_, _ = p.tail.Write(p.buf[:n])
		return n
	}
}

// finish adds more to what the command has written, and returns what is kept of it, and
// how much it was in all. The command's group must be gone.
//
// An escaped process may hold the pipe open for ever, so end of file is not waited for.
// It need not be: whoever wrote has ended, and what they wrote is in the pipe. So it is
// enough to read what is there now, and no more: an escaped process may fill the pipe as
// fast as we read.
func (p *stderrPipe) finish(more string) ([]byte, int64) {
	if !p.ended {
		left, err := unix.IoctlGetInt(p.r, unix.TIOCINQ) // FIONREAD, see pipe(7)
		for err == nil && left > 0 {
			n := p.read(left)
			if n == 0 {
				break
			}
			left -= n
		}
	}
	_, _ = p.tail.Write([]byte(more))
	return p.tail.Bytes(), p.tail.total
}

// close closes what is open of both ends.
func (p *stderrPipe) close() {
	if p.buf != nil {
		readBuffers.Put(p.buf)
		p.buf = nil
	}
	for _, fd := range []int{p.r, p.w} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	p.r, p.w = -1, -1
}
