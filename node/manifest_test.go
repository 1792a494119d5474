package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// newManifestJob returns an outlive whose job has a manifest in place of keys, and a
// secret variable. Each task prints its record in capitals, if it has the variable.
func newManifestJob(t *testing.T, outdir string) (o *outlive, run func(context.Context) (s4.JobResult, error)) {
	secret := newSecret(t, docSecret)
	o = newOutlive(t, node.Config{Secret: secret})
	o.want = make(map[string]string)
	for i := range outliveKeys {
		name := fmt.Sprintf("d/%02d_t", outliveKeys-i) // not in the order of names
		text := strings.Repeat(fmt.Sprintf("record %d\n", i), 100)
		o.opts.Manifest = append(o.opts.Manifest, s4.ManifestTask{Name: name, Record: []byte(text), Size: 1000})
		if outdir != "" {
			o.want["b/out/"+name] = strings.ToUpper(text)
		}
	}
	o.opts.Secrets = []string{"TOKEN=sesame"}
	script := "[ $TOKEN = sesame ]; " + o.waiting() + "tr a-z A-Z"
	return o, func(ctx context.Context) (s4.JobResult, error) {
		return o.client.Map(ctx, "", outdir, script, &o.opts)
	}
}

// A job with a manifest goes on after a restart of each server, with its secrets, attached
// or detached, with an outdir and without.
func TestManifestOutlivesRestart(t *testing.T) {
	t.Parallel()
	for _, outdir := range []string{"", "s4://b/out"} {
		for _, detach := range []bool{outdir == ""} { // each costs much: not all four
			t.Run(fmt.Sprintf("outdir=%s,detach=%v", outdir, detach), func(t *testing.T) {
				t.Parallel()
				o, run := newManifestJob(t, outdir)
				o.opts.Detach = detach
				ended := make(chan error, 1)
				go func() {
					res, err := run(guarded(t))
					if err == nil && !detach && (res.Done != outliveKeys || res.InputBytes != outliveKeys*1000 || res.BytesIn != outliveKeys*1000 || res.InputKeys != 0) {
						err = fmt.Errorf("%+v", res)
					}
					ended <- err
				}()
				if detach {
					if err := <-ended; err != nil {
						t.Fatal(err)
					}
				}
				nodetest.Eventually(t, "tasks wait", func() bool {
					s, err := o.client.Job(guarded(t), o.id())
					return err == nil && s.Done >= 9 && s.Running >= 3
				})
				id, err := strconv.ParseUint(o.id(), 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				for k := range 3 { // the driver of a detached job last
					i := int((id + 1 + uint64(k)) % 3)
					o.StopNode(i)
					o.StartNode(t, i)
					nodetest.Eventually(t, "the server is told of the secrets again", func() bool {
						info, err := o.client.JobInfo(guarded(t), i, id)
						return err == nil && info.Attached && info.Progress.Running > 0
					})
				}
				o.openGate(t)
				if detach {
					s, err := o.client.WaitJob(guarded(t), o.id(), nil)
					if err != nil || s.State != s4.JobDone || s.Done != outliveKeys || !s.Manifest || !s.NeedsSecrets || s.Indir != "" || s.Outdir != outdir {
						t.Fatalf("%+v, %v", s, err)
					}
				} else {
					if err := <-ended; err != nil {
						t.Fatal(err)
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
				if most := 3 * (outliveSlots + 1); len(again) != outliveKeys || rerun > most {
					t.Errorf("of %d tasks %d ran again, of which at most %d ran at the stops", len(again), rerun, most)
				}
				noSecretOnDisk(t, o.Dir)
			})
		}
	}
}

// noSecretOnDisk looks for the value of newManifestJob's variable in what servers have
// written. The command has it, too, with other bytes around it.
func noSecretOnDisk(t *testing.T, dir string) {
	t.Helper()
	for _, path := range localFiles(t, dir) {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "TOKEN=sesame") {
			t.Errorf("%s has the secret", path)
		}
	}
}

// A connection that is lost in the middle of the manifest is made again, and brings all.
func TestManifestOutlivesLossAtSubmit(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{200, 2000} { // in the first frames
		o, _ := newManifestJob(t, "s4://b/out")
		o.opts.Secrets = nil
		o.openGate(t)
		o.opts.Manifest[0].Record = slices.Repeat([]byte("x"), wire.MaxRecord) // of more than one frame
		o.want["b/out/"+o.opts.Manifest[0].Name] = strings.Repeat("X", wire.MaxRecord)
		o.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: wire.PreambleSize + at, Channel: 'c'})
		ended := make(chan error, 1)
		go func() {
			_, err := o.client.Map(guarded(t), "", "s4://b/out", "tr a-z A-Z", &o.opts)
			ended <- err
		}()
		nodetest.Eventually(t, "a connection is lost", func() bool { return o.Proxies[0].Hits() > 0 })
		o.Proxies[0].Heal()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		o.check(t)
	}
}

