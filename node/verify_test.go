package node_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// verifiedSizes are of an input that is hashed before its command runs, and of one that
// is hashed after it.
var verifiedSizes = map[string]int{"small": 5000, "large": 300 << 10}

// outputOfEach is a command for every verb.
const outputOfEach = "cat > /dev/null; echo $filename > 0_p; echo 1 > 1_p; echo 2 > 2_p; ls"

func TestDamagedInput(t *testing.T) {
	for name, size := range verifiedSizes {
		for verb, run := range jobVerbs {
			t.Run(verb+"/"+name, func(t *testing.T) {
				c, client := start(t, node.Config{})
				var keys []string
				for i := range 6 {
					keys = append(keys, fmt.Sprintf("b/in/%d_k", i))
					put(t, client, keys[i], noise(keys[i], size))
				}
				flipOnDisk(t, filepath.Join(c.Data(1), keys[4]), int64(size-1))
				key := "s4://" + keys[4]
				at := c.Cluster.Servers[1].String()
				taskKey := key
				if verb == "map-from-n" {
					taskKey = "s4://b/out/4_k"
				}
				isDamage := func(err error) bool {
					var e *s4.Error
					return errors.As(err, &e) && e.Kind == s4.ErrChecksum && e.Key == taskKey && e.Server == at &&
						strings.Contains(e.Error(), key) && strings.Contains(e.Error(), "damaged")
				}
				var attempts []s4.JobTask
				opts := &s4.JobOptions{Retries: 3, AllTasks: true, Task: func(task s4.JobTask) {
					if task.Key == taskKey {
						attempts = append(attempts, task)
					}
				}}
				once := func() bool {
					return len(attempts) == 1 && attempts[0].State == s4.TaskFailed && attempts[0].Attempt == 1 && isDamage(attempts[0].Err)
				}

				_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", outputOfEach, opts)
				if !isDamage(err) || !once() {
					t.Errorf("%v, attempts %+v", err, attempts)
				}
				clean(t, dataDirs(c), keys...)

				// A job that keeps going publishes what the other tasks made, and nothing of
				// this one is sent to other servers.
				attempts, opts.KeepGoing = nil, true
				res, err := run(client, guarded(t), "s4://b/in/4*", "s4://b/out", outputOfEach, opts)
				if !errors.Is(err, s4.ErrTaskFailed) || res.Failed != 1 || res.Keys != 0 || res.Pushed != 0 || !once() {
					t.Errorf("alone: %+v, %v, attempts %+v", res, err, attempts)
				}
				attempts = nil
				res, err = run(client, guarded(t), "s4://b/in", "s4://b/out", outputOfEach, opts)
				if !errors.Is(err, s4.ErrTaskFailed) || res.Failed != 1 || res.Done != 5 || !once() {
					t.Errorf("keep going: %+v, %v, attempts %+v", res, err, attempts)
				}
				out := list(t, client, "b/out")
				if len(out) < 5 || slices.ContainsFunc(out, func(key string) bool { return strings.Contains(key, "4_k") }) {
					t.Errorf("published: %q", out)
				}

				attempts = nil
				res, err = run(client, guarded(t), "s4://b/in", "s4://b/all", outputOfEach, &s4.JobOptions{NoVerifyInput: true})
				if err != nil || res.Done != 6 {
					t.Errorf("not verified: %+v, %v", res, err)
				}
			})
		}
	}
}

// A command that fails over damaged input is told of as damage, with what it said.
func TestDamagedInputOfFailedCommand(t *testing.T) {
	c, client := start(t, node.Config{})
	key := "b/in/1_k"
	put(t, client, key, noise(key, verifiedSizes["large"]))
	cmd := "cat > /dev/null; echo oh >&2; exit 3"
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", cmd, nil); !errors.Is(err, s4.ErrTaskFailed) {
		t.Errorf("before: %v", err)
	}
	flipOnDisk(t, filepath.Join(c.Data(1), key), 9)
	for verb, run := range jobVerbs {
		_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", cmd, nil)
		var e *s4.Error
		if !errors.As(err, &e) || e.Kind != s4.ErrChecksum || e.Exit != 3 || e.Stderr != "oh\n" {
			t.Errorf("%s: %+v", verb, e)
		}
	}
	clean(t, dataDirs(c), key)
}

// A merge names the damaged one of many, wherever it is among them.
func TestDamagedInputOfGroup(t *testing.T) {
	c, client := start(t, node.Config{})
	var keys []string
	for i := range 100 { // more than a merge keeps open
		keys = append(keys, fmt.Sprintf("b/in/%03d/1_k", i))
		put(t, client, keys[i], noise(keys[i], 65<<10))
	}
	for _, i := range []int{0, 63, 64, 99} {
		path := filepath.Join(c.Data(1), keys[i])
		flipOnDisk(t, path, 1000)
		_, err := client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", "xargs cat", nil)
		if !errors.Is(err, s4.ErrChecksum) || !strings.Contains(err.Error(), "s4://"+keys[i]+":") {
			t.Errorf("key %d: %v", i, err)
		}
		flipOnDisk(t, path, 1000)
	}
	res, err := client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", "xargs cat", nil)
	if err != nil || res.Bytes != 100*65<<10 {
		t.Errorf("repaired: %+v, %v", res, err)
	}
}

