package node_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// Beside a server that accepts connections and says nothing, as one that was stopped
// does, what the others know of a job is told, and then who is silent. The client's
// I/O timeout is no help here, and is long.
func TestJobsBesideASilentServer(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	first := c.Client(t, nil)
	for i := range 6 {
		put(t, first, fmt.Sprintf("b/in/%d", i), []byte("x"))
	}
	res, err := first.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	c.Proxies[1].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient})
	silent := c.Cluster.Servers[1].String()
	client := c.Client(t, &s4.Options{IOTimeout: time.Hour})
	named := func(what string, err error) {
		t.Helper()
		var e *s4.Error
		if !errors.Is(err, s4.ErrTimeout) || !errors.As(err, &e) || e.Server != silent {
			t.Errorf("%s: %v, want no answer on %s", what, err, silent)
		}
	}
	s, err := client.Job(guarded(t), res.ID)
	named("Job", err)
	if s.State != s4.JobDone || s.Tasks != 4 {
		t.Errorf("%+v", s)
	}
	// Those of each server stand together, in the order of the cluster file.
	var servers []string
	err = client.JobTasks(guarded(t), res.ID, func(t s4.JobTask) error {
		servers = append(servers, t.Server.String())
		return nil
	})
	named("JobTasks", err)
	a, b := c.Cluster.Servers[0].String(), c.Cluster.Servers[2].String()
	if want := []string{a, a, b, b}; !slices.Equal(servers, want) {
		t.Errorf("tasks on %s, want %s", servers, want)
	}
	named("CancelJob", client.CancelJob(guarded(t), res.ID))
	// JobTasks ends at once when whoever it calls has had enough.
	enough := errors.New("enough")
	if err := client.JobTasks(guarded(t), res.ID, func(s4.JobTask) error { return enough }); err != enough {
		t.Errorf("stopped: %v", err)
	}
	// One that answers again is asked again.
	c.Proxies[1].Heal()
	nodetest.Eventually(t, "all servers answer", func() bool {
		s, err = client.Job(guarded(t), res.ID)
		return err == nil && s.Tasks == 6
	})
}
