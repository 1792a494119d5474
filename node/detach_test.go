package node_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// detach submits a detached job with a client of its own, which it closes.
func detach(t testing.TB, cluster *s4.Cluster, verb, outdir, cmd string, opts s4.JobOptions) string {
	t.Helper()
	client := s4.NewClient(cluster, nil)
	defer client.Close()
	opts.Detach = true
	started := ""
	opts.Started = func(id string) { started = id }
	res, err := jobVerbs[verb](client, guarded(t), "s4://b/in", "s4://"+outdir, cmd, &opts)
	if err != nil || res.ID == "" || started != res.ID {
		t.Fatalf("%s: %+v, %v, started %q", verb, res, err, started)
	}
	return res.ID
}

// gate returns a command that waits for a file, and a function that makes it.
func gate(t testing.TB) (wait string, open func()) {
	path := filepath.Join(t.TempDir(), "gate")
	return "while [ ! -e " + path + " ]; do sleep 0.02; done; ", func() { touch(t, path) }
}

func waitJob(t testing.TB, c *s4.Client, id string) s4.JobStatus {
	t.Helper()
	s, err := c.WaitJob(guarded(t), id, nil)
	if err != nil || s.ID != id || !s.State.Over() || s.Ended.IsZero() || s.Ended.Before(s.Started) {
		t.Errorf("%+v, %v", s, err)
	}
	return s
}

// jobTasks returns the recorded tasks of a job, sorted.
func jobTasks(t testing.TB, c *s4.Client, id string) []string {
	t.Helper()
	list := []string{}
	if err := c.JobTasks(guarded(t), id, func(task s4.JobTask) error {
		list = append(list, fmt.Sprintf("%s %s on %s", task.Key, task.State, task.Server))
		return nil
	}); err != nil {
		t.Error(err)
	}
	slices.Sort(list)
	return list
}