// A file that s4 did not write has no checksum: there is nothing to vouch for it.
func TestInputWithoutChecksum(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/in/1_k", []byte("k"))
	path := filepath.Join(c.Data(1), "b/in/1_foreign")
	if err := os.WriteFile(path, []byte("f"), 0o644); err != nil {
		t.Fatal(err)
	}
	for verb, run := range jobVerbs {
		if _, err := run(client, guarded(t), "s4://b/in", "s4://b/"+verb, outputOfEach, nil); !errors.Is(err, s4.ErrChecksum) || !strings.Contains(err.Error(), "s4://b/in/1_foreign") {
			t.Errorf("%s: %v", verb, err)
		}
		if _, err := run(client, guarded(t), "s4://b/in", "s4://b/"+verb, outputOfEach, &s4.JobOptions{NoVerifyInput: true}); err != nil {
			t.Errorf("%s, not verified: %v", verb, err)
		}
	}
}

func TestDamagedInputOfEval(t *testing.T) {
	c, client := start(t, node.Config{})
	for name, size := range verifiedSizes {
		t.Run(name, func(t *testing.T) {
			key := "b/" + name + "/1_k"
			put(t, client, key, noise(key, size))
			var out, errs bytes.Buffer
			if st, err := client.Eval(guarded(t), "s4://"+key, "wc -c; exit 3", &out, &errs, nil); err != nil || st.Code != 3 {
				t.Errorf("whole: %+v, %v", st, err)
			}
			flipOnDisk(t, filepath.Join(c.Data(1), key), int64(size-1))
			for _, cmd := range []string{"wc -c", "wc -c; exit 3", "true"} {
				out.Reset()
				_, err := client.Eval(guarded(t), "s4://"+key, cmd, &out, &errs, nil)
				var e *s4.Error
				if !errors.As(err, &e) || e.Kind != s4.ErrChecksum || e.Key != "s4://"+key || e.Server != c.Cluster.Servers[1].String() {
					t.Errorf("%s: %v", cmd, err)
				}
				if written := strings.Contains(fmt.Sprint(err), "what was written must not be trusted"); written != (out.Len() > 0) {
					t.Errorf("%s: printed %q, and says %v", cmd, out.String(), err)
				}
			}
			out.Reset()
			st, err := client.Eval(guarded(t), "s4://"+key, "wc -c; exit 3", &out, &errs, &s4.EvalOptions{NoVerifyInput: true})
			if err != nil || st.Code != 3 || out.String() != fmt.Sprintln(size) {
				t.Errorf("not verified: %+v, %v, %q", st, err, out.String())
			}
		})
	}
}

// A key that is removed while its command runs is verified all the same, and is no
// reason to fail.
func TestInputRemovedMeanwhile(t *testing.T) {
	for name, size := range verifiedSizes {
		for verb, run := range jobVerbs {
			t.Run(verb+"/"+name, func(t *testing.T) {
				c, client := start(t, node.Config{})
				for _, damaged := range []bool{false, true} {
					if damaged && name == "small" {
						continue // its command does not start
					}
					key := "b/in/1_k"
					put(t, client, key, noise(key, size))
					if damaged {
						flipOnDisk(t, filepath.Join(c.Data(1), key), 1)
					}
					dir := t.TempDir()
					done := make(chan error, 1)
					go func() {
						_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", "touch "+dir+"/runs; until [ -e "+dir+"/go ]; do sleep 0.02; done; echo x > 1_p; ls", nil)
						done <- err
					}()
					nodetest.Eventually(t, "the command runs", func() bool { _, err := os.Stat(dir + "/runs"); return err == nil })
					if _, err := client.Remove(guarded(t), "s4://"+key, false); err != nil {
						t.Error(err)
					}
					if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
						t.Error(err)
					}
					if err := <-done; damaged != errors.Is(err, s4.ErrChecksum) || !damaged && err != nil {
						t.Errorf("damaged %v: %v", damaged, err)
					}
					if n, err := client.Remove(guarded(t), "s4://b/out/", true); (err == nil) == damaged {
						t.Errorf("damaged %v: %d keys were published, %v", damaged, n, err)
					}
				}
				clean(t, dataDirs(c))
			})
		}
	}
}

// A key of a group that is removed before its task runs is left to the command.
func TestInputRemovedBefore(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/in/0_k", []byte("first"))
	put(t, client, "b/in/x/0_k", []byte("second"))
	var removed atomic.Bool
	opts := &s4.JobOptions{Started: func(string) {
		if _, err := client.Remove(guarded(t), "s4://b/in/x/0_k", false); err != nil {
			t.Error(err)
		}
		removed.Store(true)
	}}
	res, err := client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", "while read f; do cat $f || true; done", opts)
	if err != nil || !removed.Load() || res.Bytes != 5 {
		t.Errorf("%+v, %v", res, err)
	}
	clean(t, dataDirs(c), "b/in/0_k", "b/out/0_k")
}

