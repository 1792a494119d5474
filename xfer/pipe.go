package xfer

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe that is read from is grown to: the most that a user
// without privileges may ask for by default (pipe(7), pipe-max-size). At its
// first 64 KiB, writer and reader wake each other for every quarter of a chunk.
const pipeSize = 1 << 20

// growPipe enlarges the pipe that r reads from, if r is one. It ignores errors: it is
// only an optimization, and a user may have used up the pages allowed for pipes.
func growPipe(r io.Reader) {
	f, ok := r.(*os.File)
	if !ok {
		return
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && size < pipeSize {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
		}
	})
}