// A detached job goes on without its client, and every server knows it, also
// when all have been started again.
func TestDetach(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	all := slices.Clone(keys)
	var ids []string
	var before []s4.JobStatus
	for _, verb := range []string{"map", "map-to-n", "map-from-n"} {
		wait, open := gate(t)
		outdir := "b/" + verb
		id := detach(t, c.Cluster, verb, outdir, wait+"echo $filename > 0_p; echo 0_p; echo said >&2", s4.JobOptions{})
		nodetest.Eventually(t, "all tasks run", func() bool {
			s, err := client.Job(guarded(t), id)
			return err == nil && s.State == s4.JobRunning && s.Running == 3
		})
		clean := list(t, client, outdir+"/")
		if len(clean) > 0 {
			t.Errorf("%q is there before the end", clean)
		}
		open()
		s := waitJob(t, client, id)
		if s.State != s4.JobDone || s.Err != nil || s.Done != 3 || s.Tasks != 3 || s.Keys != 3 || s.Verb != verb ||
			s.Indir != "s4://b/in" || s.Outdir != "s4://"+outdir || !strings.Contains(s.Command, "echo said") {
			t.Errorf("%+v", s)
		}
		var want []string
		for i, k := range keys {
			if verb == "map-from-n" {
				k = outOf(keys, outdir)[i]
			}
			want = append(want, fmt.Sprintf("s4://%s done on %s", k, c.Cluster.Servers[i]))
		}
		if got := jobTasks(t, client, id); !slices.Equal(got, want) {
			t.Errorf("%s: tasks %q, want %q", verb, got, want)
		}
		out := list(t, client, outdir+"/")
		if len(out) != 3 {
			t.Errorf("%s: %q", verb, out)
		}
		all = append(all, out...)
		ids, before = append(ids, id), append(before, s)
	}
	clean(t, dataDirs(c), all...)
	client.Close()
	c.Stop()
	c = nodetest.StartIn(t, c.Dir, 3, node.Config{})
	client = c.Client(t, nil)
	jobs, err := client.Jobs(guarded(t))
	if err != nil || len(jobs) != len(ids) {
		t.Fatalf("%+v, %v", jobs, err)
	}
	for i, s := range before {
		if got := jobs[len(jobs)-1-i]; !reflect.DeepEqual(got, s) { // the last comes first
			t.Errorf("after a restart %+v, before %+v", got, s)
		}
		if got := waitJob(t, client, ids[i]); !reflect.DeepEqual(got, s) {
			t.Errorf("after a restart %+v, before %+v", got, s)
		}
		if got := jobTasks(t, client, ids[i]); len(got) != 3 {
			t.Errorf("%q", got)
		}
	}
	for name, err := range map[string]error{
		"job":    func() error { _, err := client.Job(guarded(t), "0123456789abcdef"); return err }(),
		"wait":   func() error { _, err := client.WaitJob(guarded(t), "0123456789abcdef", nil); return err }(),
		"tasks":  client.JobTasks(guarded(t), "0123456789abcdef", func(s4.JobTask) error { return nil }),
		"cancel": client.CancelJob(guarded(t), "0123456789abcdef"),
		"over":   client.CancelJob(guarded(t), ids[0]),
	} {
		if !errors.Is(err, s4.ErrNoJob) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// It is known also where START takes long to arrive.
func TestDetachedJobIsKnownBeforeItBegins(t *testing.T) {
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	keys := threeIn(t, client)
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	job := &wire.Job{ID: 77, Verb: wire.VerbMap, Options: wire.JobDetach, Indir: "b/in", Outdir: "b/out", Command: "cat"}
	// What server 0 says to all stops after JOB.
	size := wire.PreambleSize + len(wire.AppendFrame(nil, 1, wire.FlagChecked, job))
	for _, p := range c.Proxies {
		p.Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToServer, At: int64(size), Channel: 'c'})
	}
	r := &rawJob{t: t, id: job.ID, conns: []*xfer.Conn{conn}}
	r.ask(0, job, wire.TypeReady)
	r.ask(0, wire.Empty{T: wire.TypeStart}, wire.TypeOK)
	if s, err := client.Job(guarded(t), jobText(job.ID)); err != nil || s.State != s4.JobRunning {
		t.Errorf("%+v, %v", s, err)
	}
	for _, p := range c.Proxies {
		p.Heal()
	}
	nodetest.Eventually(t, "the output is there", func() bool { return len(list(t, client, "b/out/")) == 3 })
	clean(t, []string{c.Data(0), c.Data(1), c.Data(2)}, append(keys, outOf(keys, "b/out")...)...)
}

// Detached jobs that do not come to a good end.
func TestDetachedJobFails(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	refused := func(outdir string, want error) {
		t.Helper()
		if _, err := client.Map(guarded(t), "s4://b/in", "s4://"+outdir, "cat", &s4.JobOptions{Detach: true}); !errors.Is(err, want) {
			t.Errorf("into %s: %v", outdir, err)
		}
	}
	refused("b/in", s4.ErrExists)
	if _, err := client.Map(guarded(t), "s4://b/none", "s4://b/out", "cat", &s4.JobOptions{Detach: true}); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("without input: %v", err)
	}
	if jobs, err := client.Jobs(guarded(t)); err != nil || len(jobs) > 0 {
		t.Errorf("jobs that never began: %+v, %v", jobs, err)
	}

	id := detach(t, c.Cluster, "map", "b/out", "case $filename in 1_k) echo why >&2; exit 5;; esac; cat", s4.JobOptions{})
	s := waitJob(t, client, id)
	if s.State != s4.JobFailed || s.Err.Key != "s4://b/in/1_k" || !strings.Contains(s.Err.Text, "exit 5") {
		t.Errorf("%+v", s)
	}
	clean(t, dataDirs(c), keys...)
	failed := 0
	if err := client.JobTasks(guarded(t), id, func(task s4.JobTask) error {
		if task.State == s4.TaskFailed {
			failed++
			if task.Key != "s4://b/in/1_k" || task.Exit != 5 || task.Stderr != "why\n" {
				t.Errorf("%+v", task)
			}
		}
		return nil
	}); err != nil || failed != 1 {
		t.Errorf("%d tasks failed, %v", failed, err)
	}

	// One that has seen nothing of what comes in its way.
	wait, open := gate(t)
	id = detach(t, c.Cluster, "map", "b/out", wait+"cat", s4.JobOptions{})
	put(t, client, "b/out/2_k", []byte("mine"))
	open()
	if s := waitJob(t, client, id); s.State != s4.JobFailed || s.Err.Key != "s4://b/out/2_k" {
		t.Errorf("%+v", s)
	}
	keys = append(keys, "b/out/2_k")
	clean(t, dataDirs(c), keys...)

	id = detach(t, c.Cluster, "map", "b/out3", "[ $filename != 1_k ]", s4.JobOptions{KeepGoing: true})
	if s := waitJob(t, client, id); s.State != s4.JobPartly || s.Done != 2 || s.Failed != 1 || s.Keys != 2 {
		t.Errorf("%+v", s)
	}
	clean(t, dataDirs(c), append(keys, "b/out3/0_k", "b/out3/2_k")...)
}

