package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4/wire"
)

// A source that is removed before it is linked leaves nothing.
func TestLinkOfRemoved(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/k")
	o, err := s.get("b/k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := s.remove("b/k"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.link(o, "b/k", "c/d/k"); !ok || code(err) != wire.CodeNotFound {
		t.Error(ok, err)
	}
	if s.count.Load() != 0 || s.bytes.Load() != 0 {
		t.Errorf("counted %d keys, %d bytes", s.count.Load(), s.bytes.Load())
	}
}

// A link takes no name that a job is about to publish, and no directory of keys.
func TestLinkOfTaken(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/k", "b/d/x")
	if err := os.MkdirAll(filepath.Join(s.path, "b/empty/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := s.get("b/k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := testStage(t, s, 7, "b/job").prepare(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]wire.Code{"b/k": wire.CodeExists, "b/d": wire.CodeConflict, "b/k/x": wire.CodeConflict, "b/empty": 0, "b/job": wire.CodeExists} {
		if ok, err := s.link(o, "b/k", name); !ok || code(err) != want {
			t.Errorf("%s: %v, %v, want %v", name, ok, err, want)
		}
	}
	if text, err := s.read("b/empty"); text != "bytes of b/k" || err != nil {
		t.Error(text, err)
	}
}
