package node_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// Stopping ends jobs and evals at once, transfers within the grace.
func TestShutdown(t *testing.T) {
	c, client := start(t, node.Config{})
	names := manyIn(t, client, 6)
	put(t, client, "b/1_k", []byte("x"))
	mark := marker()
	ends := make(chan error, 8)
	var wg sync.WaitGroup
	for _, run := range jobVerbs {
		wg.Go(func() {
			_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", "sleep "+mark+" & sleep "+mark, nil)
			ends <- err
		})
	}
	wg.Go(func() {
		_, err := client.Eval(guarded(t), "s4://b/1_k", "sleep "+mark+" & cat /dev/zero", io.Discard, io.Discard, nil)
		ends <- err
	})
	r := newBlocking(noise("x", 1<<20))
	wg.Go(func() {
		err := client.Put(guarded(t), "s4://b/new/2_k", r, -1)
		ends <- err
	})
	<-r.blocked
	nodetest.Eventually(t, "commands run on all servers", func() bool { return len(nodetest.Processes(mark)) >= 8 })
	grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- c.Shutdown(grace) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("not stopped after 10 s")
		<-stopped
	}
	if left := nodetest.Processes(mark); len(left) > 0 {
		t.Errorf("processes %v outlived the server", left)
	}
	close(r.free)
	wg.Wait()
	for range len(jobVerbs) + 2 {
		if err := <-ends; !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("told: %v", err)
		}
	}
	client.Close()
	nodetest.Eventually(t, "no goroutine is left", func() bool { return len(nodetest.Goroutines()) == 0 })
	clean(t, dataDirs(c), append(names, "b/1_k")...)
}