func TestCancelDetachedJob(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := manyIn(t, client, 6)
	for verb := range jobVerbs {
		mark := marker()
		id := detach(t, c.Cluster, verb, "b/out", "case $S4_TASK in 0) echo x > 0_p; echo 0_p;; *) sleep "+mark+";; esac", s4.JobOptions{})
		nodetest.Eventually(t, "tasks run on all servers", func() bool { return len(nodetest.Processes(mark)) >= 3 })
		if err := client.CancelJob(guarded(t), id); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		if s := waitJob(t, client, id); s.State != s4.JobCanceled || s.Err == nil {
			t.Errorf("%s: %+v", verb, s)
		}
		noProcess(t, mark)
		clean(t, dataDirs(c), keys...)
		if err := client.CancelJob(guarded(t), id); !errors.Is(err, s4.ErrNoJob) {
			t.Errorf("%s again: %v", verb, err)
		}
	}
	// One that is prepared: it is too late.
	job := submitRaw(t, c.Cluster, "b/late", wire.TypeCommit)
	if err := client.CancelJob(guarded(t), jobText(job.id)); !errors.Is(err, s4.ErrCanceled) {
		t.Errorf("prepared: %v", err)
	}
	job.commit(0, 1, 2)
	clean(t, dataDirs(c), append(keys, outOf(keys, "b/late")...)...)
}

// A context that ends while a job is handed over gives it up.
func TestCancelWhileDetaching(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	ctx, cancel := context.WithCancel(guarded(t))
	_, err := client.Map(ctx, "s4://b/in", "s4://b/out", "cat", &s4.JobOptions{Detach: true, Started: func(string) { cancel() }})
	if !errors.Is(err, s4.ErrCanceled) {
		t.Errorf("%v", err)
	}
	clean(t, dataDirs(c), keys...)
}

// The server that drives a detached job is killed: the others discard it.
func TestCoordinatorKilled(t *testing.T) {
	t.Parallel()
	p := startProcesses(t, 3)
	var dirs []string
	for i := range 3 {
		p.start(i)
		dirs = append(dirs, filepath.Join(p.dir, fmt.Sprint(i)))
	}
	client := nodetest.NewClient(t, p.cluster, nil)
	keys := manyIn(t, client, 6)
	for _, verb := range []string{"map", "map-to-n"} {
		mark := marker()
		id := detach(t, p.cluster, verb, "b/out", "case $S4_TASK in 0) echo x > 0_p; echo 0_p;; *) sleep "+mark+";; esac", s4.JobOptions{})
		nodetest.Eventually(t, "tasks run on all servers", func() bool { return len(nodetest.Processes(mark)) >= 3 })
		num, err := jobNumber(id)
		if err != nil {
			t.Fatal(err)
		}
		driver := int(num % 3)
		p.kill(driver)
		others := slices.Delete(slices.Clone(dirs), driver, driver+1)
		var rest []string
		for i, k := range keys {
			if i%3 != driver {
				rest = append(rest, k)
			}
		}
		clean(t, others, rest...)
		p.start(driver)
		noProcess(t, mark)
		clean(t, dirs, keys...)
		if s := waitJob(t, client, id); s.State != s4.JobFailed && s.State != s4.JobCanceled || s.Err == nil {
			t.Errorf("%+v", s)
		}
		if jobs, err := client.Jobs(guarded(t)); err != nil || !slices.ContainsFunc(jobs, func(s s4.JobStatus) bool { return s.ID == id }) {
			t.Errorf("%+v, %v", jobs, err)
		}
	}
}

