package xfer

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenRegular is os.Open for a file that is known to be a regular one, whose reads
// cannot be polled. os.Open takes five system calls more to find that out. The error is
// an *os.PathError. The caller closes the file.
func OpenRegular(path string) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR: // as in os.Open, see go.dev/issue/11180
		default:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
