package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// The nodes of one process run no more commands at once than one node would: with
// two slots and eight nodes, two tasks wait for the test, and no other begins until
// one of them ends.
func TestLocalNodesShareSlots(t *testing.T) {
	c := nodetest.Start(t, 8, node.Config{MaxCPUJobs: 2, MaxIOJobs: 3})
	client := c.Client(t, nil)
	for i := range 16 {
		put(t, client, fmt.Sprintf("b/in/%d", i), []byte("x"))
	}
	dir := t.TempDir()
	began := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "began-*"))
		if err != nil {
			t.Error(err)
		}
		return len(names)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	go func() {
		cmd := fmt.Sprintf(`mkdir %s/run-$filename; touch %[1]s/began-$filename; echo %[1]s/run-* | wc -w; until test -e %[1]s/go; do sleep 0.02; done; rmdir %[1]s/run-$filename`, dir)
		_, err := client.Map(ctx, "s4://b/in", "s4://b/out", cmd, nil)
		done <- err
	}()
	nodetest.Eventually(t, "two tasks have begun", func() bool { return began() >= 2 })
	// Without a shared bound the other nodes' tasks begin in the same moment.
	time.Sleep(300 * time.Millisecond)
	if n := began(); n != 2 {
		t.Errorf("%d commands run at once, want 2", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		if got := get(t, client, fmt.Sprintf("b/out/%d", i)); got != "1\n" && got != "2\n" {
			t.Errorf("task %d saw %q commands running, want at most 2", i, got)
		}
	}
}
