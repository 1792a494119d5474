package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// rawJob is a job that a test drives frame by frame, on one connection to
// each server.
type rawJob struct {
	t     testing.TB
	id    uint64
	conns []*xfer.Conn
}

var rawIDs atomic.Uint64

// submitRaw submits a job that copies b/in to outdir, and runs it up to a
// phase on the servers that are listed, up to the one before on the others.
func submitRaw(t testing.TB, cluster *s4.Cluster, outdir string, phase wire.Type, servers ...int) *rawJob {
	t.Helper()
	r := &rawJob{t: t, id: rawIDs.Add(1)<<32 + 1}
	job := &wire.Job{ID: r.id, Verb: wire.VerbMap, Indir: "b/in", Outdir: outdir, Command: "cat"}
	for i := range cluster.Servers {
		conn, err := dialServer(guarded(t), cluster, i, wire.ChannelControl)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		r.conns = append(r.conns, conn)
		r.ask(i, job, wire.TypeReady)
	}
	for _, step := range []struct{ ask, answer wire.Type }{{wire.TypeStart, wire.TypeDone}, {wire.TypePrepare, wire.TypePrepared}} {
		for i := range r.conns {
			if step.ask != phase || slices.Contains(servers, i) {
				r.ask(i, wire.Empty{T: step.ask}, step.answer)
			}
		}
		if step.ask == phase {
			break
		}
	}
	return r
}

// ask sends a request to a server and reads up to the answer that is wanted.
func (r *rawJob) ask(server int, m wire.Message, want wire.Type) wire.Message {
	r.t.Helper()
	if err := r.conns[server].Write(1, 0, m); err != nil {
		r.t.Fatal(err)
	}
	return r.await(server, want)
}

func (r *rawJob) await(server int, want wire.Type) wire.Message {
	r.t.Helper()
	for {
		_, m, err := r.conns[server].Read()
		var we *wire.Error
		if errors.As(err, &we) && want == wire.TypeError {
			return we
		}
		if err != nil {
			r.t.Fatalf("server %d: %v where %s belongs", server, err, want)
		}
		if m.Type() == want {
			return m
		}
	}
}

func (r *rawJob) commit(servers ...int) {
	r.t.Helper()
	for _, i := range servers {
		r.ask(i, wire.Empty{T: wire.TypeCommit}, wire.TypeCommitted)
	}
}

// lose closes connections, as a client that is gone.
func (r *rawJob) lose(servers ...int) {
	for _, i := range servers {
		r.conns[i].Close()
	}
}

// verdict asks a server as its peers would.
func verdict(t testing.TB, cluster *s4.Cluster, server int, id uint64) wire.Verdict {
	t.Helper()
	conn, err := dialServer(guarded(t), cluster, server, wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Write(1, 0, &wire.Settle{Job: id}); err != nil {
		t.Fatal(err)
	}
	_, m, err := conn.Read()
	if err != nil {
		t.Fatal(err)
	}
	return m.(*wire.Settled).Verdict
}

// awaitState waits until a server's part of a job is in a state.
func awaitState(t testing.TB, c *s4.Client, id uint64, want s4.JobState) {
	t.Helper()
	nodetest.Eventually(t, "the job is "+string(want), func() bool {
		s, _ := c.Job(guarded(t), jobText(id)) // also of the servers that answer
		return s.State == want
	})
}

// reserved checks that puts of a job's output are refused.
func reserved(t testing.TB, c *s4.Client, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if err := c.Put(guarded(t), "s4://"+k, strings.NewReader("mine"), 4); !errors.Is(err, s4.ErrExists) {
			t.Errorf("put of %s, which is prepared: %v", k, err)
		}
	}
}

// threeIn puts one key on each of three servers.
func threeIn(t testing.TB, c *s4.Client) []string { return manyIn(t, c, 3) }

// outOf names the output of a map of keys into outdir.
func outOf(keys []string, outdir string) []string {
	var out []string
	for _, k := range keys {
		out = append(out, outdir+strings.TrimPrefix(k, "b/in"))
	}
	return out
}

