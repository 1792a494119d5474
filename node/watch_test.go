package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// As soon as a job is handed over, it can be waited for, and its tasks are all
// on record as soon as it is over.
func TestDetachedJobIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	_, client := start(t, node.Config{})
	threeIn(t, client)
	for i := range 30 {
		res, err := client.Map(guarded(t), "s4://b/in", fmt.Sprintf("s4://b/out%d", i), "cat", &s4.JobOptions{Detach: true})
		if err != nil {
			t.Fatal(err)
		}
		var s s4.JobStatus
		for !s.State.Over() && err == nil {
			s, err = client.Job(guarded(t), res.ID)
		}
		if err != nil || s.State != s4.JobDone {
			t.Fatalf("job %d: %+v, %v", i, s, err)
		}
		if s.Ended.IsZero() {
			t.Errorf("job %d is over, but has not ended: %+v", i, s)
		}
		if got := jobTasks(t, client, res.ID); len(got) != 3 {
			t.Errorf("job %d: tasks %q", i, got)
		}
		if got := list(t, client, fmt.Sprintf("b/out%d/", i)); len(got) != 3 {
			t.Errorf("job %d is over, and its output is %q", i, got)
		}
	}
}

// Whoever looks at a job while it runs sees each run of a task once, and no
// fewer than the job counts.
func TestWatchedJobs(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	const n = 120
	treeIn(t, client, n)
	for verb := range jobVerbs {
		id := detach(t, c.Cluster, verb, "b/"+verb, "echo x > 0_p; echo 0_p", s4.JobOptions{})
		look := func() (over bool) {
			s, err := client.Job(guarded(t), id)
			if err != nil {
				t.Error(err)
				return true
			}
			seen := make(map[string]int)
			if err := client.JobTasks(guarded(t), id, func(task s4.JobTask) error {
				if seen[task.Key]++; seen[task.Key] > 1 {
					t.Errorf("%s: %s comes twice", verb, task.Key)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if s.State.Over() && (s.State != s4.JobDone || len(seen) != n) || int64(len(seen)) < s.Done {
				t.Errorf("%s: %d tasks on record, before that %+v", verb, len(seen), s)
			}
			if jobs, err := client.Jobs(guarded(t)); err != nil || s.Done > 0 && (len(jobs) == 0 || jobs[0].ID != id) {
				t.Errorf("%s: %+v, %v", verb, jobs, err)
			}
			return s.State.Over()
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !look() && !t.Failed() {
				}
			})
		}
		wg.Wait()
	}
}

// A log that a killed server has not finished shows what it has.
func TestTasksOfACutLog(t *testing.T) {
	c, client := start(t, node.Config{})
	threeIn(t, client)
	id := detach(t, c.Cluster, "map", "b/out", "cat", s4.JobOptions{})
	waitJob(t, client, id)
	// The job is over when its driver says so. The other servers may take a moment more.
	log := filepath.Join(c.Data(1), "_s4/history", id, "log")
	var fi os.FileInfo
	nodetest.Eventually(t, "the record is in the history", func() bool {
		var err error
		fi, err = os.Stat(log)
		return err == nil
	})
	if err := os.Truncate(log, fi.Size()-1); err != nil {
		t.Fatal(err)
	}
	if got := jobTasks(t, client, id); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
