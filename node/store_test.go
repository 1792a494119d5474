package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

func TestConflict(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/k", "b/d/e/k")
	for _, name := range []string{"b/k/x", "b/k/x/y", "b/d", "b/d/e"} {
		wantCode(t, "put "+name, s.write(name, "x"), wire.CodeConflict)
		wantCode(t, "absent "+name, s.checkAbsent(name), wire.CodeConflict)
	}
	wantCode(t, "put again", s.write("b/k", "x"), wire.CodeExists)
	wantCode(t, "absent", s.checkAbsent("b/k"), wire.CodeExists)
	for _, name := range []string{"b/k/x", "b/d", "b/none", "c/none"} {
		_, err := s.get(name)
		if c := code(err); c != wire.CodeNotFound && c != wire.CodeConflict {
			t.Errorf("get %s: %v", name, err)
		}
	}
	wantCode(t, "remove a directory", s.remove("b/d"), wire.CodeNotFound)
	wantCode(t, "remove below a key", s.remove("b/k/x"), wire.CodeNotFound)
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/d/e/k", "b/k"}) {
		t.Errorf("left: %q", got)
	}
}

func TestStoredFile(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	text := "some bytes\n"
	if err := s.write("b/d/k", text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b/d/k")
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode() != 0o444 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	if b, err := os.ReadFile(path); string(b) != text {
		t.Errorf("%q, %v", b, err)
	}
	attr := make([]byte, 64)
	n, err := unix.Getxattr(path, "user.s4.xxh64", attr)
	if want := fmt.Sprintf("%016x", xxhash.Sum64String(text)); err != nil || string(attr[:n]) != want {
		t.Errorf("xattr %q, %v, want %s", attr[:n], err, want)
	}
	if err := s.write("b/empty", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.read("b/empty"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if s.count.Load() != 2 || s.bytes.Load() != int64(len(text)) {
		t.Errorf("counted %d keys, %d bytes", s.count.Load(), s.bytes.Load())
	}
	// What has no checksum, or a bad one, is not served.
	if err := os.WriteFile(filepath.Join(dir, "b/foreign"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.get("b/foreign")
	wantCode(t, "get a foreign file", err, wire.CodeChecksum)
	if err := unix.Setxattr(path, "user.s4.xxh64", []byte("not hex digits!!"), 0); err != nil {
		t.Fatal(err)
	}
	_, err = s.get("b/d/k")
	wantCode(t, "get with a damaged checksum", err, wire.CodeChecksum)

	if err := s.remove("b/d/k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "b/d")); !os.IsNotExist(err) {
		t.Errorf("the empty directory is still there: %v", err)
	}
	wantCode(t, "remove again", s.remove("b/d/k"), wire.CodeNotFound)
}

func TestEmptyDirectoriesAreInvisible(t *testing.T) {
	for _, left := range []string{"b/d", "b/d/e/f"} {
		t.Run(left, func(t *testing.T) {
			dir := t.TempDir()
			// As a server killed between mkdir and link leaves them.
			for _, d := range []string{left, "empty/x/y"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			s := testStore(t, dir)
			if got := s.names(t, "", false); len(got) > 0 {
				t.Errorf("buckets %q", got)
			}
			if got := s.names(t, "b/", false); len(got) > 0 {
				t.Errorf("listed %q", got)
			}
			if err := s.checkAbsent("b/d"); err != nil {
				t.Errorf("an empty directory is in the way: %v", err)
			}
			if err := s.write("b/d", "x"); err != nil {
				t.Errorf("an empty directory is in the way of a put: %v", err)
			}
		})
	}
}

// The same for a job's output: prepare and publish must agree.
func TestEmptyDirectoriesAndJobs(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "b/d/e/f"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := testStage(t, s, 1, "b/d", "b/x/y")
	if err := p.prepare(); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	if err := p.commit(); err != nil {
		t.Fatalf("prepare had said it can be published: %v", err)
	}
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/d", "b/x/y"}) {
		t.Errorf("%q", got)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	_, err := openStore(dir, false, nil)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("%v does not name the directory and the process", err)
	}
	mustWrite(t, s, "b/k") // the refused one has done no harm
	s.close()
	testStore(t, dir)
}

func TestCountsAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/k", "b/d/k", "c/k")
	n, b := s.count.Load(), s.bytes.Load()
	s.close()
	s = testStore(t, dir)
	if s.count.Load() != n || s.bytes.Load() != b || n != 3 {
		t.Errorf("%d keys, %d bytes; before %d, %d", s.count.Load(), s.bytes.Load(), n, b)
	}
}

func TestStoreRefusesBadDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(file, false, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}

func TestStoredErrorsKeepTheirKey(t *testing.T) {
	shared := wire.Errorf(wire.CodeExists, "x")
	err := storeError(shared, "b/k")
	if shared.Key != "" || err.(*wire.Error).Key != "b/k" {
		t.Errorf("shared %q, named %q", shared.Key, err.(*wire.Error).Key)
	}
}
