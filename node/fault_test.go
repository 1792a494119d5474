package node_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// rounds is n, or many more for a soak.
func rounds(n int) int {
	if os.Getenv("S4_TEST_BIG") != "" {
		return 17 * n
	}
	return n
}

// faultJob is a job that is disturbed: each input is copied, or cut in three.
type faultJob struct {
	verb    string
	mark    string
	in, out []string // keys
	outdir  string
}

func newFaultJob(verb, outdir string, in []string) *faultJob {
	f := &faultJob{verb: verb, mark: marker(), in: in, outdir: outdir}
	for _, k := range outOf(in, outdir) {
		if verb == "map" {
			f.out = append(f.out, k)
			continue
		}
		for i := range 3 {
			f.out = append(f.out, fmt.Sprintf("%s/%d_p", k, i))
		}
	}
	return f
}

func (f *faultJob) run(t testing.TB, c *s4.Client) error {
	cmd := ": " + f.mark + "; cat"
	if f.verb != "map" {
		cmd = ": " + f.mark + "; for i in 0_p 1_p 2_p; do cat $S4_FILE > $i; echo $i; done"
	}
	_, err := jobVerbs[f.verb](c, guarded(t), "s4://b/in", "s4://"+f.outdir, cmd, nil)
	return err
}

// check checks, when the job and the fault are over, that it has left all or
// nothing, and that it can be run again in the latter case only.
func (f *faultJob) check(t testing.TB, c *s4.Client, dirs, keys []string) (published bool) {
	t.Helper()
	published = settled(t, dirs, keys, f.out)
	noProcess(t, f.mark)
	err := f.run(t, c)
	if published && !errors.Is(err, s4.ErrExists) {
		t.Errorf("%s into %s, which is complete: %v", f.verb, f.outdir, err)
	}
	if !published && err != nil {
		t.Errorf("%s again, into %s: %v", f.verb, f.outdir, err)
	}
	if !settled(t, dirs, keys, f.out) {
		t.Errorf("%s into %s left nothing", f.verb, f.outdir)
	}
	return published
}

// remove removes what check has found.
func (f *faultJob) remove(t testing.TB, c *s4.Client) {
	t.Helper()
	if _, err := c.Remove(guarded(t), "s4://"+f.outdir+"/", true); err != nil {
		t.Error(err)
	}
}

// moment waits for a moment of a job that takes about took. In two rounds of four it
// is any moment, in the other two one soon after a server has prepared the job.
func moment(round int, dirs []string, took time.Duration) {
	if round/2%2 == 0 {
		time.Sleep(rand.N(took * 5 / 4))
		return
	}
	for end := time.Now().Add(3 * took); time.Now().Before(end); {
		for _, d := range dirs {
			if found, _ := filepath.Glob(filepath.Join(d, "_s4/jobs/*/prepared")); len(found) > 0 {
				time.Sleep(rand.N(3 * time.Millisecond))
				return
			}
		}
	}
}

// took runs a job undisturbed and returns how long it takes, to aim at its
// moments.
func (f *faultJob) took(t testing.TB, c *s4.Client) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := f.run(t, c); err != nil {
		t.Fatal(err)
	}
	d := time.Since(begin)
	f.remove(t, c)
	return d
}

// One task of many fails: nothing appears, and the error names the key.
func TestOneTaskOfManyFails(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	treeIn(t, client, 500)
	keys := list(t, client, "b/")
	for verb, run := range jobVerbs {
		_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", "case $filename in 144_k) echo no >&2; exit 9;; esac; echo x > f; echo f", nil)
		var e *s4.Error
		want := "s4://b/in/144_k"
		if verb == "map-from-n" {
			want = "s4://b/out/144_k"
		}
		if !errors.As(err, &e) || !errors.Is(err, s4.ErrTaskFailed) || e.Key != want || e.Exit != 9 || e.Stderr != "no\n" {
			t.Errorf("%s: %v", verb, err)
		}
		clean(t, dataDirs(c), keys...)
	}
}

