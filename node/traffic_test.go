package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// TestTraffic looks at what a shuffle sends where, and at its task that runs: while it
// does, when the job is suspended, after a restart, and when it is over.
func TestTraffic(t *testing.T) {
	t.Parallel()
	dir, files := t.TempDir(), t.TempDir()
	cfg := node.Config{MaxCPUJobs: 5, MaxIOJobs: 7}
	c := nodetest.StartIn(t, dir, 3, cfg)
	client := c.Client(t, nil)
	for i := range 3 {
		put(t, client, fmt.Sprintf("traffic/in/%d_k", i), []byte("x"))
	}
	gate, bad := filepath.Join(files, "gate"), filepath.Join(files, "bad")
	touch(t, bad)
	command := fmt.Sprintf(`if [ $S4_SERVER = 2 ]; then until [ -e %s ]; do sleep 0.01; done; [ ! -e %s ]; fi
		for i in 0 1 2; do head -c $((100 * S4_SERVER + i)) /dev/zero >${i}_p; echo ${i}_p; done`, gate, bad)
	began := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		_, err := client.MapToN(guarded(t), "s4://traffic/in/", "s4://traffic/out/", command, &s4.JobOptions{Keep: true, Started: func(id string) { began <- id }})
		done <- err
	}()
	id := <-began
	want := [][]s4.Traffic{
		{{Files: 1, Bytes: 0}, {Files: 1, Bytes: 1}, {Files: 1, Bytes: 2}},
		{{Files: 1, Bytes: 100}, {Files: 1, Bytes: 101}, {Files: 1, Bytes: 102}},
		make([]s4.Traffic, 3),
	}
	same := func(client *s4.Client) bool {
		got, err := client.JobTraffic(guarded(t), id)
		return err == nil && reflect.DeepEqual(got, want)
	}
	nodetest.Eventually(t, "two servers have pushed their output", func() bool { return same(client) })
	nodetest.Eventually(t, "one task runs", func() bool {
		tasks, err := client.RunningTasks(guarded(t), id)
		return err == nil && len(tasks) == 1 && tasks[0].Key == "s4://traffic/in/2_k" && tasks[0].State == s4.TaskRunning && tasks[0].Server == client.Cluster().Servers[2]
	})
	var received, sent int64
	for i, h := range client.Health(guarded(t)) {
		l := h.Load
		received, sent = received+l.Received, sent+l.Sent
		if l.Slots != 5 || l.Running != i/2 || l.Waiting != 0 || l.MaxTransfers != 7 || l.Transfers != 0 || l.Available <= 0 || l.Available > l.Memory {
			t.Errorf("server %d: %+v", i, l)
		}
	}
	if pushed := int64(1 + 2 + 100 + 102); received != 3+pushed || sent != pushed {
		t.Errorf("%d bytes received, %d sent", received, sent)
	}
	touch(t, gate)
	if err := <-done; !errors.Is(err, s4.ErrTaskFailed) {
		t.Fatal(err)
	}
	if !same(client) {
		t.Error("a suspended job has other numbers")
	}
	c.Stop()
	c = nodetest.StartIn(t, dir, 3, cfg)
	client = c.Client(t, nil)
	if !same(client) {
		t.Error("after a restart a suspended job has other numbers")
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ResumeJob(guarded(t), id, nil); err != nil {
		t.Fatal(err)
	}
	want[2] = []s4.Traffic{{Files: 1, Bytes: 200}, {Files: 1, Bytes: 201}, {Files: 1, Bytes: 202}}
	nodetest.Eventually(t, "the numbers of the job that is over", func() bool { return same(client) })
	c.Stop()
	c = nodetest.StartIn(t, dir, 3, cfg)
	client = c.Client(t, nil)
	if !same(client) {
		t.Error("after a restart a job that is over has other numbers")
	}
	if tasks, err := client.RunningTasks(guarded(t), id); err != nil || len(tasks) != 0 {
		t.Errorf("tasks of a job that is over: %v, %v", tasks, err)
	}
	for unknown, kind := range map[string]error{"0123456789abcdef": s4.ErrNoJob, "x": s4.ErrBadRequest} {
		if _, err := client.JobTraffic(guarded(t), unknown); !errors.Is(err, kind) {
			t.Errorf("traffic of %s: %v", unknown, err)
		}
		if _, err := client.RunningTasks(guarded(t), unknown); !errors.Is(err, kind) {
			t.Errorf("tasks of %s: %v", unknown, err)
		}
	}
	res, err := client.Map(guarded(t), "s4://traffic/in/", "s4://traffic/mapped/", "cat", nil)
	if err != nil {
		t.Fatal(err)
	}
	want = [][]s4.Traffic{make([]s4.Traffic, 3), make([]s4.Traffic, 3), make([]s4.Traffic, 3)}
	if got, err := client.JobTraffic(guarded(t), res.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("of a map: %v, %v", got, err)
	}
}
