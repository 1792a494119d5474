package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// A job that keeps going does without a server that does not come back, whether it has a
// client or is detached: it names what is missing, and --resume completes the output.
func TestJobKeepsGoingWithoutServer(t *testing.T) {
	t.Parallel()
	for _, verb := range []s4.Verb{s4.VerbMap, s4.VerbMapFromN} {
		for _, detached := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s detached %v", verb, detached), func(t *testing.T) {
				t.Parallel()
				testKeepsGoing(t, verb, detached)
			})
		}
	}
}

func testKeepsGoing(t *testing.T, verb s4.Verb, detached bool) {
	o := newOutlive(t, node.Config{})
	o.opts.KeepGoing, o.opts.AllTasks, o.opts.ServerWait = true, false, time.Second
	o.opts.Detach = detached
	if detached {
		o.opts.ServerWait = 4 * time.Second // so that the server that is back has time to take the job over, if it were to
	}
	taskDir := "b/in"
	if verb == s4.VerbMapFromN {
		taskDir = "b/out" // a task of a merge is named after its output, however many inputs it has
		for i := range outliveKeys {
			put(t, o.client, fmt.Sprintf("b/in/more/%02d_k", i), []byte(fmt.Sprintf("line %d\n", i)))
		}
	}
	type result struct {
		s4.JobResult
		err error
	}
	ended := make(chan result, 1)
	go func() {
		res, err := o.run(guarded(t), verb)
		ended <- result{res, err}
	}()
	id := o.id()
	lost := 1
	if detached {
		var driver uint64
		if _, err := fmt.Sscanf(id, "%x", &driver); err != nil {
			t.Fatal(err)
		}
		lost = int((driver + 1) % 3)
	}
	nodetest.Eventually(t, "tasks run, also on the server to be lost", func() bool {
		begun := o.begun()
		return len(begun) >= 6 && slices.ContainsFunc(begun, func(name string) bool { return o.Cluster.Place("b/in/"+name) == lost })
	})
	o.StopNode(lost)
	o.openGate(t)
	r := <-ended
	missing := make(map[string]bool)
	for i := range outliveKeys {
		if key := fmt.Sprintf("%s/%02d_k", taskDir, i); o.Cluster.Place(key) == lost {
			missing["s4://"+key] = true
		}
	}
	count := int64(len(missing))
	if detached {
		if r.err != nil {
			t.Fatal(r.err)
		}
		s, err := o.client.WaitJob(guarded(t), id, nil)
		if err != nil || s.State != s4.JobPartly || s.Failed != count || s.Keys != outliveKeys-count || s.Tasks != outliveKeys {
			t.Errorf("%+v, %v: want %d failed", s, err, count)
		}
		// The server that is lost does not answer.
		if err := o.client.JobTasks(guarded(t), id, func(task s4.JobTask) error {
			if task.State == s4.TaskFailed {
				o.tasks = append(o.tasks, task)
			}
			return nil
		}); !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("tasks: %v", err)
		}
	} else if !errors.Is(r.err, s4.ErrTaskFailed) || r.Failed != count || r.Keys != outliveKeys-count {
		t.Errorf("%+v, %v: want %d failed", r.JobResult, r.err, count)
	}
	for _, task := range o.tasks {
		if !missing[task.Key] || !errors.Is(task.Err, s4.ErrUnavailable) || task.Server != o.Cluster.Servers[lost] {
			t.Errorf("%s on %s: %v", task.Key, task.Server, task.Err)
		}
		delete(missing, task.Key)
	}
	if len(missing) > 0 {
		t.Errorf("not told of %v", missing)
	}
	o.StartNode(t, lost)
	nodetest.Eventually(t, "the job is over on the server that is back", func() bool {
		jobs, err := o.client.Jobs(guarded(t))
		return err == nil && len(jobs) == 1 && jobs[0].State == s4.JobPartly && len(nodetest.Staged(t, o.Data(lost))) == 0
	})
	keys := int64(0)
	for _, err := range o.client.List(guarded(t), "s4://b/out/", true) {
		if err != nil {
			t.Fatal(err)
		}
		keys++
	}
	if keys != outliveKeys-count {
		t.Errorf("%d keys, want %d: the server that is back has no part in the job", keys, outliveKeys-count)
	}
	if s, err := o.client.WaitJob(guarded(t), id, nil); err != nil || s.State != s4.JobPartly || s.Failed != count || s.Tasks != outliveKeys {
		t.Errorf("%+v, %v", s, err)
	}
	<-o.ids
	o.opts.Resume, o.opts.Detach = true, false
	if res, err := o.run(guarded(t), verb); err != nil || res.Keys != count || res.Skipped != outliveKeys-count {
		t.Errorf("%+v, %v", res, err)
	}
	if verb == s4.VerbMapFromN {
		for key, text := range o.want {
			o.want[key] = text + text
		}
	}
	o.check(t)
}