// A job with a manifest that keeps going does without a server that does not come back, and
// names the tasks of that one.
func TestManifestWithoutServer(t *testing.T) {
	t.Parallel()
	o, run := newManifestJob(t, "s4://b/out")
	o.opts.KeepGoing, o.opts.AllTasks, o.opts.ServerWait = true, false, time.Second
	ended := make(chan error, 1)
	var res s4.JobResult
	go func() {
		var err error
		res, err = run(guarded(t))
		ended <- err
	}()
	const lost = 1
	nodetest.Eventually(t, "tasks run, also on the server to be lost", func() bool {
		return slices.ContainsFunc(o.begun(), func(name string) bool { return o.Cluster.Place(name) == lost })
	})
	o.StopNode(lost)
	o.openGate(t)
	err := <-ended
	missing := make(map[string]bool)
	for _, task := range o.opts.Manifest {
		if o.Cluster.Place(task.Name) == lost {
			missing["s4://b/out/"+task.Name] = true
		}
	}
	if n := int64(len(missing)); !errors.Is(err, s4.ErrTaskFailed) || res.Failed != n || res.Keys != outliveKeys-n {
		t.Errorf("%+v, %v: want %d failed", res, err, n)
	}
	for _, task := range o.tasks {
		if !missing[task.Key] {
			t.Errorf("told of %s", task.Key)
		}
		delete(missing, task.Key)
	}
	if len(missing) > 0 {
		t.Errorf("not told of %v", missing)
	}
}

// A server that has lost the secrets of a job, with nobody left to tell them again, runs
// no task: the job is suspended, and goes on with a client that has them.
func TestSecretsLost(t *testing.T) {
	t.Parallel()
	o, run := newManifestJob(t, "s4://b/out")
	o.opts.Detach, o.opts.Keep = true, true
	if _, err := run(guarded(t)); err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "tasks wait", func() bool {
		s, err := o.client.Job(guarded(t), o.id())
		return err == nil && s.Done >= 9 && s.Running >= 3
	})
	for i := range 3 {
		o.StopNode(i)
	}
	before := len(o.begun())
	for i := range 3 {
		o.StartNode(t, i)
	}
	s, err := o.client.WaitJob(guarded(t), o.id(), nil)
	if err != nil || s.State != s4.JobSuspended || !errors.Is(s.Err, s4.ErrUnauthenticated) || !strings.Contains(s.Err.Text, "secret variables") {
		t.Fatalf("%+v, %v", s, err)
	}
	if n := len(o.begun()); n != before {
		t.Errorf("%d tasks ran without their secrets", n-before)
	}
	o.openGate(t)
	_, err = o.client.ResumeJob(guarded(t), o.id(), nil)
	if !errors.Is(err, s4.ErrBadRequest) {
		t.Errorf("resumed without secrets: %v", err)
	}
	opts := s4.JobOptions{ServerWait: time.Minute, Secrets: o.opts.Secrets}
	if res, err := o.client.ResumeJob(guarded(t), o.id(), &opts); err != nil || res.Keys != outliveKeys {
		t.Fatalf("%+v, %v", res, err)
	}
	o.check(t)
	noSecretOnDisk(t, o.Dir)
}

