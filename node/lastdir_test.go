package node

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLastDir(t *testing.T) {
	dir := t.TempDir()
	root, err := openTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	var d lastDir
	defer d.close()
	opened := func(name string) int {
		t.Helper()
		fd, err := d.open(root, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got, want unix.Stat_t
		if err := unix.Fstat(fd, &got); err != nil {
			t.Fatal(err)
		}
		if err := unix.Stat(filepath.Join(dir, name), &want); err != nil || got.Ino != want.Ino {
			t.Errorf("%s: inode %d is open, not %d (%v)", name, got.Ino, want.Ino, err)
		}
		return fd
	}
	if opened("b/out/1") != opened("b/out/1") {
		t.Error("opened twice in a row")
	}
	for _, name := range []string{"b/out/2", "b/out/1", "b", "b/other/1", "b/out", "b/out/3/4/5"} {
		opened(name)
	}
	// What is removed meanwhile is made again, the one above as well.
	opened("b/out/1")
	if err := os.RemoveAll(filepath.Join(dir, "b/out")); err != nil {
		t.Fatal(err)
	}
	opened("b/out/2")
	link := func(to int, base string) error { return unix.Mkdirat(to, base, 0o755) }
	if err := root.publish("b/out/2/k", &d, link); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := root.publish("b/out/2/k", &d, link); err != nil {
		t.Errorf("into a directory that was removed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b/out/2/k")); err != nil {
		t.Error(err)
	}
	// Nothing outside is reached by way of a symbolic link.
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "b/out/link")); err != nil {
		t.Fatal(err)
	}
	if fd, err := d.open(root, "b/out/link"); err == nil {
		t.Errorf("a symbolic link was followed: descriptor %d", fd)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := d.open(root, "b/out/9"); err == nil {
		t.Error("a directory was made in a tree that was removed")
	}
}