// The client is lost when COMMIT has reached some of three prepared servers:
// all publish, or none.
func TestClientLostWhileCommitting(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	for commits := range 3 {
		t.Run(fmt.Sprint(commits), func(t *testing.T) {
			outdir := fmt.Sprintf("b/out%d", commits)
			out := outOf(threeKeys, outdir)
			job := submitRaw(t, c.Cluster, outdir, wire.TypeCommit)
			reserved(t, client, out...)
			for i := range 3 {
				if v := verdict(t, c.Cluster, i, job.id); v != wire.VerdictPrepared {
					t.Errorf("server %d says %d", i, v)
				}
			}
			for i := range commits {
				job.commit(2 - i)
			}
			job.lose(0, 1, 2)
			want := wire.VerdictDiscarded
			if commits > 0 {
				want, keys = wire.VerdictCommitted, append(keys, out...)
			}
			clean(t, dataDirs(c), keys...)
			if commits == 0 { // the names are free again
				for _, k := range out {
					put(t, client, k, []byte("mine"))
				}
				keys = append(keys, out...)
			}
			for i := range 3 {
				if v := verdict(t, c.Cluster, i, job.id); v != want {
					t.Errorf("%d commits, server %d says %d afterwards", commits, i, v)
				}
			}
		})
	}
}

var threeKeys = []string{"b/in/0_k", "b/in/1_k", "b/in/2_k"}

// The client is lost before all servers have prepared. Those that have prepared tell
// the others.
func TestClientLostBeforeAllPrepared(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	job := submitRaw(t, c.Cluster, "b/out1", wire.TypePrepare, 0, 1)
	job.lose(0, 1, 2)
	clean(t, dataDirs(c), keys...)
	// Here the third has not lost its connection.
	job = submitRaw(t, c.Cluster, "b/out2", wire.TypePrepare, 0, 1)
	job.lose(0, 1)
	if e := job.await(2, wire.TypeError).(*wire.Error); e.Code != wire.CodeCanceled {
		t.Errorf("told %v", e)
	}
	job.ask(2, &wire.Discard{}, wire.TypeOK)
	clean(t, dataDirs(c), keys...)
	for _, k := range outOf(keys, "b/out2") {
		put(t, client, k, nil)
	}
}

// One server has lost the client, and the client goes on with the other servers. In
// the end the one does what they do.
func TestOneServerLosesTheClient(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	job := submitRaw(t, c.Cluster, "b/out1", wire.TypeCommit)
	job.lose(1)
	awaitState(t, client, job.id, s4.JobUnsettled)
	reserved(t, client, outOf(keys, "b/out1")...)
	job.ask(0, &wire.Discard{}, wire.TypeOK)
	job.ask(2, &wire.Discard{}, wire.TypeOK)
	clean(t, dataDirs(c), keys...)

	job = submitRaw(t, c.Cluster, "b/out2", wire.TypeCommit)
	job.lose(1)
	awaitState(t, client, job.id, s4.JobUnsettled)
	job.commit(0, 2)
	clean(t, dataDirs(c), append(keys, outOf(keys, "b/out2")...)...)
	if s, err := client.Job(guarded(t), jobText(job.id)); err != nil || s.State != s4.JobDone || s.Keys != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// SETTLE, as a server answers it.
func TestVerdicts(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	if v := verdict(t, c.Cluster, 0, 12345); v != wire.VerdictDiscarded {
		t.Errorf("of an unknown job: %d", v)
	}
	// A job that runs is stopped by the question.
	mark := marker()
	done := make(chan error, 1)
	ids := make(chan string, 1)
	go func() {
		_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "sleep "+mark, &s4.JobOptions{Started: func(id string) { ids <- id }})
		done <- err
	}()
	id, err := jobNumber(<-ids)
	if err != nil {
		t.Fatal(err)
	}
	awaitProcess(t, mark)
	if v := verdict(t, c.Cluster, 1, id); v != wire.VerdictDiscarded {
		t.Errorf("of a running job: %d", v)
	}
	if err := <-done; !errors.Is(err, s4.ErrCanceled) {
		t.Errorf("its client was told %v", err)
	}
	noProcess(t, mark)
	clean(t, dataDirs(c), keys...)
	// One that waits for PREPARE.
	job := submitRaw(t, c.Cluster, "b/out", wire.TypePrepare)
	if v := verdict(t, c.Cluster, 1, job.id); v != wire.VerdictDiscarded {
		t.Errorf("of a job that is not prepared: %d", v)
	}
	if e := job.ask(1, wire.Empty{T: wire.TypePrepare}, wire.TypeError).(*wire.Error); e.Code != wire.CodeCanceled {
		t.Errorf("prepare after the verdict: %v", e)
	}
	job.lose(0, 1, 2)
	clean(t, dataDirs(c), keys...)
	// One that is committed, also when it is long over.
	job = submitRaw(t, c.Cluster, "b/out", wire.TypeCommit)
	job.commit(0, 1, 2)
	clean(t, dataDirs(c), append(keys, outOf(keys, "b/out")...)...)
	client.Close()
	c.Stop()
	c = nodetest.StartIn(t, c.Dir, 3, node.Config{})
	for i := range 3 {
		if v := verdict(t, c.Cluster, i, job.id); v != wire.VerdictCommitted {
			t.Errorf("server %d, of a committed job after a restart: %d", i, v)
		}
	}
}

