package s4_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
)

// A sync that is interrupted is repeated, in either direction, and then has no more to do.
func TestSyncRepeated(t *testing.T) {
	const n = 30
	c := startLocal(t)
	dir, out := writeFiles(t, n, 1000), t.TempDir()
	for _, dirs := range [][2]string{{dir, "s4://b/d"}, {"s4://b/d", out}} {
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Sync(ctx, dirs[0], dirs[1], &s4.SyncOptions{Report: func(s4.SyncStep) { cancel() }})
		cancel()
		if !errors.Is(err, s4.ErrCanceled) {
			t.Errorf("%s, interrupted: %v", dirs[0], err)
		}
		for _, want := range []bool{false, true} {
			report, copied, same := copies(t)
			opts := &s4.SyncOptions{Checksum: want, DeleteChanged: true, Delete: true, Report: func(s s4.SyncStep) { report(s.Transfer) }}
			err := c.Sync(t.Context(), dirs[0], dirs[1], opts)
			if err != nil || *copied+*same != n || want && *copied > 0 {
				t.Errorf("%s: %d copied, %d the same, %v", dirs[0], *copied, *same, err)
			}
		}
	}
	sameFiles(t, dir, out, n)
}

// Nothing is removed if the source is empty or a part of it failed.
func TestSyncRemovesNothing(t *testing.T) {
	c := startLocal(t)
	fill(t, c, "b/d/000 b/d/extra")
	dir := writeFiles(t, 1, 10)
	all := &s4.SyncOptions{Delete: true}
	for _, tt := range []struct {
		src, dst string
		want     error
	}{
		{t.TempDir(), "s4://b/d", s4.ErrNotFound},
		{filepath.Join(dir, "nowhere"), "s4://b/d", os.ErrNotExist},
		{filepath.Join(dir, "000"), "s4://b/d", s4.ErrStorage},
		{"s4://b/none", dir, s4.ErrNotFound},
		{dir, "s4://b/d", s4.ErrStorage}, // b/d/000 differs
		{dir, dir, s4.ErrBadRequest},
	} {
		if err := c.Sync(t.Context(), tt.src, tt.dst, all); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.src, err, tt.want)
		}
	}
	for _, key := range []string{"s4://b/d/000", "s4://b/d/extra"} {
		if _, err := c.Stat(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir + "/000"); err != nil {
		t.Error(err)
	}
	if err := c.Sync(t.Context(), dir, "s4://b/d", nil); !errors.Is(err, s4.ErrDiffers) || !errors.Is(err, s4.ErrExists) {
		t.Errorf("without a report: %v", err)
	}
}

// A copy and a sync do not read a directory of which all is left out: this one has a
// subdirectory whose path is too long to be opened.
func TestExcludedIsNotRead(t *testing.T) {
	c := startLocal(t)
	dir := writeFiles(t, 1, 10)
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for name := "deep"; err == nil && len(name) <= unix.PathMax+400; name += strings.Repeat("d", 200) {
		sub := name[max(0, len(name)-200):]
		if err = unix.Mkdirat(fd, sub, 0o755); err != nil {
			break
		}
		was := fd
		fd, err = unix.Openat(was, sub, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(was)
	}
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Copy(t.Context(), dir, "s4://b/all", &s4.CopyOptions{Recursive: true}); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("all: %v", err)
	}
	filter := new(s4.Filter)
	if err := filter.Exclude("deep/**"); err != nil {
		t.Fatal(err)
	}
	if err := c.Copy(t.Context(), dir, "s4://b/d", &s4.CopyOptions{Recursive: true, Filter: filter}); err != nil {
		t.Error(err)
	}
	if err := c.Sync(t.Context(), "s4://b/d", dir, &s4.SyncOptions{Delete: true, Filter: filter}); err != nil {
		t.Error(err)
	}
}

// Of many files that have changed and kept their size, all keys are written anew, and no
// other.
func TestSyncManyChanged(t *testing.T) {
	const n = 40
	c := startLocal(t)
	dir := writeFiles(t, n, 100)
	if err := c.Sync(t.Context(), dir, "s4://b/d", nil); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += 2 {
		if err := os.WriteFile(fmt.Sprintf("%s/%03d", dir, i), bytes.Repeat([]byte{'x'}, 100+i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	opts := &s4.SyncOptions{Checksum: true}
	if err := c.Sync(t.Context(), dir, "s4://b/d", opts); !errors.Is(err, s4.ErrDiffers) {
		t.Errorf("without DeleteChanged: %v", err)
	}
	report, copied, same := copies(t)
	opts = &s4.SyncOptions{Checksum: true, DeleteChanged: true, Report: func(s s4.SyncStep) { report(s.Transfer) }}
	if err := c.Sync(t.Context(), dir, "s4://b/d", opts); err != nil || *copied != n/2 || *same != n/2 {
		t.Errorf("%d copied, %d the same, %v", *copied, *same, err)
	}
	out := t.TempDir()
	if err := c.Sync(t.Context(), "s4://b/d", out, nil); err != nil {
		t.Error(err)
	}
	sameFiles(t, dir, out, n)
}