// A job that keeps going also does without a server that had done its tasks, or has none,
// if it is lost before any server is prepared.
func TestJobKeepsGoingWithoutDoneServer(t *testing.T) {
	t.Parallel()
	const lost = 1
	o := newOutlive(t, node.Config{})
	o.opts.KeepGoing, o.opts.AllTasks, o.opts.ServerWait = true, false, time.Second
	ended := make(chan error, 1)
	var res s4.JobResult
	go func() {
		var err error
		res, err = o.client.Map(guarded(t), "s4://b/in/", "s4://b/out/",
			"while [ $S4_SERVER != 1 ] && [ ! -e "+o.dir+"/gate ]; do sleep 0.02; done; cat", &o.opts)
		ended <- err
	}()
	id := o.id()
	nodetest.Eventually(t, "the tasks of one server are done", func() bool {
		s, err := o.client.Job(guarded(t), id)
		return err == nil && s.Done == outliveKeys/3
	})
	o.StopNode(lost)
	o.openGate(t)
	if err := <-ended; !errors.Is(err, s4.ErrTaskFailed) || res.Keys != outliveKeys*2/3 || res.Failed != outliveKeys/3 {
		t.Errorf("%+v, %v", res, err)
	}
	o.StartNode(t, lost)
}

// What --resume has done before is not missing when a server is lost.
func TestResumeWithoutServer(t *testing.T) {
	t.Parallel()
	const lost = 1
	o := newOutlive(t, node.Config{})
	o.openGate(t)
	if _, err := o.run(guarded(t), s4.VerbMap); err != nil {
		t.Fatal(err)
	}
	var again []string // outputs to make again, one of them on the server that is lost
	there := false
	for i := range outliveKeys {
		key := fmt.Sprintf("%02d_k", i)
		if at := o.Cluster.Place("b/out/" + key); at == 0 || at == lost && !there {
			there = there || at == lost
			again = append(again, key)
			if _, err := o.client.Remove(guarded(t), "s4://b/out/"+key, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Remove(filepath.Join(o.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	before := len(o.begun())
	o.tasks = nil
	<-o.ids
	o.opts.Resume, o.opts.KeepGoing, o.opts.AllTasks, o.opts.ServerWait = true, true, false, time.Second
	ended := make(chan error, 1)
	go func() {
		res, err := o.run(guarded(t), s4.VerbMap)
		if res.Failed != 1 || res.Keys != int64(len(again)-1) {
			t.Errorf("%+v", res)
		}
		ended <- err
	}()
	o.id()
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) > before })
	o.StopNode(lost)
	o.openGate(t)
	if err := <-ended; !errors.Is(err, s4.ErrTaskFailed) {
		t.Errorf("%v", err)
	}
	if len(o.tasks) != 1 || o.Cluster.Place(strings.TrimPrefix(o.tasks[0].Key, "s4://")) != lost {
		t.Errorf("told of %+v", o.tasks)
	}
	o.StartNode(t, lost)
}

// A shuffle needs all servers, as each has a part of every task's output.
func TestShuffleNeedsServers(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	o.opts.KeepGoing, o.opts.Detach, o.opts.ServerWait = true, true, time.Second
	res, err := o.run(guarded(t), s4.VerbMapToN)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
	var driver uint64
	if _, err := fmt.Sscanf(res.ID, "%x", &driver); err != nil {
		t.Fatal(err)
	}
	o.StopNode(int((driver + 1) % 3))
	o.openGate(t)
	s, err := o.client.WaitJob(guarded(t), res.ID, nil)
	if err != nil || s.State != s4.JobFailed && s.State != s4.JobCanceled {
		t.Errorf("%+v, %v", s, err)
	}
}
