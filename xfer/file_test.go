package xfer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFile(fd, path)
	if n, err := io.WriteString(f, "some bytes"); n != 10 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if at, err := f.Seek(5, io.SeekStart); at != 5 || err != nil {
		t.Errorf("seek: %d, %v", at, err)
	}
	if b, err := io.ReadAll(f); string(b) != "bytes" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if b, err := io.ReadAll(io.NewSectionReader(f, 2, 5)); string(b) != "me by" || err != nil {
		t.Errorf("read at 2: %q, %v", b, err)
	}
	if n, err := f.ReadAt(make([]byte, 20), 0); n != 10 || err != io.EOF {
		t.Errorf("read at 0: %d, %v", n, err)
	}
	if f.Name() != path || int(f.Fd()) != fd {
		t.Errorf("%s, descriptor %d", f.Name(), f.Fd())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the second close: %v", err)
	}
	// Not on a descriptor that has the number now.
	for what, err := range map[string]error{
		"read":    second(f.Read(make([]byte, 1))),
		"read at": second(f.ReadAt(make([]byte, 1), 0)),
		"write":   second(f.Write([]byte("x"))),
	} {
		var pe *os.PathError
		if !errors.As(err, &pe) || pe.Path != path || pe.Err != unix.EBADF {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

func second(_ int, err error) error { return err }
