package xfer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// kinds are the ways a Temp is made. Whatever the file system can do, both
// must behave the same.
var kinds = []struct {
	name   string
	create func(dir int, perm uint32) (*Temp, error)
}{
	{"unnamed", CreateTemp},
	{"named", createNamed},
}

// eachKind runs f with both kinds of Temp, in an empty directory.
func eachKind(t *testing.T, f func(t *testing.T, path string, dir int, create func(data string) *Temp)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			path := t.TempDir()
			dir := openDir(t, path)
			f(t, path, dir, func(data string) *Temp {
				t.Helper()
				tmp, err := k.create(dir, 0o640)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { tmp.Close() })
				if _, err := io.WriteString(tmp, data); err != nil {
					t.Fatal(err)
				}
				return tmp
			})
		})
	}
}

func openDir(t *testing.T, path string) int {
	t.Helper()
	d, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return int(d.Fd())
}

// names lists a directory.
func names(t *testing.T, path string) []string {
	t.Helper()
	list, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

func wantNames(t *testing.T, path string, want ...string) {
	t.Helper()
	if got := names(t, path); !slices.Equal(got, want) {
		t.Errorf("the directory has %q, want %q", got, want)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v, want %q", path, b, err, want)
	}
}

// This machine's directories have O_TMPFILE, so the fallback does not hide
// behind it.
func TestTempIsUnnamed(t *testing.T) {
	path := t.TempDir()
	tmp, err := CreateTemp(openDir(t, path), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer tmp.Close()
	if tmp.name != "" {
		t.Logf("%s has no O_TMPFILE: the named fallback is used", path)
		return
	}
	wantNames(t, path)
}

func TestTempPublish(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		tmp := create("one")
		if err := tmp.Publish(dir, "name"); err != nil {
			t.Fatal(err)
		}
		wantNames(t, path, "name")
		// It is still open, and what Close closes is not the name.
		if _, err := io.WriteString(tmp, " and more"); err != nil {
			t.Fatal(err)
		}
		if err := tmp.Close(); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(path, "name"), "one and more")
		fi, err := os.Stat(filepath.Join(path, "name"))
		if err != nil || fi.Mode()&^0o640 != 0 || fi.Mode()&0o400 == 0 {
			t.Errorf("mode %v, %v", fi.Mode(), err)
		}

		taken := create("two")
		if err := taken.Publish(dir, "name"); !errors.Is(err, unix.EEXIST) || !errors.Is(err, fs.ErrExist) {
			t.Errorf("a taken name: %v", err)
		}
		// The refused one can still take another.
		if err := taken.Publish(dir, "other"); err != nil {
			t.Error(err)
		}
		refused := create("three")
		if err := refused.Publish(dir, "name"); err == nil {
			t.Error("a taken name is taken again")
		}
		for _, x := range []*Temp{taken, refused} {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
		wantNames(t, path, "name", "other")
		wantFile(t, filepath.Join(path, "name"), "one and more")
		wantFile(t, filepath.Join(path, "other"), "two")
	})
}

// Of many that publish one name at once, one wins.
func TestTempPublishRace(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		const n = 16
		var temps []*Temp
		for range n {
			temps = append(temps, create("x"))
		}
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i, tmp := range temps {
			wg.Go(func() { errs[i] = tmp.Publish(dir, "name") })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, unix.EEXIST):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
		for _, tmp := range temps {
			tmp.Close()
		}
		wantNames(t, path, "name")
	})
}

func TestTempPublishElsewhere(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, _ int, create func(string) *Temp) {
		sub := filepath.Join(path, "sub")
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		tmp := create("x")
		if err := tmp.Publish(openDir(t, sub), "name"); err != nil {
			t.Fatal(err)
		}
		tmp.Close()
		wantNames(t, path, "sub")
		wantFile(t, filepath.Join(sub, "name"), "x")
	})
}

func TestTempCloseLeavesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, _ int, create func(string) *Temp) {
		tmp := create("x")
		if tmp.name != "" {
			if got := names(t, path); len(got) != 1 || !strings.HasPrefix(got[0], TempPrefix) {
				t.Errorf("a named temporary is called %q", got)
			}
		}
		if err := tmp.Close(); err != nil {
			t.Fatal(err)
		}
		wantNames(t, path)
		if err := tmp.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
	})
}

