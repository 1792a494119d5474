package s4_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nathants/s4"
)

func TestFS(t *testing.T) {
	c := startLocal(t)
	names := []string{"top", "a/1", "a/2_x", "a/b/c/deep", "a/b/c/empty", "a-b", "a.d/x", "z/z/z"}
	for _, name := range names {
		text := strings.Repeat(name, 1000)
		if name == "a/b/c/empty" {
			text = ""
		}
		for _, dir := range []string{"s4://b/", "s4://other/dir/"} {
			if err := c.Put(t.Context(), dir+name, strings.NewReader(text), -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"s4://b", "s4://b/", "s4://other/dir", "s4://other/dir/"} {
		if err := fstest.TestFS(c.FS(t.Context(), dir), names...); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	got, err := fs.ReadFile(c.FS(t.Context(), "s4://b"), "a/b/c/deep")
	if want := strings.Repeat("a/b/c/deep", 1000); err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestFSErrors(t *testing.T) {
	c := startLocal(t)
	if err := c.Put(t.Context(), "s4://b/d/k", strings.NewReader("x"), -1); err != nil {
		t.Fatal(err)
	}
	f := c.FS(t.Context(), "s4://b")
	ops := map[string]func(fs.FS, string) error{
		"open":    func(f fs.FS, name string) error { _, err := f.Open(name); return err },
		"stat":    func(f fs.FS, name string) error { _, err := fs.Stat(f, name); return err },
		"readdir": func(f fs.FS, name string) error { _, err := fs.ReadDir(f, name); return err },
	}
	for op, do := range ops {
		for _, name := range []string{"none", "d/none", "d/k/none", "not allowed", "d/not allowed"} {
			wantPathError(t, do(f, name), op, name, fs.ErrNotExist)
		}
		for _, name := range []string{"/d", "d/", "../b", ""} {
			wantPathError(t, do(f, name), op, name, fs.ErrInvalid)
		}
		wantPathError(t, do(c.FS(t.Context(), "s4://absent"), "."), op, ".", fs.ErrNotExist)
		wantPathError(t, do(c.FS(t.Context(), "s4://absent/dir"), "k"), op, "k", fs.ErrNotExist)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantPathError(t, do(c.FS(ctx, "s4://b"), "d"), op, "d", context.Canceled)
	}
	if err := ops["readdir"](f, "d/k"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("readdir of a key: %v", err)
	}
	wantPathError(t, ops["readdir"](f, "none"), "readdir", "none", s4.ErrNotFound)
}

func wantPathError(t *testing.T, err error, op, name string, want error) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) || p.Op != op || p.Path != name || !errors.Is(err, want) {
		t.Errorf("%s %q: %v, want a PathError that is %v", op, name, err, want)
	}
}

// A key and a directory with the same name, on two servers, are one entry.
func TestFSKeyAndDir(t *testing.T) {
	c := startLocal(t)
	for _, name := range []string{"0_x", "0_x/1_y", "0_x-a"} {
		if err := c.Put(t.Context(), "s4://b/"+name, strings.NewReader(name), -1); err != nil {
			t.Fatal(err)
		}
	}
	list, err := fs.ReadDir(c.FS(t.Context(), "s4://b"), ".")
	if err != nil || len(list) != 2 || list[0].Name() != "0_x" || list[0].IsDir() || list[1].Name() != "0_x-a" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestErrorIsOfFS(t *testing.T) {
	for kind, want := range map[error]error{s4.ErrExists: fs.ErrExist, s4.ErrNotFound: fs.ErrNotExist} {
		for _, target := range []error{fs.ErrExist, fs.ErrNotExist} {
			if got := errors.Is(&s4.Error{Kind: kind}, target); got != (target == want) {
				t.Errorf("%v is %v: %v", kind, target, got)
			}
		}
	}
}

// A name that is not allowed for keys does not exist, says an error of one line.
func TestFSBadName(t *testing.T) {
	c := s4.NewClient(&s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: "1"}}}, nil)
	defer c.Close()
	_, err := fs.ReadFile(c.FS(t.Context(), "s4://b"), "a b")
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, s4.ErrBadKey) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}
