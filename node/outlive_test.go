package node_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	o.client = o.Client(t, &s4.Options{IOTimeout: cfg.IOTimeout, Secret: cfg.Secret})
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
	note := o.waiting()
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

// waiting is the beginning of a command, which notes that it runs, and makes it wait.
func (o *outlive) waiting() string {
	return "echo $filename >>" + o.dir + "/began; i=$((S4_TASK % 3)); while { [ $i = 0 ] && [ ! -e " + o.dir + "/gate ]; } || [ -e " + o.dir + "/hold ]; do sleep 0.02; done; "
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

// A server that stops while it takes a job over leaves it to the others.
func TestJobOutlivesStopOfTakeOver(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	o.opts.Detach = true
	job, err := o.run(guarded(t), s4.VerbMap)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
	id, err := strconv.ParseUint(job.ID, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	// The driver is down. The first of the others is attached to both, and waits for it.
	driver := int(id % 3)
	first, last := (driver+1)%3, (driver+2)%3
	if first > last {
		first, last = last, first
	}
	o.StopNode(driver)
	nodetest.Eventually(t, "the job is taken over", func() bool {
		info, err := o.client.JobInfo(guarded(t), last, id)
		return err == nil && info.Attached && info.Term > 1
	})
	o.StopNode(first)
	o.StartNode(t, first)
	o.StartNode(t, driver)
	o.openGate(t)
	s, err := o.client.WaitJob(guarded(t), job.ID, nil)
	if err != nil || s.State != s4.JobDone {
		t.Fatalf("%+v, %v", s, err)
	}
	o.check(t)
}

// A detached job that is canceled while some servers are down ends on them when they are
// back, though nobody can take it up there, and long before its wait is over.
func TestCanceledJobEndsOnServersThatWereDown(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	o.opts.Detach = true
	job, err := o.run(guarded(t), s4.VerbMap)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
	id, err := strconv.ParseUint(job.ID, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	driver := int(id % 3)
	o.StopNode((driver + 1) % 3)
	o.StopNode((driver + 2) % 3)
	_ = o.client.CancelJob(guarded(t), job.ID) // may tell of the servers that are down
	over := func(i int) bool {
		info, err := o.client.JobInfo(guarded(t), i, id)
		return err == nil && info.State == wire.JobCanceled
	}
	nodetest.Eventually(t, "the driver's part is over", func() bool { return over(driver) })
	o.StartNode(t, (driver+1)%3)
	o.StartNode(t, (driver+2)%3)
	nodetest.Eventually(t, "the other parts are over", func() bool { return over((driver+1)%3) && over((driver+2)%3) })
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