// A server is killed at any moment of a job, and started again.
func TestServerKilledInMidJob(t *testing.T) {
	t.Parallel()
	p := startProcesses(t, 3)
	var dirs []string
	for i := range 3 {
		p.start(i)
		dirs = append(dirs, filepath.Join(p.dir, fmt.Sprint(i)))
	}
	client := nodetest.NewClient(t, p.cluster, nil)
	in := manyIn(t, client, 12)
	for _, verb := range []string{"map", "map-to-n"} {
		first := newFaultJob(verb, "b/"+verb, in)
		took := first.took(t, client)
		published := 0
		for round := range rounds(6) {
			f := newFaultJob(verb, fmt.Sprintf("b/%s%d", verb, round), in)
			done := make(chan error, 1)
			go func() { done <- f.run(t, client) }()
			moment(round, dirs, took)
			p.kill(round % 3)
			p.start(round % 3)
			err := <-done
			all := f.check(t, client, dirs, in)
			if all != (err == nil) {
				t.Errorf("%s: all of the output is there: %v; its client was told: %v", verb, all, err)
			}
			if all {
				published++
			}
			f.remove(t, client)
			if t.Failed() {
				return
			}
		}
		t.Logf("%s: %d of %d were published", verb, published, rounds(6))
	}
}

// Servers keep their connections to each other. A restart of one between two shuffles
// fails neither.
func TestShuffleAfterARestart(t *testing.T) {
	p := startProcesses(t, 2)
	p.start(0)
	p.start(1)
	client := nodetest.NewClient(t, p.cluster, nil)
	in := manyIn(t, client, 4)
	for round := range 3 {
		f := newFaultJob("map-to-n", fmt.Sprintf("b/out%d", round), in)
		if err := f.run(t, client); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		p.kill(1)
		p.start(1)
	}
}

// The server that drives a detached job, or another, is killed at any moment:
// all or nothing is published, and the record says which.
func TestServerKilledInDetachedJob(t *testing.T) {
	t.Parallel()
	p := startProcesses(t, 3)
	var dirs []string
	for i := range 3 {
		p.start(i)
		dirs = append(dirs, filepath.Join(p.dir, fmt.Sprint(i)))
	}
	client := nodetest.NewClient(t, p.cluster, nil)
	keys := manyIn(t, client, 9)
	took := newFaultJob("map", "b/first", keys).took(t, client)
	published := 0
	for round := range rounds(10) {
		f := newFaultJob("map", fmt.Sprintf("b/out%d", round), keys)
		id := detach(t, p.cluster, "map", f.outdir, ": "+f.mark+"; cat", s4.JobOptions{})
		num, err := jobNumber(id)
		if err != nil {
			t.Fatal(err)
		}
		victim := (int(num%3) + round%2) % 3
		moment(round, dirs, took)
		p.kill(victim)
		p.start(victim)
		all := settled(t, dirs, keys, f.out)
		noProcess(t, f.mark)
		if s := waitJob(t, client, id); all != (s.State == s4.JobDone) || all != (s.Err == nil) || all && s.Keys != int64(len(f.out)) {
			t.Errorf("all of the output is there: %v; on record is %+v", all, s)
		}
		if all {
			published++
			f.remove(t, client)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d were published", published, rounds(10))
}

// clientEnv makes TestJobClient run a job, as a client that is to be killed.
const clientEnv = "S4_NODE_TEST_CLIENT"

func TestJobClient(t *testing.T) {
	args := strings.Fields(os.Getenv(clientEnv)) // cluster file, verb, outdir
	if len(args) != 3 {
		t.Skip("runs in a process of its own")
	}
	cluster, err := s4.LoadCluster(args[0])
	if err != nil {
		t.Fatal(err)
	}
	client := nodetest.NewClient(t, cluster, nil)
	fmt.Println("ready")
	if err := newFaultJob(args[1], args[2], nil).run(t, client); err != nil {
		t.Error(err)
	}
}

// A client is killed at any moment of its job.
func TestClientKilledInMidJob(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	in := manyIn(t, client, 6)
	published := 0
	var took [2]time.Duration
	verbs := []string{"map", "map-to-n"}
	for i, verb := range verbs {
		took[i] = newFaultJob(verb, "b/"+verb, in).took(t, client)
	}
	for round := range rounds(12) {
		f := newFaultJob(verbs[round%2], fmt.Sprintf("b/out%d", round), in)
		cmd := exec.Command(os.Args[0], "-test.run=^TestJobClient$")
		cmd.Env = append(os.Environ(), clientEnv+"="+strings.Join([]string{c.Cluster.Path, f.verb, f.outdir}, " "))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if line != "ready\n" {
			t.Errorf("%q, %v", line, err)
		}
		moment(round, dataDirs(c), took[round%2])
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if f.check(t, client, dataDirs(c), in) {
			published++
		}
		f.remove(t, client)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d were published", published, rounds(12))
}

// All servers are stopped, as by a reboot, when a job is prepared.
func TestStoppedWhilePrepared(t *testing.T) {
	dir := t.TempDir()
	c := nodetest.StartIn(t, dir, 3, node.Config{})
	client := c.Client(t, nil)
	keys := threeIn(t, client)
	for commits := range 3 {
		outdir := fmt.Sprintf("b/out%d", commits)
		job := submitRaw(t, c.Cluster, outdir, wire.TypeCommit)
		for i := range commits {
			job.commit(i)
		}
		client.Close()
		c.Stop()
		c = nodetest.StartIn(t, dir, 3, node.Config{})
		client = c.Client(t, nil)
		if commits > 0 {
			keys = append(keys, outOf(threeKeys, outdir)...)
		}
		clean(t, dataDirs(c), keys...)
	}
}

// A server is cut off in the middle of a shuffle. The shuffle fails, and the error
// names that server.
func TestServerCutOffInShuffle(t *testing.T) {
	for name, fault := range map[string]nodetest.Fault{
		"stalled to it":   {Action: nodetest.Stall, Dir: nodetest.ToServer, At: 1 << 20, Channel: 'd'},
		"stalled from it": {Action: nodetest.Stall, Dir: nodetest.ToClient, At: wire.PreambleSize + 4, Channel: 'd'},
		"cut":             {Action: nodetest.Cut, Dir: nodetest.ToServer, At: 1 << 20, Channel: 'd'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4, IOTimeout: 3 * time.Second})
			client := c.Client(t, &s4.Options{IOTimeout: 3 * time.Second})
			keys := []string{"b/in/0_k", "b/in/1_k"}
			for _, k := range keys {
				put(t, client, k, noise(k, 2<<20))
			}
			c.Proxies[2].Set(fault)
			_, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", "for i in 0 1 2; do cat $S4_FILE > ${i}_p; echo ${i}_p; done", nil)
			if err == nil || !strings.Contains(err.Error(), c.Proxies[2].Addr()) {
				t.Errorf("%v does not name %s", err, c.Proxies[2].Addr())
			}
			if c.Proxies[2].Hits() == 0 {
				t.Error("the fault has not struck")
			}
			clean(t, []string{c.Data(0), c.Data(1), c.Data(2)}, keys...)
			c.Proxies[2].CutAll()
			c.Proxies[2].Heal()
		})
	}
}

