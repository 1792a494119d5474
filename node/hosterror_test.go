package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// A fault of the host is reported with what to do about it, in the same words
// everywhere, and without the server's own file names.
func TestHostError(t *testing.T) {
	for errno, want := range map[unix.Errno]struct {
		code wire.Code
		text string
	}{
		unix.ENOSPC: {wire.CodeNoSpace, "the disk is full"},
		unix.EDQUOT: {wire.CodeNoSpace, "the disk quota is used up"},
		unix.EROFS:  {wire.CodeStorage, "the data directory is read-only (see dmesg, and mount it for writing)"},
		unix.EMFILE: {wire.CodeStorage, "out of file descriptors (start s4-server with a higher 'ulimit -n')"},
		unix.ENFILE: {wire.CodeStorage, "out of file descriptors (start s4-server with a higher 'ulimit -n')"},
		unix.EIO:    {wire.CodeStorage, "input/output error in the data directory (see dmesg: the disk may be failing)"},
	} {
		err := fmt.Errorf("start bash in x: %w", &os.PathError{Op: "mkdir", Path: "/d/_s4/jobs/eval-1", Err: errno})
		for _, e := range []*wire.Error{toWire(err), toWire(storeError(withoutPath(err), ""))} {
			if e.Code != want.code || e.Text != want.text {
				t.Errorf("%v: %v %q", errno, e.Code, e.Text)
			}
		}
		if e := toWire(storeError(err, "b/k")); e.Key != "b/k" || e.Text != want.text {
			t.Errorf("%v: %+v", errno, e)
		}
	}
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM} {
		if e := toWire(storeError(errno, "b/k")); !strings.Contains(e.Text, "no permission") {
			t.Errorf("%v: %+v", errno, e)
		}
	}
}

// If the data directory was removed or replaced under the server, the error says so,
// and not that a key does not exist.
func TestDataDirectoryIsGone(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"removed": os.RemoveAll,
		"replaced": func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.Mkdir(dir, 0o755)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s := testStore(t, dir)
			mustWrite(t, s, "b/k")
			if err := s.writable(); err != nil {
				t.Fatal(err)
			}
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "health", s.writable(), wire.CodeStorage)
			wantCode(t, "list", s.list(t.Context(), "b/", true, func(*wire.Entry) error { return nil }), wire.CodeStorage)
			wantCode(t, "list of buckets", s.list(t.Context(), "", false, func(*wire.Entry) error { return nil }), wire.CodeStorage)
			_, err := s.get("b/none")
			wantCode(t, "get", err, wire.CodeStorage)
			_, err = s.newStage(7)
			wantCode(t, "job", err, wire.CodeStorage)
			if name == "removed" {
				if err := s.write("b/new", "x"); err == nil || !strings.Contains(err.Error(), "is gone") {
					t.Errorf("put: %v", err)
				}
				wantCode(t, "remove", s.remove("b/k"), wire.CodeStorage)
				_, err := s.removePrefix(t.Context(), "b/")
				wantCode(t, "remove of a prefix", err, wire.CodeStorage)
			}
		})
	}
}

// So it does if the directory goes between the bytes of a key and its name. On a file
// system that makes files in a directory that was removed, every key comes to that.
func TestDataDirectoryGoesBeforeThePublish(t *testing.T) {
	for name, publish := range map[string]func(s *store, p *stage, f *tempFile) error{
		"put":   func(s *store, _ *stage, f *tempFile) error { return s.put(f.Temp, "b/k", f.size, f.sum) },
		"stage": func(_ *store, p *stage, f *tempFile) error { return p.add(f.Temp, nil, "b/k", f.size, f.sum) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s := testStore(t, dir)
			p, err := s.newStage(7)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			err = writeTo(s, "x", func(f *tempFile) error {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				return publish(s, p, f)
			})
			wantCode(t, "publish", err, wire.CodeStorage)
			if err == nil || !strings.Contains(err.Error(), dir+" is gone") {
				t.Errorf("%v", err)
			}
		})
	}
}