// The files of a large group do not use up the server's descriptors.
func TestMergeWithFewDescriptors(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		inChild(t) // the limit is of a whole process
		return
	}
	c := nodetest.Start(t, 1, node.Config{MaxCPUJobs: 2, MaxIOJobs: 1})
	client := c.Client(t, nil)
	src := t.TempDir()
	var want int64
	for i := range 300 {
		for j, size := range []int{7, 65 << 10, 66 << 10} {
			path := filepath.Join(src, fmt.Sprint(i), fmt.Sprintf("%d_k", j))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, noise(path, size), 0o644); err != nil {
				t.Fatal(err)
			}
			want += int64(size)
		}
	}
	if err := client.PutTree(guarded(t), src, "s4://b/in", func(tr s4.Transfer) {
		if tr.Err != nil {
			t.Error(tr.Err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 80, Max: 80}); err != nil {
		t.Fatal(err)
	}
	res, err := client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", "xargs cat", nil)
	if err != nil || res.Bytes != want {
		t.Errorf("%d bytes, want %d: %v", res.Bytes, want, err)
	}
}

// TestTaskInputs compares the fingerprints that a server tells with those that
// PROTOCOL.md says how to compute.
func TestTaskInputs(t *testing.T) {
	c := nodetest.Start(t, 1, node.Config{})
	client := c.Client(t, nil)
	for i, key := range []string{"b/in/7_k", "b/in/x/7_k", "b/in/8_k"} {
		put(t, client, key, noise(key, 100<<10*i))
	}
	inputs := func(run func() (s4.JobResult, error)) map[string]uint64 {
		t.Helper()
		res, err := run()
		if err != nil {
			t.Fatal(err)
		}
		id, err := jobNumber(res.ID)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelControl)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.Write(1, 0, &wire.JobTasks{Job: id}); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]uint64)
		for {
			m, err := conn.ReadReply(1)
			if err != nil {
				t.Fatal(err)
			}
			tasks, ok := m.(*wire.Tasks)
			if !ok {
				return got
			}
			for _, task := range tasks.List {
				got[task.Key] = task.Inputs
			}
		}
	}
	print := func(keys ...string) uint64 {
		t.Helper()
		var b []byte
		for _, key := range keys {
			o, err := client.Stat(guarded(t), "s4://"+key)
			if err != nil {
				t.Fatal(err)
			}
			b = fmt.Appendf(b, "%s\n", key)
			b = binary.BigEndian.AppendUint64(b, uint64(o.Size))
			b = binary.BigEndian.AppendUint64(b, uint64(o.Modified.UnixNano()))
			b = binary.BigEndian.AppendUint64(b, o.XXH64)
		}
		return xxhash.Sum64(b)
	}
	for _, opts := range []*s4.JobOptions{nil, {NoVerifyInput: true}} {
		for _, verb := range []string{"map", "map-to-n"} {
			got := inputs(func() (s4.JobResult, error) {
				return jobVerbs[verb](client, guarded(t), "s4://b/in", fmt.Sprintf("s4://b/%s%v", verb, opts != nil), outputOfEach, opts)
			})
			want := map[string]uint64{}
			for _, key := range []string{"b/in/7_k", "b/in/x/7_k", "b/in/8_k"} {
				want[key] = print(key)
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: %x, want %x", verb, got, want)
			}
		}
		out := fmt.Sprintf("b/merged%v", opts != nil)
		got := inputs(func() (s4.JobResult, error) {
			return client.MapFromN(guarded(t), "s4://b/in", "s4://"+out, outputOfEach, opts)
		})
		want := map[string]uint64{out + "/7_k": print("b/in/7_k", "b/in/x/7_k"), out + "/8_k": print("b/in/8_k")}
		if !maps.Equal(got, want) {
			t.Errorf("map-from-n: %x, want %x", got, want)
		}
	}
}

// Two tasks that fail at once keep their own standard error: the one that comes second is
// told that the job has failed, and why, while its input is being hashed.
func TestFailuresStayApart(t *testing.T) {
	_, client := start(t, node.Config{})
	for _, key := range []string{"1_k", "4_k", "7_k"} { // on one server
		put(t, client, "b/in/"+key, noise(key, 300<<10))
	}
	for range 15 {
		dir := t.TempDir()
		_, err := client.Map(guarded(t), "s4://b/in/", "s4://b/out/",
			"cd "+dir+"; >$filename; until [ -e 1_k ] && [ -e 4_k ] && [ -e 7_k ]; do :; done; echo $filename >&2; exit 3", nil)
		var e *s4.Error
		if !errors.As(err, &e) || e.Stderr != strings.TrimPrefix(e.Key, "s4://b/in/")+"\n" {
			t.Fatalf("%+v", err)
		}
	}
}