// A client is lost, or gives its job up, before START.
func TestDetachGivenUpBeforeStart(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	for name, end := range map[string]func(*rawJob){
		"gone": func(r *rawJob) { r.lose(0) },
		"discarded": func(r *rawJob) {
			r.ask(0, &wire.Discard{Why: wire.Error{Code: wire.CodeCanceled, Text: "no"}}, wire.TypeOK)
		},
		"confused": func(r *rawJob) {
			if e := r.ask(0, wire.Empty{T: wire.TypePrepare}, wire.TypeError).(*wire.Error); e.Code != wire.CodeBadRequest {
				t.Errorf("%v", e)
			}
		},
	} {
		conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelControl)
		if err != nil {
			t.Fatal(err)
		}
		r := &rawJob{t: t, id: rawIDs.Add(1)<<32 + 1, conns: []*xfer.Conn{conn}}
		ready := r.ask(0, &wire.Job{ID: r.id, Verb: wire.VerbMap, Options: wire.JobDetach, Indir: "b/in", Outdir: "b/out", Command: "cat"}, wire.TypeReady).(*wire.Ready)
		if ready.Tasks != 3 {
			t.Errorf("%s: %+v", name, ready)
		}
		end(r)
		clean(t, dataDirs(c), keys...)
		conn.Close()
	}
	// The cluster is as good as before.
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", nil); err != nil {
		t.Error(err)
	}
}

// A server stops while it drives a detached job, and a peer is silent after
// COMMIT: the servers settle that, and nobody waits for it.
func TestCoordinatorStopsAtCommit(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4, IOTimeout: 20 * time.Second})
	client := c.Client(t, nil)
	put(t, client, "b/in/0_k", []byte("x"))
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &rawJob{t: t, id: 78, conns: []*xfer.Conn{conn}}
	job := &wire.Job{ID: r.id, Verb: wire.VerbMapToN, Options: wire.JobDetach, Indir: "b/in", Outdir: "b/out", Command: "cp $S4_FILE 2_p; echo 2_p"}
	size := wire.PreambleSize
	for _, m := range []wire.Message{job, wire.Empty{T: wire.TypeStart}, wire.Empty{T: wire.TypePrepare}} {
		size += len(wire.AppendFrame(nil, 1, wire.FlagChecked, m))
	}
	c.Proxies[2].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToServer, At: int64(size), Channel: 'c'})
	r.ask(0, job, wire.TypeReady)
	r.ask(0, wire.Empty{T: wire.TypeStart}, wire.TypeOK)
	nodetest.Eventually(t, "COMMIT is held up, and the others have it", func() bool {
		list, _ := filepath.Glob(filepath.Join(c.Dir, "*/_s4/committed/*"))
		return c.Proxies[2].Hits() > 0 && len(list) == 2
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		c.Nodes[0].Shutdown(grace)
	}()
	select {
	case <-stopped:
	case <-time.After(12 * time.Second):
		t.Error("the server waits for its peer")
		<-stopped
	}
	c.Proxies[2].CutAll()
	c.Proxies[2].Heal()
	clean(t, []string{c.Data(0), c.Data(1), c.Data(2)}, "b/in/0_k", "b/out/0_k/2_p")
}