// Servers are killed around COMMIT, with no client to see to the job.
func TestKilledAroundCommit(t *testing.T) {
	t.Parallel() // it waits, mostly
	p := startProcesses(t, 3)
	var dirs []string
	for i := range 3 {
		p.start(i)
		dirs = append(dirs, filepath.Join(p.dir, fmt.Sprint(i)))
	}
	client := nodetest.NewClient(t, p.cluster, nil)
	keys := threeIn(t, client)
	rounds := 0
	for name, round := range map[string]func(*testing.T, *rawJob, []string) bool{
		// Two wait for the third, which is down, and has committed.
		"down, committed": func(t *testing.T, job *rawJob, out []string) bool {
			job.commit(2)
			p.kill(2)
			job.lose(0, 1)
			awaitState(t, client, job.id, s4.JobUnsettled)
			reserved(t, client, out[:2]...)
			p.start(2)
			return true
		},
		"down, not committed": func(t *testing.T, job *rawJob, out []string) bool {
			p.kill(2)
			job.lose(0, 1)
			awaitState(t, client, job.id, s4.JobUnsettled)
			reserved(t, client, out[:2]...)
			p.start(2)
			return false
		},
		"the others commit": func(t *testing.T, job *rawJob, _ []string) bool {
			p.kill(1)
			job.commit(0, 2)
			p.start(1)
			return true
		},
		"all killed": func(t *testing.T, job *rawJob, out []string) bool {
			for i := range 3 {
				p.kill(i)
			}
			p.start(0)
			awaitState(t, client, job.id, s4.JobUnsettled)
			reserved(t, client, out[0])
			p.start(1)
			p.start(2)
			return false
		},
		// COMMIT is on its disk, and one of its files published.
		"killed while it publishes": func(t *testing.T, job *rawJob, _ []string) bool {
			p.kill(0)
			staged := filepath.Join(dirs[0], "_s4/jobs", jobText(job.id))
			if err := os.Rename(filepath.Join(staged, "prepared"), filepath.Join(staged, "commit")); err != nil {
				t.Fatal(err)
			}
			job.lose(1, 2)
			p.start(0)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			rounds++
			outdir := fmt.Sprintf("b/out%d", rounds)
			out := outOf(threeKeys, outdir)
			job := submitRaw(t, p.cluster, outdir, wire.TypeCommit)
			if round(t, job, out) {
				keys = append(keys, out...)
			}
			settled(t, dirs, keys, nil)
			for _, k := range out {
				if !slices.Contains(keys, k) { // the names are free again
					put(t, client, k, []byte("mine"))
					keys = append(keys, k)
				}
			}
		})
	}
}

// settled waits until no job has files left on the disks. The output must then be there
// completely or not at all, and settled reports which.
func settled(t testing.TB, dirs []string, keys, out []string) (published bool) {
	t.Helper()
	none := slices.Sorted(slices.Values(keys))
	all := slices.Sorted(slices.Values(slices.Concat(keys, out)))
	var found []string
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var staged []string
		found = nil
		for _, d := range dirs {
			staged = append(staged, nodetest.Staged(t, d)...)
		}
		for _, d := range dirs {
			found = append(found, nodetest.Files(t, d)...)
		}
		slices.Sort(found)
		if len(staged) > 0 {
			continue
		}
		if slices.Equal(found, all) {
			return true
		}
		if slices.Equal(found, none) {
			return false
		}
	}
	t.Fatalf("on the disks is %q, want all of %q or none", found, out)
	return false
}
