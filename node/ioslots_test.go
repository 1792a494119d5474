package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// A task that waits for a peer does not keep others from theirs: with one slot for
// transfers, another job's task sends its output meanwhile.
func TestWaitForAPeerHoldsNoSlot(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, c *nodetest.Proxied) (back func()){
		"down": func(t *testing.T, c *nodetest.Proxied) func() {
			c.StopNode(2)
			return func() { c.StartNode(t, 2) }
		},
		"silent": func(_ *testing.T, c *nodetest.Proxied) func() {
			return c.Proxies[2].Hold(func() bool { return true }, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waitForAPeer(t, lose)
		})
	}
}

func waitForAPeer(t *testing.T, lose func(*testing.T, *nodetest.Proxied) func()) {
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4, MaxIOJobs: 1})
	client := c.Client(t, nil)
	dir := t.TempDir()
	open := func(gate string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, gate), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 2)
	start := func(name, command string) (id string) {
		t.Helper()
		put(t, client, "b/"+name+"/0_k", []byte("x"))
		ids := make(chan string, 1)
		go func() {
			opts := &s4.JobOptions{ServerWait: time.Hour, Started: func(id string) { ids <- id }}
			_, err := client.MapToN(guarded(t), "s4://b/"+name, "s4://out/"+name, fmt.Sprintf("until [ -e %s/%s ]; do sleep 0.02; done; %s", dir, name, command), opts)
			done <- err
		}()
		return <-ids
	}
	info := func(id string) *wire.JobInfo {
		t.Helper()
		number, err := jobNumber(id)
		if err != nil {
			t.Fatal(err)
		}
		info, err := client.JobInfo(guarded(t), 0, number)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	waits, other := start("waits", "echo 1 >1_f; echo 2 >2_f; echo 1_f; echo 2_f"), start("other", "echo 1 >1_f; echo 1_f")
	nodetest.Eventually(t, "both run", func() bool { return info(waits).Progress.Running == 1 && info(other).Progress.Running == 1 })
	back := lose(t, c)
	open("waits")
	staged := filepath.Join(c.Data(1), "_s4/jobs", waits, "stage/out/waits/0_k/1_f")
	nodetest.Eventually(t, "the first file has arrived", func() bool { _, err := os.Stat(staged); return err == nil })
	open("other")
	nodetest.Eventually(t, "the other task is done", func() bool { return info(other).Progress.Tasks == 1 })
	if n := info(waits).Progress.Tasks; n != 0 {
		t.Error("the first task does not wait: this tests nothing")
	}
	back()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	want := []string{"out/other/0_k/1_f", "out/waits/0_k/1_f", "out/waits/0_k/2_f"}
	if got := list(t, client, "out/"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