// What no client should send ends the job, and what comes too late is dropped.
func TestProtocolInputs(t *testing.T) {
	p := startProto(t, 0)
	job := func(id uint64) *wire.Job {
		return &wire.Job{ID: id, Verb: wire.VerbMap, Options: wire.JobManifest, Outdir: "out", Command: "cat"}
	}
	inputs := func(last bool, names ...string) *wire.Inputs {
		m := &wire.Inputs{Last: last}
		for _, name := range names {
			m.List = append(m.List, wire.Input{Name: name})
		}
		return m
	}
	c := p.open(wire.ChannelControl)
	defer c.Close()
	refused := func(m *wire.Job, code wire.Code, list ...wire.Message) {
		t.Helper()
		c.send(1, 0, m)
		for _, m := range list {
			c.send(1, 0, m)
		}
		c.wantError(1, code)
	}
	refused(job(1), wire.CodeBadRequest, inputs(false, "b"), inputs(true, "a"))
	refused(job(2), wire.CodeBadRequest, inputs(true, "a", "a"))
	refused(job(3), wire.CodeBadKey, inputs(false, "../a"), inputs(true))
	refused(job(4), wire.CodeBadKey, inputs(true, ""))
	m := job(5)
	m.Indir = "b"
	refused(m, wire.CodeBadRequest, inputs(true, "a"))
	m = job(6)
	m.Verb = wire.VerbMapToN
	refused(m, wire.CodeBadRequest, inputs(true, "a"))
	m = job(7)
	m.Outdir, m.Options = "", wire.JobManifest|wire.JobResume
	refused(m, wire.CodeBadRequest)
	m = job(8)
	m.Options, m.Indir = 0, "b"
	c.send(1, 0, m)
	c.want(1, wire.TypeReady)
	c.send(1, 0, inputs(true, "a"))
	c.wantError(1, wire.CodeBadRequest)

	// START and DISCARD that come while tasks are missing.
	c.send(1, 0, job(9))
	c.send(1, 0, inputs(false, "a"))
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.send(1, 0, inputs(true, "b"))
	if r := c.want(1, wire.TypeReady).(*wire.Ready); r.Tasks != 2 {
		t.Errorf("%+v", r)
	}
	c.want(1, wire.TypeDone)
	c.send(1, 0, new(wire.Discard))
	c.want(1, wire.TypeOK)
	c.send(1, 0, job(10))
	c.send(1, 0, inputs(false, "a"))
	c.send(1, 0, new(wire.Discard))
	c.want(1, wire.TypeOK)
	c.send(1, 0, inputs(true, "b"))
	c.send(1, 0, new(wire.Secrets))
	c.send(1, 0, wire.Empty{T: wire.TypeHealth})
	c.want(1, wire.TypeHealthInfo)

	// After the last one none may come, and no secrets for a job that has none.
	c.send(1, 0, job(11))
	c.send(1, 0, inputs(true, "a"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, inputs(true, "b"))
	c.wantError(1, wire.CodeBadRequest)
	c.send(1, 0, job(12))
	c.send(1, 0, inputs(true, "a"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, new(wire.Secrets))
	c.wantError(1, wire.CodeBadRequest)

	// A job with secrets does not start without.
	m = job(13)
	m.Options |= wire.JobSecrets
	c.send(1, 0, m)
	c.send(1, 0, inputs(true, "a"))
	c.want(1, wire.TypeReady)
	c.send(1, 0, wire.Empty{T: wire.TypeStart})
	c.wantError(1, wire.CodeUnauthenticated)
	p.wantFiles()
}

// An ATTACH that is not of the client that is sending a job's tasks is refused as at any
// time, and the job goes on. That of the client itself says that the rest was lost.
func TestProtocolAttachAmidInputs(t *testing.T) {
	p := startProto(t, 0)
	c, other := p.open(wire.ChannelControl), p.open(wire.ChannelControl)
	defer c.Close()
	defer other.Close()
	const driver = 7
	c.send(1, 0, &wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobManifest, Outdir: "out", Command: "cat", Wait: uint64(time.Minute), Driver: driver})
	c.send(1, 0, &wire.Inputs{List: []wire.Input{{Name: "a"}}})
	nodetest.Eventually(t, "the job is known", func() bool {
		_, err := os.Stat(filepath.Join(p.dir, "_s4/jobs", jobText(42), "records"))
		return err == nil
	})
	attach := &wire.Attach{Job: 42, Term: 2, Driver: driver + 1, Wait: uint64(time.Minute)}
	other.send(1, 0, attach)
	other.wantError(1, wire.CodeExists)
	attach.Driver, attach.Term = driver, 1
	other.send(2, 0, attach)
	other.wantError(2, wire.CodeExists)
	c.send(1, 0, &wire.Inputs{Last: true, List: []wire.Input{{Name: "b"}}})
	if r := c.want(1, wire.TypeReady).(*wire.Ready); r.Tasks != 2 {
		t.Errorf("%+v", r)
	}
	c.send(1, 0, new(wire.Discard))
	c.want(1, wire.TypeOK)

	c.send(1, 0, &wire.Job{ID: 43, Verb: wire.VerbMap, Options: wire.JobManifest, Outdir: "out", Command: "cat", Wait: uint64(time.Minute), Driver: driver})
	nodetest.Eventually(t, "the job is known", func() bool {
		_, err := os.Stat(filepath.Join(p.dir, "_s4/jobs", jobText(43), "records"))
		return err == nil
	})
	attach.Job, attach.Term = 43, 2
	other.send(3, 0, attach)
	other.wantError(3, wire.CodeUnavailable)
	p.wantFiles()
}

// A record that was damaged on the disk fails its task, which is not run.
func TestManifestDamagedRecord(t *testing.T) {
	for _, batch := range []uint32{0, 9} {
		p := startProto(t, 0)
		c := p.open(wire.ChannelControl)
		defer c.Close()
		m := &wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobManifest | wire.JobKeepGoing, Outdir: "out", Command: "cat", Batch: batch}
		if batch > 0 {
			m.Command = `while read -r key in out; do cat "$in" >"$out"; done <"$S4_BATCH"`
		}
		c.send(1, 0, m)
		c.send(1, 0, &wire.Inputs{Last: true, List: []wire.Input{{Name: "a", Record: "one"}, {Name: "b", Record: "two"}, {Name: "c", Record: "three"}}})
		c.want(1, wire.TypeReady)
		path := filepath.Join(p.dir, "_s4/jobs", jobText(42), "records")
		if err := os.WriteFile(path, []byte("onetWothree"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.send(1, 0, wire.Empty{T: wire.TypeStart})
		if tasks := c.want(1, wire.TypeTasks).(*wire.Tasks); len(tasks.List) != 1 || tasks.List[0].Key != "out/b" || tasks.List[0].Code != wire.CodeChecksum {
			t.Errorf("batch %d: %+v", batch, tasks)
		}
		if done := c.want(1, wire.TypeDone).(*wire.Done); done.Tasks != 2 || done.Failed != 1 {
			t.Errorf("batch %d: %+v", batch, done)
		}
		c.bring(wire.TypePrepare, wire.TypePrepared)
		c.bring(wire.TypeCommit, wire.TypeCommitted)
		p.wantFiles("out", "out/a", "out/c")
	}
}
