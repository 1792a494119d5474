package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4/wire"
)

// After a restart of the machine nobody trusts what is staged, unless it was synced.
func TestNoteBoot(t *testing.T) {
	id := filepath.Join(t.TempDir(), "boot_id")
	boot := func(s *store, text string) bool {
		t.Helper()
		if err := os.WriteFile(id, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.rebooted = false
		if err := s.noteBoot(id); err != nil {
			t.Fatal(err)
		}
		return s.rebooted
	}
	s := testStore(t, t.TempDir())
	if err := os.Remove(filepath.Join(s.path, sysDir, bootFile)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		id   string
		want bool
	}{{"one", false}, {"one", false}, {"two", true}, {"two", false}} {
		if got := boot(s, step.id); got != step.want {
			t.Errorf("boot %s: %v", step.id, got)
		}
	}
	s.fsync = true
	if boot(s, "three") {
		t.Error("a store that syncs has lost writes")
	}
	if err := s.noteBoot(filepath.Join(id, "none")); err != nil || s.rebooted {
		t.Error("without a boot id:", err)
	}
	s.rebooted = true
	if s.survives(&wire.Job{Verb: wire.VerbMapToN}) || !s.survives(&wire.Job{Verb: wire.VerbMap}) {
		t.Error("of jobs, all but shuffles survive")
	}
}

// A staged file that has lost its bytes is not taken for a task's output.
func TestStageVerify(t *testing.T) {
	s := testStore(t, t.TempDir())
	p := testStage(t, s, 1, "b/k", "b/l")
	for name, want := range map[string]bool{"b/k": true, "b/l": false, "b/none": false} {
		if name == "b/l" {
			path := filepath.Join(p.path, "stage", name)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		size := uint64(len("bytes of b/k of 0000000000000001"))
		if name == "b/l" {
			size = uint64(len("other"))
		}
		if ok, err := p.isWhole(context.Background(), name, size, true); ok != want || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
		if ok, err := p.isWhole(context.Background(), name, size, false); ok != (name != "b/none") || err != nil {
			t.Errorf("%s is there: %v, %v", name, ok, err)
		}
		if ok, err := p.isWhole(context.Background(), name, size+1, false); ok || err != nil {
			t.Errorf("%s was longer: %v, %v", name, ok, err)
		}
	}
}
