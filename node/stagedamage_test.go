package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// damageStaged damages the staged file of a key.
func damageStaged(t *testing.T, data, job, key string, damage func(t *testing.T, path string)) {
	t.Helper()
	path := filepath.Join(data, "_s4/jobs", job, "stage", key)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	damage(t, path)
}

// TestStagedDamaged damages what a task has staged. The task runs again, and what is
// published is whole. A bit is looked for only if the job was suspended.
func TestStagedDamaged(t *testing.T) {
	for name, damage := range damages {
		for _, suspended := range []bool{false, true} {
			if name == "flip" && !suspended {
				continue
			}
			for _, verb := range []wire.Verb{wire.VerbMap, wire.VerbMapFromN} {
				t.Run(fmt.Sprintf("%s,suspended=%v,%s", name, suspended, verb), func(t *testing.T) {
					a := newAttachTest(t, time.Hour, wire.JobKeep)
					runs := filepath.Join(t.TempDir(), "runs")
					a.job.Verb, a.job.Command = verb, "echo >>"+runs+"; cat >/dev/null; echo the output of the task"
					a.parkDone(42, suspended)
					a.stop()
					damageStaged(t, a.dir, jobText(42), "out42/k", damage)
					a.protoServer = startProtoIn(t, a.dir, 0)
					a.ask = a.open(wire.ChannelControl)
					a.publish(42, suspended)
					if got, err := os.ReadFile(a.dir + "/out42/k"); err != nil || string(got) != "the output of the task\n" {
						t.Errorf("published %q, %v", got, err)
					}
					if b, err := os.ReadFile(runs); err != nil || len(b) != 2 {
						t.Errorf("%d runs, %v", len(b), err)
					}
				})
			}
		}
	}
}

// TestStagedDamagedLater damages what a task has staged after the job was taken up again,
// and restarts the server: one that was suspended is always looked at.
func TestStagedDamagedLater(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	a.openGate()
	a.job.Command = "echo the output of the task"
	a.parkDone(42, true)
	c := a.attach(generation, 7, true, wire.PhaseHalted)
	a.stop()
	c.Close()
	damageStaged(t, a.dir, jobText(42), "out42/k", damages["flip"])
	a.protoServer = startProtoIn(t, a.dir, 0)
	a.ask = a.open(wire.ChannelControl)
	c = a.attach(generation+1, 7, false, wire.PhaseHalted)
	defer c.Close()
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
	if got, err := os.ReadFile(a.dir + "/out42/k"); err != nil || string(got) != "the output of the task\n" {
		t.Errorf("published %q, %v", got, err)
	}
}

// suspendShuffle runs a shuffle of three servers until some tasks are done, and suspends
// it. It returns the inputs that have finished.
func (o *outlive) suspendShuffle(t *testing.T) (done []string) {
	t.Helper()
	o.opts.Keep = true
	ctx, cancel := context.WithCancel(guarded(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := o.run(ctx, s4.VerbMapToN)
		ended <- err
	}()
	nodetest.Eventually(t, "tasks are done", func() bool {
		s, err := o.client.Job(guarded(t), o.id())
		return err == nil && s.Done >= 9
	})
	cancel()
	if err := <-ended; !errors.Is(err, s4.ErrCanceled) {
		t.Fatal(err)
	}
	if err := o.client.JobTasks(guarded(t), o.id(), func(task s4.JobTask) error {
		if task.State == s4.TaskDone {
			done = append(done, strings.TrimPrefix(task.Key, "s4://b/in/"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return done
}

// runsOf returns how often the task of an input has begun.
func (o *outlive) runsOf(name string) (n int) {
	for _, b := range o.begun() {
		if b == name {
			n++
		}
	}
	return n
}

// What the tasks of a shuffle have staged is on all servers. A file that is damaged there
// while the job is suspended is made again by the server whose task it is of.
func TestShuffleStagedDamaged(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	done := o.suspendShuffle(t)
	hurt := make(map[string]bool)
	for i, name := range done[:6] {
		key := fmt.Sprintf("b/out/%s/%d", name, i%5)
		how := []string{"cut", "flip"}[i%2]
		damageStaged(t, o.Data(o.Cluster.Place(key)), o.id(), key, damages[how])
		hurt[name] = true
	}
	for part := range 5 { // one of them on all servers
		key := fmt.Sprintf("b/out/%s/%d", done[6], part)
		damageStaged(t, o.Data(o.Cluster.Place(key)), o.id(), key, damages["flip"])
	}
	hurt[done[6]] = true
	o.openGate(t)
	if _, err := o.client.ResumeJob(guarded(t), o.id(), nil); err != nil {
		t.Fatal(err)
	}
	o.check(t)
	for _, name := range done {
		want := 1
		if hurt[name] {
			want = 2
		}
		if n := o.runsOf(name); n != want {
			t.Errorf("%s: %d runs, want %d", name, n, want)
		}
	}
}

// A task of a shuffle that is to run again, because its input has changed, runs again also
// if its server is lost when what it had staged is removed.
func TestShuffleInputChangedAndRestarted(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	name := o.suspendShuffle(t)[0]
	key := "b/in/" + name
	if _, err := o.client.Remove(guarded(t), "s4://"+key, false); err != nil {
		t.Fatal(err)
	}
	put(t, o.client, key, []byte("another\n"))
	for part := range 5 {
		o.want[fmt.Sprintf("b/out/%s/%d", name, part)] = fmt.Sprintf("%d another\n", part)
	}
	hold := filepath.Join(o.dir, "hold") // so that it does not end before the server is lost
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := o.client.ResumeJob(guarded(t), o.id(), nil)
		ended <- err
	}()
	nodetest.Eventually(t, "the task runs again", func() bool { return o.runsOf(name) == 2 })
	server := o.Cluster.Place(key)
	o.StopNode(server)
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	o.StartNode(t, server)
	o.openGate(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	o.check(t)
}

// If the server of a damaged file finds it too late to tell the one whose task it is of,
// nothing is published, and the next resume makes the file again. On a busy machine it may
// not be too late: then the job goes on, and makes the file again.
func TestShuffleStagedDamagedLater(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	done := o.suspendShuffle(t)
	ended := make(chan error, 1)
	go func() {
		_, err := o.client.ResumeJob(guarded(t), o.id(), nil)
		ended <- err
	}()
	nodetest.Eventually(t, "the job runs again", func() bool {
		s, err := o.client.Job(guarded(t), o.id())
		return err == nil && s.State == s4.JobRunning && s.Running >= 3
	})
	name, key, server := done[0], "", 0
	for part := range 5 {
		key = fmt.Sprintf("b/out/%s/%d", name, part)
		if server = o.Cluster.Place(key); server != o.Cluster.Place("b/in/"+name) {
			break
		}
	}
	o.StopNode(server)
	damageStaged(t, o.Data(server), o.id(), key, damages["flip"])
	o.StartNode(t, server)
	o.openGate(t)
	if err := <-ended; err != nil {
		var e *s4.Error
		if !errors.Is(err, s4.ErrChecksum) || !errors.As(err, &e) || e.Key != "s4://"+key {
			t.Fatalf("got %v", err)
		}
		if got := list(t, o.client, "b/out/"); len(got) > 0 {
			t.Errorf("published %q", got)
		}
		if _, err := o.client.ResumeJob(guarded(t), o.id(), nil); err != nil {
			t.Fatal(err)
		}
	}
	o.check(t)
	if n := o.runsOf(name); n != 2 {
		t.Errorf("%d runs, want 2", n)
	}
}
