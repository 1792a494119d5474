package node_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// A server is killed before it has published its part of a job that is committed on the
// others: WaitJob does not take the job for done before the part is there.
func TestWaitJobWaitsForEveryPart(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	keys := threeIn(t, client)
	job := submitRaw(t, c.Cluster, "b/out", wire.TypeCommit)
	job.commit(0, 1)
	c.StopNode(2)
	job.lose(0, 1, 2)
	at := c.Cluster.Servers[2].String()
	_, err := client.WaitJob(guarded(t), jobText(job.id), &s4.WaitOptions{})
	var e *s4.Error
	if !errors.Is(err, s4.ErrUnavailable) || !errors.As(err, &e) || e.Server != at || e.Op != "jobs" {
		t.Errorf("%v, want that %s has yet to publish its part", err, at)
	}
	lost := make(chan s4.JobStatus, 1)
	over := make(chan s4.JobStatus, 1)
	go func() {
		s, err := client.WaitJob(guarded(t), jobText(job.id), &s4.WaitOptions{ServerWait: time.Minute, Progress: func(s s4.JobStatus) {
			select {
			case lost <- s:
			default:
			}
		}})
		if err != nil {
			t.Error(err)
		}
		over <- s
	}()
	select {
	case s := <-lost:
		if s.Lost != 2 || s.LostSince.IsZero() {
			t.Errorf("waits for server %d since %v", s.Lost, s.LostSince)
		}
	case s := <-over:
		t.Fatalf("over before the server is back: %+v", s)
	}
	c.StartNode(t, 2)
	s := <-over
	if s.State != s4.JobDone || s.Keys != int64(len(keys)) {
		t.Errorf("%+v", s)
	}
	if got := list(t, client, "b/out/"); len(got) != len(keys) {
		t.Errorf("when the job is done, the output is %q", got)
	}
}

// A server that has lost its disk has lost its part of what a job has published.
func TestWaitJobAfterALostDisk(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	threeIn(t, client)
	res, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.StopNode(1)
	if err := os.RemoveAll(c.Data(1)); err != nil {
		t.Fatal(err)
	}
	c.StartNode(t, 1)
	nodetest.Eventually(t, "all servers answer", func() bool {
		_, err := client.Job(guarded(t), res.ID)
		return err == nil
	})
	_, err = client.WaitJob(guarded(t), res.ID, nil)
	var e *s4.Error
	if !errors.Is(err, s4.ErrNoJob) || !errors.As(err, &e) || e.Server != c.Cluster.Servers[1].String() {
		t.Errorf("%v", err)
	}
}

// While no server answers, WaitJob waits for them.
func TestWaitJobBeforeTheServers(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	threeIn(t, client)
	res, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.StopNode(i)
	}
	if _, err := client.WaitJob(guarded(t), res.ID, &s4.WaitOptions{ServerWait: time.Millisecond}); !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	waits := make(chan struct{}, 1)
	over := make(chan error, 1)
	go func() {
		s, err := client.WaitJob(guarded(t), res.ID, &s4.WaitOptions{ServerWait: time.Minute, Progress: func(s s4.JobStatus) {
			if s.Lost >= 0 && s.ID == "" {
				select {
				case waits <- struct{}{}:
				default:
				}
			}
		}})
		if err == nil && s.State != s4.JobDone {
			err = errors.New(string(s.State))
		}
		over <- err
	}()
	select {
	case <-waits:
	case err := <-over:
		t.Fatalf("over before any server is back: %v", err)
	}
	for i := range 3 {
		c.StartNode(t, i)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}