// The connection to one server is lost with COMMIT, or with its answer: the
// client learns that the output is published.
func TestConnectionLostAtCommit(t *testing.T) {
	frames := func(list ...wire.Message) int64 {
		n := wire.PreambleSize
		for _, m := range list {
			n += len(wire.AppendFrame(nil, 1, wire.FlagChecked, m))
		}
		return int64(n)
	}
	const cmd = "cp $S4_FILE 2_p; echo 2_p"
	job := &wire.Job{ID: 1, Verb: wire.VerbMapToN, Indir: "b/in", Outdir: "b/out0", Command: cmd}
	for name, fault := range map[string]nodetest.Fault{
		"COMMIT": {Dir: nodetest.ToServer, At: frames(job, wire.Empty{T: wire.TypeStart}, wire.Empty{T: wire.TypePrepare})},
		// Server 2 has no task, and so sends no PROGRESS.
		"COMMITTED": {Dir: nodetest.ToClient, At: frames(&wire.Ready{}, &wire.Done{}, wire.Empty{T: wire.TypePrepared})},
	} {
		t.Run(name, func(t *testing.T) {
			c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
			client := c.Client(t, nil)
			put(t, client, "b/in/0_k", []byte("x"))
			keys := []string{"b/in/0_k"}
			dirs := []string{c.Data(0), c.Data(1), c.Data(2)}
			fault.Action, fault.Channel = nodetest.Cut, 'c'
			// A job that takes long pings, and then it is another frame that
			// is cut.
			for try := range 5 {
				c.Proxies[2].Set(fault)
				outdir := fmt.Sprintf("b/out%d", try)
				done := make(chan error, 1)
				var res s4.JobResult
				go func() {
					var err error
					res, err = client.MapToN(guarded(t), "s4://b/in", "s4://"+outdir, cmd, nil)
					done <- err
				}()
				nodetest.Eventually(t, "the connection is cut", func() bool { return c.Proxies[2].Hits() > 0 })
				c.Proxies[2].Heal() // the next ones are good
				err := <-done
				out := outdir + "/0_k/2_p"
				published := settled(t, dirs, keys, []string{out})
				if published != (err == nil) || published && (res.Keys != 1 || res.Bytes != 1) {
					t.Fatalf("published: %v; told: %v, %+v", published, err, res)
				}
				if published {
					return
				}
			}
			t.Errorf("%s was never hit", name)
		})
	}
}
