package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nathants/s4/wire"
)

// TestPassPace reads small keys, which are charged by their bytes.
func TestPassPace(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/1", "b/22", "b/333")
	charged := 0
	p := &pass{store: s, readers: 1, found: make(chan *wire.Damaged), pace: func(_ context.Context, n int) error {
		charged += n
		return nil
	}}
	if err := p.run(t.Context(), ""); err != nil || p.damaged.Load() > 0 {
		t.Fatal(err, p.damaged.Load())
	}
	if want := p.bytes.Load(); uint64(charged) != want {
		t.Errorf("%d bytes were charged, want %d", charged, want)
	}
}

// TestPassGoesOn lets a key that cannot be removed, and one that cannot be opened, stop
// nothing.
func TestPassGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/1", "b/2", "b/3", "b/4")
	for _, key := range []string{"b/1", "b/3"} {
		path := filepath.Join(dir, key)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("wrong"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "b", "5"), []byte("by hand"), 0o644); err != nil {
		t.Fatal(err)
	}
	found := make(chan *wire.Damaged, 5)
	refused := errors.New("refused")
	p := &pass{store: s, readers: 1, remove: true, found: found, unlink: func(key string, fd int) (bool, error) {
		if key == "b/1" {
			return false, refused
		}
		return s.removeIfSame(key, fd)
	}}
	if err := p.run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	close(found)
	var got []string
	for d := range found {
		got = append(got, fmt.Sprint(d.Key, " ", d.Removed, " ", d.NoChecksum, " ", d.Failed))
	}
	if want := []string{"b/1 false false refused", "b/3 true false ", "b/5 false true "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if p.keys.Load() != 5 || p.damaged.Load() != 2 {
		t.Errorf("%d keys, %d damaged", p.keys.Load(), p.damaged.Load())
	}
}
