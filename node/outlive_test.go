package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// outlive is a job on three servers behind proxies, whose tasks note that they began in
// a file, and wait for a gate.
type outlive struct {
	*nodetest.Proxied
	client *s4.Client
	dir    string
	opts   s4.JobOptions
	want   map[string]string // the keys below b/out when it is done

	ids chan string // the job's, again and again

	mu    sync.Mutex
	tasks []s4.JobTask
}

// outliveSlots is how many commands run at once on a server: with one more that pushes,
// as many tasks as a stop of the server can cost.
const (
	outliveKeys  = 30
	outliveSlots = 4
)

func newOutlive(t *testing.T, cfg node.Config) *outlive {
	cfg.MaxCPUJobs, cfg.MaxIOJobs = outliveSlots, 1
	o := &outlive{Proxied: nodetest.StartProxied(t, 3, cfg), dir: t.TempDir()}
	o.client = o.Client(t, &s4.Options{IOTimeout: cfg.IOTimeout})
	for i := range outliveKeys {
		put(t, o.client, fmt.Sprintf("b/in/%02d_k", i), []byte(fmt.Sprintf("line %d\n", i)))
	}
	o.ids = make(chan string, 1)
	o.opts = s4.JobOptions{ServerWait: time.Minute, AllTasks: true, Started: func(id string) { o.ids <- id }, Task: func(task s4.JobTask) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.tasks = append(o.tasks, task)
	}}
	return o
}

// id returns the job's ID, once it has one.
func (o *outlive) id() string {
	id := <-o.ids
	o.ids <- id
	return id
}

// script is the command of a verb, and what makes it wait.
func (o *outlive) script(verb s4.Verb) string {
	note := "echo $filename >>" + o.dir + "/began; i=$((S4_TASK % 3)); while { [ $i = 0 ] && [ ! -e " + o.dir + "/gate ]; } || [ -e " + o.dir + "/hold ]; do sleep 0.02; done; "
	o.want = make(map[string]string)
	switch verb {
	case s4.VerbMapToN:
		for i := range outliveKeys {
			for part := range 5 {
				o.want[fmt.Sprintf("b/out/%02d_k/%d", i, part)] = fmt.Sprintf("%d line %d\n", part, i)
			}
		}
		return note + `read line; for p in 0 1 2 3 4; do echo $p $line >$p; echo $p; done`
	case s4.VerbMapFromN:
		for i := range outliveKeys {
			o.want[fmt.Sprintf("b/out/%02d_k", i)] = fmt.Sprintf("line %d\n", i)
		}
		return note + `xargs -d '\n' cat`
	}
	for i := range outliveKeys {
		o.want[fmt.Sprintf("b/out/%02d_k", i)] = fmt.Sprintf("LINE %d\n", i)
	}
	return note + `tr a-z A-Z`
}

func (o *outlive) begun() []string {
	b, _ := os.ReadFile(filepath.Join(o.dir, "began"))
	return strings.Fields(string(b))
}

