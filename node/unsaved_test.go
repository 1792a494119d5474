package node_test

import (
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
		if j.State != s4.JobFailed || !strings.Contains(j.Err, "exit 3 on "+c.Cluster.Servers[1].String()) {
			t.Errorf("%s: %s, %q", what, j.State, j.Err)
		}
		if j.Tasks != 3 || j.Failed != 1 || j.Ended.IsZero() {
			t.Errorf("%s: %+v", what, j.JobProgress)
		}
	}
}
