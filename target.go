package s4

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

var errIsDir = errors.New("is a directory (use -r for all below it)")

// localError is the error for a local file that cannot be written.
type localError struct {
	path string
	err  error
}

// Error returns what happened, and what the user can do.
func (e *localError) Error() string {
	reason, hint := e.err.Error(), ""
	var errno syscall.Errno
	if errors.As(e.err, &errno) {
		reason = errno.Error()
	}
	dir := filepath.Dir(e.path)
	var at *os.PathError
	switch {
	case errors.Is(e.err, syscall.EISDIR):
		reason, hint = "a directory is there", "copy the key to another place, or move the directory away"
	case errors.Is(e.err, syscall.ENOTDIR):
		file := dir
		if errors.As(e.err, &at) && at.Path != "" {
			file = at.Path
		}
		reason, hint = file+" is no directory", "copy the key to another place, or move the file away"
	case errors.Is(e.err, syscall.EACCES), errors.Is(e.err, syscall.EPERM):
		hint = "you need permission to write to " + dir + ", or another place"
	case errors.Is(e.err, syscall.EROFS):
		hint = "copy to another place"
	case errors.Is(e.err, syscall.ENOENT) && isDirectory(dir):
		hint = "no file can be made there: copy to another place"
	case errors.Is(e.err, syscall.ENOENT):
		reason, hint = "there is no directory "+dir, "make it first, or end the name with a slash for a new directory"
	}
	s := "cannot write " + e.path + ": " + reason
	if hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *localError) Unwrap() error { return e.err }

// target is a local file that a download writes.
type target struct {
	dir  *os.File // the directory of the file, or nil if dev is set
	path string
	dev  *os.File // a device or pipe, which is written in place, or nil
}

// openTarget prepares to write path. It follows symbolic links, as cp(1) does. A device or
// pipe is opened and written in place, as it cannot be replaced.
func openTarget(path string) (*target, error) {
	if fd, ok := ownFile(path); ok {
		// Dup shares the file offset: what a shell has written to the file before
		// stays, and what it writes next comes after.
		own, err := syscall.Dup(fd)
		if err != nil {
			return nil, &localError{path, err}
		}
		return &target{dev: os.NewFile(uintptr(own), path)}, nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	fi, err := os.Stat(path)
	switch {
	case err == nil && fi.IsDir():
		return nil, &localError{path, syscall.EISDIR}
	case err == nil && !fi.Mode().IsRegular():
		dev, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, &localError{path, err}
		}
		return &target{dev: dev}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, &localError{path, err}
	}
	return &target{dir: dir, path: path}, nil
}

// ownFile returns the file descriptor if path names an open file of this process, such as
// /dev/stdout.
func ownFile(path string) (fd int, ok bool) {
	switch path = filepath.Clean(path); path {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	number, ok := strings.CutPrefix(path, "/dev/fd/")
	if !ok {
		number, ok = strings.CutPrefix(path, "/proc/self/fd/")
	}
	fd, err := strconv.Atoi(number)
	return fd, ok && err == nil
}

// receive reads one object from conn and publishes it when it is verified. A local failure
// is a *xfer.SinkError. The stream is read to its end even then.
func (t *target) receive(conn *xfer.Conn, m *wire.Object, moved *atomic.Int64) error {
	if t.dev != nil {
		n, sum, err := conn.Recv(countWrite(t.dev, moved), nil)
		return verifyObject(m, n, sum, err)
	}
	return receiveFile(conn, int(t.dir.Fd()), t.path, m, moved)
}

// receiveFile is receive for the regular file at path, which is new or replaced. dir is
// the open directory of path.
func receiveFile(conn *xfer.Conn, dir int, path string, m *wire.Object, moved *atomic.Int64) error {
	tmp, err := xfer.CreateTemp(dir, 0o666)
	if err != nil {
		return drain(conn, &localError{path, err})
	}
	defer tmp.Close()
	if err := tmp.Preallocate(int64(m.Size)); err != nil {
		return drain(conn, &localError{path, err})
	}
	// Preallocate has set the size: a short stream shows in what Recv returns only.
	n, sum, err := conn.Recv(countWrite(tmp.File, moved), nil)
	if err := verifyObject(m, n, sum, err); err != nil {
		var snk *xfer.SinkError
		if errors.As(err, &snk) {
			return &xfer.SinkError{Err: &localError{path, snk.Err}}
		}
		return err
	}
	if err := tmp.Replace(dir, filepath.Base(path)); err != nil {
		return &xfer.SinkError{Err: &localError{path, err}}
	}
	return nil
}

// drain reads a stream that cannot be stored, so that the connection can be used again.
// It returns why as a *xfer.SinkError.
func drain(conn *xfer.Conn, why error) error {
	_, _, err := conn.Recv(failingWriter{why}, nil)
	if err == nil {
		err = &xfer.SinkError{Err: why}
	}
	return err
}

// failingWriter fails every write.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func (t *target) close() {
	if t.dev != nil {
		t.dev.Close()
	}
	if t.dir != nil {
		t.dir.Close()
	}
}

func isDirectory(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
