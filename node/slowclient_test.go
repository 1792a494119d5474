package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// chatter is a job on one server behind a proxy, whose tasks fail and say more than the
// connection to a client takes that does not read.
type chatter struct {
	*nodetest.Proxied
	ask  *s4.Client // on connections of its own
	opts s4.JobOptions
	gate string
	ids  chan string
	done chan error

	mu   sync.Mutex
	told map[string]int // how often of each task; guarded by mu
}

const (
	chatterTasks = 600
	chatterBytes = 16000 // of each on its standard error
)

// startChatter starts the job. It runs until the gate is opened.
func startChatter(t *testing.T, timeout time.Duration) *chatter {
	t.Helper()
	c := &chatter{Proxied: nodetest.StartProxied(t, 1, node.Config{IOTimeout: timeout, MaxCPUJobs: 8}), gate: filepath.Join(t.TempDir(), "gate"),
		ids: make(chan string, 1), done: make(chan error, 1), told: make(map[string]int)}
	client := c.Client(t, &s4.Options{IOTimeout: timeout})
	c.ask = c.Client(t, nil)
	for i := range chatterTasks {
		put(t, client, fmt.Sprintf("b/in/%d_k", i), nil)
	}
	c.opts = s4.JobOptions{KeepGoing: true, ServerWait: time.Minute, Started: func(id string) { c.ids <- id }, Task: func(task s4.JobTask) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.told[task.Key]++
	}}
	cmd := fmt.Sprintf("until [ -e %s ]; do sleep 0.02; done; printf %%0%dd 0 >&2; exit 3", c.gate, chatterBytes)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*guard)
		defer cancel()
		_, err := client.Map(ctx, "s4://b/in", "s4://b/out", cmd, &c.opts)
		c.done <- err
	}()
	return c
}

func (c *chatter) openGate(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(c.gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// info asks the server for the job.
func (c *chatter) info(t *testing.T, id string) *wire.JobInfo {
	t.Helper()
	number, err := jobNumber(id)
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.ask.JobInfo(guarded(t), 0, number)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Tasks do not wait for a client that does not read what it is told of them. It is lost
// after the I/O timeout, takes the job up again on another connection, and is told of each
// task once.
func TestTasksDoNotWaitForTheClient(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	c := startChatter(t, timeout)
	id := <-c.ids
	nodetest.Eventually(t, "tasks run", func() bool { return c.info(t, id).Progress.Running > 0 })
	defer c.Proxies[0].Hold(func() bool { return true }, false)()
	c.ask = c.Client(t, nil)
	c.openGate(t)
	nodetest.Eventually(t, "all tasks have ended", func() bool { return c.info(t, id).Progress.Failed == chatterTasks })
	if !c.info(t, id).Attached {
		t.Error("the client was lost before the tasks had ended: this tests nothing")
	}
	if err := <-c.done; !errors.Is(err, s4.ErrTaskFailed) {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.told) != chatterTasks {
		t.Errorf("told of %d tasks", len(c.told))
	}
	for key, n := range c.told {
		if n != 1 {
			t.Errorf("told of %s %d times", key, n)
		}
	}
}

// A job whose client does not read what it is told can be canceled.
func TestCancelBehindStuckClient(t *testing.T) {
	t.Parallel()
	c := startChatter(t, 0)
	id := <-c.ids
	nodetest.Eventually(t, "tasks run", func() bool { return c.info(t, id).Progress.Running > 0 })
	defer c.Proxies[0].Hold(func() bool { return true }, false)()
	c.ask = c.Client(t, nil)
	c.openGate(t)
	nodetest.Eventually(t, "all tasks have ended", func() bool { return c.info(t, id).Progress.Failed == chatterTasks })
	if err := c.ask.CancelJob(guarded(t), id); err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "the job is over", func() bool { return c.info(t, id).State == wire.JobCanceled })
}