// Replace never shows a reader anything but one whole file or the other.
func TestTempReplace(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		name := filepath.Join(path, "name")
		contents := []string{strings.Repeat("a", 10000), strings.Repeat("b", 5000)}
		replace := func(data string) {
			tmp := create(data)
			if err := tmp.Replace(dir, "name"); err != nil {
				t.Fatal(err)
			}
			if err := tmp.Close(); err != nil {
				t.Fatal(err)
			}
		}
		replace(contents[0]) // of nothing
		stop := make(chan struct{})
		read := async(func() (reads int) {
			for {
				b, err := os.ReadFile(name)
				if err != nil || !slices.Contains(contents, string(b)) {
					t.Errorf("a reader sees %d bytes, %v", len(b), err)
				}
				reads++
				select {
				case <-stop:
					return reads
				default:
				}
			}
		})
		for i := range 200 {
			replace(contents[i%2])
		}
		close(stop)
		if read() == 0 {
			t.Error("no reads")
		}
		wantNames(t, path, "name")
		wantFile(t, name, contents[1])
	})
}

// A Replace or Publish that fails leaves the directory as it was.
func TestTempCannotReplace(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		if err := os.MkdirAll(filepath.Join(path, "name", "full"), 0o755); err != nil {
			t.Fatal(err)
		}
		tmp := create("x")
		if err := tmp.Replace(dir, "name"); err == nil {
			t.Error("a directory was replaced")
		}
		if err := tmp.Replace(dir, "no/such/dir"); !errors.Is(err, unix.ENOENT) {
			t.Errorf("no directory: %v", err)
		}
		if err := tmp.Publish(-1, "name"); !errors.Is(err, unix.EBADF) {
			t.Errorf("no descriptor: %v", err)
		}
		if err := tmp.Close(); err != nil {
			t.Error(err)
		}
		wantNames(t, path, "name")
		wantNames(t, filepath.Join(path, "name"), "full")
	})
}

func TestNamedTemp(t *testing.T) {
	path := t.TempDir()
	dir := openDir(t, path)
	open := func(name string) *Temp {
		fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return NamedTemp(NewFile(fd, name), dir, name)
	}
	if err := open("gone").Close(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, path)
	kept := open("first")
	if err := kept.Publish(dir, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, path, "kept")
	// One whose name went away by itself says so, and closes its file.
	lost := open("lost")
	if err := os.Remove(filepath.Join(path, "lost")); err != nil {
		t.Fatal(err)
	}
	if err := lost.Close(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("lost: %v", err)
	}
	if err := lost.File.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("not closed: %v", err)
	}
}

func TestCreateTempErrors(t *testing.T) {
	for _, k := range kinds {
		if tmp, err := k.create(-1, 0o600); !errors.Is(err, unix.EBADF) {
			t.Errorf("%s: %v, %v", k.name, tmp, err)
		}
	}
}

func TestPreallocate(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		tmp := create("")
		for _, size := range []int64{0, -1, 1 << 20} {
			if err := tmp.Preallocate(size); err != nil {
				t.Errorf("%d: %v", size, err)
			}
		}
		data := string(text(1 << 20))
		if _, err := io.WriteString(tmp, data); err != nil {
			t.Fatal(err)
		}
		if err := tmp.Publish(dir, "name"); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(path, "name"), data)
	})
}

// A full disk is an error before the first byte is taken. The disk is a tmpfs
// of 1 MiB that has no place in any directory tree, so there is nothing to
// clean up (fsmount(2)); making one needs root.
func TestPreallocateFullDisk(t *testing.T) {
	dir, err := tinyDisk()
	if err != nil {
		t.Logf("no tmpfs to fill, nothing tested: %v", err)
		return
	}
	defer unix.Close(dir)
	for _, k := range kinds {
		tmp, err := k.create(dir, 0o600)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		if err := tmp.Preallocate(2 << 20); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: 2 MiB on a disk of 1: %v", k.name, err)
		}
		if err := tmp.Preallocate(512 << 10); err != nil {
			t.Errorf("%s: half a MiB on a disk of 1: %v", k.name, err)
		}
		if err := tmp.Close(); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

func tinyDisk() (dir int, err error) {
	fsfd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigSetString(fsfd, "size", "1m"); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	dir, err = unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	return dir, os.NewSyscallError("fsmount", err)
}

// Replacing a name twice by one Temp leaves no third name behind.
func TestTempReplaceTwice(t *testing.T) {
	eachKind(t, func(t *testing.T, path string, dir int, create func(string) *Temp) {
		tmp := create("x")
		for range 2 {
			if err := tmp.Replace(dir, "name"); err != nil {
				t.Log(err)
			}
		}
		wantNames(t, path, "name")
	})
}
