package xfer

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// File is an open file or directory that is no pipe, socket or device. It does what is
// needed of an *os.File, which asks for each file whether it can be polled: none of these
// can, and the question takes up to six system calls.
//
// A File is used by one goroutine at a time. Its owner closes it, or it stays open.
type File struct {
	fd   int // -1 once closed
	name string
}

// NewFile makes a File of a descriptor, which it owns from then on. The name is for
// errors.
func NewFile(fd int, name string) *File { return &File{fd: fd, name: name} }

// Fd returns the descriptor, which is the File's to close.
func (f *File) Fd() uintptr { return uintptr(f.fd) }

// Name returns the name that NewFile was given.
func (f *File) Name() string { return f.name }

// Read reads from the file's offset. An error other than io.EOF is an *os.PathError.
func (f *File) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(f.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, &os.PathError{Op: "read", Path: f.name, Err: err}
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// ReadAt reads all of p from an offset in the file. An error other than io.EOF is an
// *os.PathError.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, &os.PathError{Op: "read", Path: f.name, Err: err}
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

// Write writes all of p at the file's offset. An error is an *os.PathError.
func (f *File) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(f.fd, p[done:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, &os.PathError{Op: "write", Path: f.name, Err: err}
		default:
			done += n
		}
	}
	return done, nil
}

// Seek sets the offset, as os.File.Seek does.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	at, err := unix.Seek(f.fd, offset, whence)
	if err != nil {
		return 0, &os.PathError{Op: "seek", Path: f.name, Err: err}
	}
	return at, nil
}

// Close closes the file. A second Close returns os.ErrClosed.
func (f *File) Close() error {
	if f.fd < 0 {
		return os.ErrClosed
	}
	err := unix.Close(f.fd)
	f.fd = -1
	return os.NewSyscallError("close", err)
}
