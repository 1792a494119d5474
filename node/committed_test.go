package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A job is published though one of long ago cannot be forgotten, which is tried
// again with the next.
func TestForgetCommittedLater(t *testing.T) {
	s := testStore(t, t.TempDir())
	stuck := jobName(1)
	file := filepath.Join(s.sysPath(committedDir, stuck), "file")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.committedIndex.jobs = []committedJob{{stuck, time.Now().Add(-2 * committedTime)}}
	publish := func(id uint64, key string) {
		t.Helper()
		p := testStage(t, s, id, key)
		if err := p.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := p.commit(); err != nil {
			t.Errorf("publish: %v", err)
		}
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	}
	publish(2, "b/k")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	publish(3, "b/l")
	if was, err := s.committed(1); was || err != nil {
		t.Errorf("still remembered: %v, %v", was, err)
	}
	if len(s.committedIndex.jobs) != 2 {
		t.Errorf("%d jobs are remembered, want 2", len(s.committedIndex.jobs))
	}
}
