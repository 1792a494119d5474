package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

func TestTreeStaysInside(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, filepath.Join(dir, "data"))
	mustWrite(t, s, "b/k")
	for _, name := range []string{"../data/b/k", "/etc/passwd", "b/../../data/b/k", filepath.Join(dir, "data/b/k")} {
		if fd, err := s.keys.open(name, unix.O_RDONLY); err == nil {
			unix.Close(fd)
			t.Errorf("%s was opened", name)
		}
		if names.CheckKey(name) == nil {
			t.Errorf("%s is a key", name)
		}
	}
}

func TestSymlinksAreNotFollowed(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := testStore(t, dir)
	mustWrite(t, s, "b/k", "other/in/k")
	if err := setSumOf(secret, "secret"); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{
		{secret, "b/file"}, {outside, "b/dir"}, {outside, "bucket"},
		{"../other/in/k", "b/insidefile"}, {"../other", "b/insidedir"}, {"nowhere", "b/dangling"},
	} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b/file", "b/dir/secret", "bucket/secret", "b/insidefile", "b/insidedir/in/k", "b/dangling"} {
		if _, err := s.get(name); err == nil {
			t.Errorf("get %s followed the link", name)
		}
		if f, _, err := openRegular(s.keys, name); err == nil {
			f.Close()
			t.Errorf("a task's stdin %s followed the link", name)
		}
		if err := s.write(name, "x"); err == nil {
			t.Errorf("put %s replaced or followed the link", name)
		}
		if err := s.remove(name); err == nil {
			t.Errorf("rm %s removed the link or what it leads to", name)
		}
	}
	for _, name := range []string{"b/dir/new", "b/dir/x/new", "bucket/new", "b/insidedir/new"} {
		if err := s.write(name, "x"); err == nil {
			t.Errorf("put %s went through the link", name)
		}
	}
	if got := s.names(t, "", false); !slices.Equal(got, []string{"b", "other"}) {
		t.Errorf("buckets %q", got)
	}
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/k"}) {
		t.Errorf("listed %q", got)
	}
	for _, prefix := range []string{"b/dir/", "bucket/", "b/insidedir/", "b/insidedir/in/"} {
		_ = s.list(context.Background(), prefix, true, func(e *wire.Entry) error {
			t.Errorf("list %s found %s", prefix, e.Name)
			return nil
		})
		if n, _ := s.removePrefix(context.Background(), prefix); n > 0 {
			t.Errorf("rm -r %s removed %d", prefix, n)
		}
	}
	if n, err := s.removePrefix(context.Background(), "b/"); n != 1 || err != nil {
		t.Errorf("rm -r removed %d, %v", n, err)
	}
	if b, err := os.ReadFile(secret); string(b) != "secret" {
		t.Errorf("outside: %q, %v", b, err)
	}
	if list, _ := os.ReadDir(outside); len(list) != 1 {
		t.Errorf("outside: %v", list)
	}
	if _, err := s.read("other/in/k"); err != nil {
		t.Errorf("rm -r went through the link: %v", err)
	}
}

// Opening a named pipe in the place of a file must not block.
func TestPipesAreNoKeys(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/k")
	path := filepath.Join(dir, "b/pipe")
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.get("b/pipe")
		done <- err
	}()
	waitOrOpen(t, done, path, "get of a named pipe")
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/k"}) {
		t.Errorf("%q", got)
	}
}

// A name that moves to another tree while it is looked up, as staged output does,
// is there or is not.
func TestTreeWhileNamesMoveAway(t *testing.T) {
	dir := t.TempDir()
	var trees [2]tree
	for i := range trees {
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if trees[i], err = openTree(path); err != nil {
			t.Fatal(err)
		}
		defer trees[i].close()
	}
	if err := os.MkdirAll(filepath.Join(dir, "0/a/b/c"), 0o755); err != nil {
		t.Fatal(err)
	}
	var moves sync.WaitGroup
	done := make(chan struct{})
	moves.Go(func() {
		defer close(done)
		for i := range 20000 {
			if err := unix.Renameat(trees[i%2].fd(), "a", trees[1-i%2].fd(), "a"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer moves.Wait()
	for {
		select {
		case <-done:
			return
		default:
		}
		for _, name := range []string{"a", "a/b", "a/b/c"} {
			fd, err := trees[0].open(name, dirFlags)
			if err == nil {
				unix.Close(fd)
			} else if !errors.Is(err, unix.ENOENT) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}
