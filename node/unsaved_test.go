package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// A job that failed on a server that cannot record it has failed, with the reason
// and all counts, for as long as that server lives.
func TestFailedJobThatCannotBeRecorded(t *testing.T) {
	c, client := start(t, node.Config{})
	for _, k := range []string{"0_k", "1_k", "2_k"} { // one on each server
		put(t, client, "b/in/"+k, []byte("x"))
	}
	history := filepath.Join(c.Data(1), "_s4", "history")
	if err := os.RemoveAll(history); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(history, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "case $filename in 1_k) exit 3;; *) sleep 1000; esac", nil)
	if !errors.Is(err, s4.ErrTaskFailed) {
		t.Fatal(err)
	}
	jobs, err := client.Jobs(guarded(t))
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	one, err := client.Job(guarded(t), jobs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for what, j := range map[string]s4.JobStatus{"list": jobs[0], "show": one} {
		if j.State != s4.JobFailed || j.Err.Exit != 3 || j.Err.Server != c.Cluster.Servers[1].String() {
			t.Errorf("%s: %s, %v", what, j.State, j.Err)
		}
		if j.Tasks != 3 || j.Failed != 1 || j.Ended.IsZero() {
			t.Errorf("%s: %+v", what, j.JobProgress)
		}
	}
}

// A job that a server failed which is down since has failed, and was not canceled;
// one that was interrupted was.
func TestFailedJobOfAServerThatIsDown(t *testing.T) {
	c, client := start(t, node.Config{})
	for _, k := range []string{"0_k", "1_k", "2_k"} { // one on each server
		put(t, client, "b/in/"+k, []byte("x"))
	}
	_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "case $filename in 1_k) exit 3;; *) sleep 1000; esac", nil)
	if !errors.Is(err, s4.ErrTaskFailed) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(guarded(t))
	var ids []string
	_, err = client.Map(ctx, "s4://b/in", "s4://b/out", "sleep 1000", &s4.JobOptions{
		Started: func(id string) { ids = append(ids, id) },
		Progress: func(p s4.JobProgress) {
			if p.Running == 3 {
				cancel()
			}
		},
	})
	if !errors.Is(err, s4.ErrCanceled) || len(ids) != 1 {
		t.Fatal(err)
	}
	c.Nodes[1].Shutdown(guarded(t))
	jobs, err := client.Jobs(guarded(t))
	if !errors.Is(err, s4.ErrUnavailable) {
		t.Error(err)
	}
	if len(jobs) != 2 {
		t.Errorf("%d jobs, want 2", len(jobs))
	}
	for _, j := range jobs {
		switch {
		case j.ID == ids[0]:
			if j.State != s4.JobCanceled || !strings.HasPrefix(j.Err.Text, "interrupted") {
				t.Errorf("interrupted: %s, %v", j.State, j.Err)
			}
		case j.State != s4.JobFailed || j.Err.Key != "s4://b/in/1_k" || j.Err.Exit != 3 || j.Err.Server != c.Cluster.Servers[1].String():
			t.Errorf("failed: %s, %v", j.State, j.Err)
		}
	}
}
