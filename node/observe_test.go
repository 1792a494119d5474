package node_test

import (
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

// recorder is an Observer that keeps what it is told of tasks and jobs.
type recorder struct {
	mu    sync.Mutex
	tasks []node.TaskEnd // guarded by mu
	jobs  []string       // guarded by mu
}

func (r *recorder) Request(string, wire.Code, time.Duration) {}

func (r *recorder) Task(t node.TaskEnd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, t)
}

func (r *recorder) Job(verb wire.Verb, state wire.JobState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = append(r.jobs, verb.String()+" "+state.String())
}

// Status tells of tasks that run and that wait for a slot, and of output that is not
// published yet; the observer is told of each as it ends.
func TestStatus(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	c := nodetest.Start(t, 1, node.Config{MaxCPUJobs: 1, Observe: func(int) node.Observer { return seen }})
	client, n := c.Client(t, nil), c.Nodes[0]
	for i := range 4 {
		put(t, client, fmt.Sprintf("status/in/%d", i), []byte("text"))
	}
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() {
		_, err := client.Map(guarded(t), "s4://status/in/", "s4://status/out/",
			fmt.Sprintf(`until [ -e %s/$S4_TASK ]; do sleep 0.01; done; if [ $S4_TASK = 3 ]; then exit 3; fi; cat`, dir), &s4.JobOptions{KeepGoing: true})
		done <- err
	}()
	for i := range 4 {
		nodetest.Eventually(t, fmt.Sprintf("task %d runs alone", i), func() bool {
			s := n.Status()
			return s.Running == 1 && s.Queued == int64(3-i) && s.Staged == 4*uint64(i) && s.Jobs == 1 && s.SuspendedJobs == 0
		})
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err == nil {
		t.Error("exit 3 is no error")
	}
	nodetest.Eventually(t, "the job is over", func() bool { return n.Status().Jobs == 0 })
	s := n.Status()
	if s.Running != 0 || s.Queued != 0 || s.Staged != 0 || s.Keys != 7 || s.Bytes != 7*4 || s.Slots != 1 {
		t.Errorf("after the job: %+v", s)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.tasks) != 4 || len(seen.jobs) != 1 || seen.jobs[0] != "map committed" {
		t.Fatalf("told of %+v and %q", seen.tasks, seen.jobs)
	}
	for i, task := range seen.tasks {
		state := wire.TaskDone
		if i == 3 {
			state = wire.TaskFailed
		}
		if task.Kind != "map" || task.State != state || task.Wall <= 0 {
			t.Errorf("task %d: %+v", i, task)
		}
	}
}

// A suspended job and what it has staged are told apart from those that run.
func TestStatusSuspended(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	c := nodetest.Start(t, 1, node.Config{MaxCPUJobs: 1, Observe: func(int) node.Observer { return seen }})
	client, n := c.Client(t, nil), c.Nodes[0]
	for i := range 3 {
		put(t, client, fmt.Sprintf("kept/in/%d", i), []byte("text"))
	}
	_, err := client.Map(guarded(t), "s4://kept/in/", "s4://kept/out/", `[ $S4_TASK -lt 2 ]; cat`, &s4.JobOptions{Keep: true})
	if err == nil {
		t.Error("a failed command is no error")
	}
	nodetest.Eventually(t, "the job is suspended", func() bool { return n.Status().SuspendedJobs == 1 })
	if s := n.Status(); s.Jobs != 1 || s.Staged != 8 || s.SuspendedStaged != 8 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.jobs) != 1 || seen.jobs[0] != "map suspended" {
		t.Errorf("told of %q", seen.jobs)
	}
}

// Tasks that share a command share its time.
func TestObserveBatch(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	c := nodetest.Start(t, 1, node.Config{MaxCPUJobs: 1, Observe: func(int) node.Observer { return seen }})
	client := c.Client(t, nil)
	for i := range 4 {
		put(t, client, fmt.Sprintf("batch/in/%d", i), []byte("text"))
	}
	var whole time.Duration
	_, err := client.Map(guarded(t), "s4://batch/in/", "s4://batch/out/", `while IFS=$(printf '\t') read -r k in out; do cp "$in" "$out"; done <"$S4_BATCH"`,
		&s4.JobOptions{Batch: 4, AllTasks: true, Task: func(task s4.JobTask) { whole = task.Wall }})
	if err != nil {
		t.Fatal(err)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.tasks) != 4 {
		t.Fatalf("told of %+v", seen.tasks)
	}
	for _, task := range seen.tasks {
		if task.Wall != whole/4 {
			t.Errorf("a task took %v of %v", task.Wall, whole)
		}
	}
}

// A node that was shut down can still be asked.
func TestStatusAfterShutdown(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 1, node.Config{})
	if err := c.Nodes[0].Healthy(); err != nil {
		t.Error(err)
	}
	if s := c.Nodes[0].Status(); s.Total == 0 {
		t.Errorf("%+v", s)
	}
	c.Stop()
	if err := c.Nodes[0].Healthy(); codeOf(err) != wire.CodeShuttingDown {
		t.Errorf("healthy after the end: %v", err)
	}
	if s := c.Nodes[0].Status(); s.Total != 0 {
		t.Errorf("the disk of a closed directory: %+v", s)
	}
}
