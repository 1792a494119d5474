package node

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A small job costs each server little more than the few files it has there. What these
// functions do with one system call, those of package os do with two to five: they look at
// what is there first, or ask whether a file can be polled.

// openFile is os.OpenFile for a regular file or a directory, and takes unix flags.
func openFile(path string, flags int, mode uint32) (*os.File, error) {
	fd, err := openFD(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func openFD(path string, flags int, mode uint32) (fd int, err error) {
	err = onPath("open", path, func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC|unix.O_LARGEFILE, mode)
		return err
	})
	return fd, err
}

// createFlags are those of os.Create, but for reading.
const createFlags = unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC

// createPrivate makes a file of a job that its commands do not need.
func createPrivate(path string) (*os.File, error) { return openFile(path, createFlags, 0o600) }

// writeFile is os.WriteFile of a file that createPrivate makes.
func writeFile(path string, data []byte) error {
	fd, err := openFD(path, createFlags, 0o600)
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		err = onPath("write", path, func() error {
			n, err := unix.Write(fd, data)
			data = data[max(n, 0):]
			return err
		})
	}
	return errors.Join(err, unix.Close(fd))
}

// rename is os.Rename for a file, or for a directory to a name that no file has.
func rename(from, to string) error {
	return onPath("rename", from, func() error { return unix.Rename(from, to) })
}

// unlink removes a file, if it is there.
func unlink(path string) error {
	err := onPath("unlink", path, func() error { return unix.Unlink(path) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// onPath makes a system call, also again if a signal has interrupted it, and words its
// error as package os does.
func onPath(op, path string, call func() error) error {
	for {
		switch err := call(); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return &os.PathError{Op: op, Path: path, Err: err}
		default:
			return nil
		}
	}
}