func (o *outlive) openGate(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, "gate"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// check compares the published keys.
func (o *outlive) check(t *testing.T) {
	t.Helper()
	got := make(map[string]string)
	for e, err := range o.client.List(guarded(t), "s4://b/out/", true) {
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := o.client.Get(guarded(t), "s4://"+e.Name, &b); err != nil {
			t.Error(err)
		}
		got[e.Name] = b.String()
	}
	for key, text := range o.want {
		if got[key] != text {
			t.Errorf("%s: %q, want %q", key, got[key], text)
		}
		delete(got, key)
	}
	for key := range got {
		t.Errorf("%s is more than was written", key)
	}
	for i := range 3 {
		nodetest.Eventually(t, "nothing is staged", func() bool { return len(nodetest.Staged(t, o.Data(i))) == 0 })
	}
}

func (o *outlive) run(ctx context.Context, verb s4.Verb) (s4.JobResult, error) {
	run := map[s4.Verb]func(context.Context, string, string, string, *s4.JobOptions) (s4.JobResult, error){
		s4.VerbMap: o.client.Map, s4.VerbMapToN: o.client.MapToN, s4.VerbMapFromN: o.client.MapFromN}[verb]
	return run(ctx, "s4://b/in", "s4://b/out", o.script(verb), &o.opts)
}

var verbs = []s4.Verb{s4.VerbMap, s4.VerbMapToN, s4.VerbMapFromN}

// A server that is stopped in the middle of a job, and started again, goes on with it.
// No task runs again that had ended, and the client is told of each once.
func TestJobOutlivesRestart(t *testing.T) {
	t.Parallel()
	for _, verb := range verbs {
		for _, detach := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,detach=%v", verb, detach), func(t *testing.T) {
				t.Parallel()
				o := newOutlive(t, node.Config{})
				o.opts.Detach = detach
				type result struct {
					s4.JobResult
					err error
				}
				ended := make(chan result, 1)
				go func() {
					res, err := o.run(guarded(t), verb)
					ended <- result{res, err}
				}()
				var job s4.JobResult
				if detach {
					r := <-ended
					if r.err != nil {
						t.Fatal(r.err)
					}
					job = r.JobResult
				}
				// Some tasks have ended, and some wait.
				nodetest.Eventually(t, "tasks wait", func() bool {
					s, err := o.client.Job(guarded(t), o.id())
					return err == nil && s.Done >= 9 && s.Running >= 3
				})
				for i := range 3 {
					o.StopNode(i)
					o.StartNode(t, i)
				}
				o.openGate(t)
				if detach {
					s, err := o.client.WaitJob(guarded(t), job.ID, nil)
					if err != nil || s.State != s4.JobDone {
						t.Fatalf("%+v, %v", s, err)
					}
				} else {
					r := <-ended
					if r.err != nil {
						t.Fatal(r.err)
					}
					if r.Keys != int64(len(o.want)) || r.Done != outliveKeys {
						t.Errorf("%d keys and %d tasks, want %d and %d", r.Keys, r.Done, len(o.want), outliveKeys)
					}
					if len(o.tasks) != outliveKeys {
						t.Errorf("told of %d tasks", len(o.tasks))
					}
				}
				o.check(t)
				again := make(map[string]int)
				for _, key := range o.begun() {
					again[key]++
				}
				rerun := 0
				for _, n := range again {
					if n > 1 {
						rerun++
					}
				}
				if most := 3 * (outliveSlots + 1); rerun > most {
					t.Errorf("%d tasks ran again, of which at most %d ran at the stops", rerun, most)
				}
			})
		}
	}
}

// A connection that is silent for longer than the I/O timeout, or reset, does not end a
// job whose servers are all there.
func TestJobOutlivesCut(t *testing.T) {
	t.Parallel()
	for _, verb := range []s4.Verb{s4.VerbMap, s4.VerbMapToN} {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			const timeout = 3 * time.Second
			o := newOutlive(t, node.Config{IOTimeout: timeout})
			ended := make(chan error, 1)
			go func() {
				_, err := o.run(guarded(t), verb)
				ended <- err
			}()
			nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
			all := func() bool { return true }
			o.Proxies[2].Reset(all)
			release := o.Proxies[1].Hold(all, true)
			time.AfterFunc(timeout+timeout/2, release)
			o.openGate(t)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			o.check(t)
			if n := len(o.begun()); n != outliveKeys {
				t.Errorf("%d runs of tasks, want %d: none had to run again", n, outliveKeys)
			}
		})
	}
}

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

// A connection that is lost before the job is ready is made again, whether JOB came
// through or not.
func TestJobOutlivesLossAtSubmit(t *testing.T) {
	t.Parallel()
	for _, dir := range []nodetest.Direction{nodetest.ToServer, nodetest.ToClient} {
		t.Run(dir.String(), func(t *testing.T) {
			t.Parallel()
			o := newOutlive(t, node.Config{})
			o.openGate(t)
			// Behind the preamble: in JOB, or in READY.
			o.Proxies[1].Set(nodetest.Fault{Action: nodetest.Cut, Dir: dir, At: wire.PreambleSize + 4, Channel: 'c'})
			ended := make(chan error, 1)
			go func() {
				_, err := o.run(guarded(t), s4.VerbMap)
				ended <- err
			}()
			nodetest.Eventually(t, "a connection is lost", func() bool { return o.Proxies[1].Hits() > 0 })
			o.Proxies[1].Heal()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			o.check(t)
		})
	}
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

// A server that is cut off from its client for longer than the grace of a closed
// connection asks the others, which have the client still, and goes on.
func TestJobOutlivesClosedConnection(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	ended := make(chan error, 1)
	go func() {
		_, err := o.run(guarded(t), s4.VerbMap)
		ended <- err
	}()
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
	all := func() bool { return true }
	release := o.Proxies[1].Hold(func() bool { return false }, true)
	o.Proxies[1].Reset(all)
	time.AfterFunc(8*time.Second, release)
	o.openGate(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	o.check(t)
}
