package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

func testStore(t testing.TB, dir string) *store {
	t.Helper()
	s, err := openStore(dir, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// tempFile is an unnamed file with its checksum.
type tempFile struct {
	*xfer.Temp
	size int64
	sum  uint64
}

func writeTo(s *store, text string, publish func(*tempFile) error) error {
	tmp, err := s.create()
	if err != nil {
		return err
	}
	defer tmp.Close()
	if _, err := io.WriteString(tmp, text); err != nil {
		return err
	}
	return publish(&tempFile{tmp, int64(len(text)), xxhash.Sum64String(text)})
}

// write puts a key with these bytes.
func (s *store) write(name, text string) error {
	return writeTo(s, text, func(f *tempFile) error { return s.put(f.Temp, name, f.size, f.sum) })
}

func mustWrite(t testing.TB, s *store, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := s.write(n, "bytes of "+n); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
	}
}

// read returns a key's bytes, checked.
func (s *store) read(name string) (string, error) {
	o, err := s.get(name)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b := make([]byte, o.size)
	if _, err := o.ReadAt(b, 0); err != nil && o.size > 0 {
		return "", err
	}
	if xxhash.Sum64(b) != o.sum {
		return "", errors.New("the checksum is wrong")
	}
	return string(b), nil
}

func (s *store) names(t testing.TB, prefix string, recursive bool) []string {
	t.Helper()
	list := []string{}
	err := s.list(context.Background(), prefix, recursive, func(e *wire.Entry) error {
		list = append(list, e.Name)
		return nil
	})
	if err != nil {
		t.Fatalf("list %s: %v", prefix, err)
	}
	return list
}

func setSumOf(path, text string) error {
	return unix.Setxattr(path, sumAttr, fmt.Appendf(nil, "%016x", xxhash.Sum64String(text)), 0)
}

func code(err error) wire.Code {
	var we *wire.Error
	if errors.As(err, &we) {
		return we.Code
	}
	return 0
}

func wantCode(t testing.TB, what string, err error, want wire.Code) {
	t.Helper()
	if code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// waitOrOpen waits for done; if it does not come, it opens the pipe that
// blocks, so that the test can end, and fails.
func waitOrOpen(t *testing.T, done <-chan error, pipe, what string) {
	t.Helper()
	select {
	case err := <-done:
		if err == nil {
			t.Errorf("%s succeeded", what)
		}
	case <-time.After(3 * time.Second):
		t.Errorf("%s hangs", what)
		if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			defer f.Close()
		}
		<-done
	}
}
