package node_test

import (
	"context"
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
	"github.com/nathants/s4/names"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// treeIn puts n keys below b/in, at once.
func treeIn(t testing.TB, c *s4.Client, n int) {
	t.Helper()
	src := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("%d_k", i)), fmt.Appendf(nil, "key %d\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PutTree(guarded(t), src, "s4://b/in", func(tr s4.Transfer) {
		if tr.Err != nil {
			t.Errorf("%s: %v", tr.Key, tr.Err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// touch makes a file that commands look for.
func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Of 1,000 tasks 7 fail: the rest is published, and the 7 are run again when
// what was wrong is repaired. Then a small job comes while a large one runs.
func TestThousandTasks(t *testing.T) {
	t.Parallel()
	_, client := start(t, node.Config{})
	const n, bad = 1000, 7
	treeIn(t, client, n)
	repaired := filepath.Join(t.TempDir(), "repaired")
	cmd := "if [ ! -e " + repaired + " ]; then case $filename in 9[0-6]_k) echo $filename is bad >&2; exit 3;; esac; fi; cat"
	var failed []string
	opts := &s4.JobOptions{KeepGoing: true, Task: func(task s4.JobTask) {
		failed = append(failed, task.Key)
		if task.State != s4.TaskFailed || task.Exit != 3 || task.Attempt != 1 || task.Stderr != names.Base(task.Key)+" is bad\n" || task.Err == nil {
			t.Errorf("%+v", task)
		}
	}}
	res, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", cmd, opts)
	if !errors.Is(err, s4.ErrTaskFailed) || res.Tasks != n || res.Done != n-bad || res.Failed != bad || res.Keys != n-bad {
		t.Errorf("%+v, %v", res, err)
	}
	slices.Sort(failed)
	var want []string
	for i := range bad {
		want = append(want, fmt.Sprintf("s4://b/in/%d_k", 90+i))
	}
	if !slices.Equal(failed, want) {
		t.Errorf("failed: %q", failed)
	}
	if got := len(list(t, client, "b/out/")); got != n-bad {
		t.Errorf("%d keys are published", got)
	}
	if s, err := client.Job(guarded(t), res.ID); err != nil || s.State != s4.JobPartly || s.Failed != bad || s.Err == nil {
		t.Errorf("%+v, %v", s, err)
	}
	touch(t, repaired)
	opts = &s4.JobOptions{Resume: true, Task: func(task s4.JobTask) { t.Errorf("%+v", task) }}
	res, err = client.Map(guarded(t), "s4://b/in", "s4://b/out", cmd, opts)
	if err != nil || res.Tasks != bad || res.Skipped != n-bad || res.Done != bad || res.Keys != bad {
		t.Errorf("resume: %+v, %v", res, err)
	}
	if got := get(t, client, "b/out/93_k"); got != "key 93\n" {
		t.Errorf("%q", got)
	}
	res, err = client.Map(guarded(t), "s4://b/in", "s4://b/out", "exit 1", opts)
	if err != nil || res.Tasks != 0 || res.Skipped != n || res.Keys != 0 {
		t.Errorf("resume of what is complete: %+v, %v", res, err)
	}

	var done atomic.Int64
	ctx, stop := context.WithCancel(guarded(t))
	defer stop()
	large := make(chan error, 1)
	go func() {
		_, err := client.Map(ctx, "s4://b/in", "s4://b/large", "sleep 0.02; cat", &s4.JobOptions{Progress: func(p s4.JobProgress) { done.Store(p.Done) }})
		large <- err
	}()
	nodetest.Eventually(t, "the large job runs", func() bool { return done.Load() > 0 })
	if res, err := client.Map(guarded(t), "s4://b/in/1?_k", "s4://b/small", "cat", nil); err != nil || res.Done != 10 {
		t.Errorf("small: %+v, %v", res, err)
	}
	if d := done.Load(); d > n/2 {
		t.Errorf("when the small job ended, %d tasks of the large one had", d)
	}
	stop()
	if err := <-large; !errors.Is(err, s4.ErrCanceled) {
		t.Errorf("large: %v", err)
	}
}

// A shuffle knows which inputs are done, also those that wrote nothing, until
// their output is removed.
func TestResumeShuffle(t *testing.T) {
	c, client := start(t, node.Config{})
	treeIn(t, client, 9)
	// 3 and 6 write nothing, 4 and 5 fail at first.
	repaired := filepath.Join(t.TempDir(), "repaired")
	cmd := "case $filename in [36]_k) exit 0;; [45]_k) [ -e " + repaired + " ];; esac; for i in 0_p 1_p; do cat $S4_FILE > $i; echo $i; done"
	run := func(what string, opts *s4.JobOptions, tasks, skipped, failed, keys int64) {
		t.Helper()
		var ran []string
		opts.AllTasks, opts.Task = true, func(task s4.JobTask) { ran = append(ran, names.Base(task.Key)) }
		res, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", cmd, opts)
		if (failed > 0) != errors.Is(err, s4.ErrTaskFailed) || failed == 0 && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if res.Tasks != tasks || res.Skipped != skipped || res.Failed != failed || res.Keys != keys || len(ran) != int(tasks) {
			t.Errorf("%s: ran %q, %+v", what, ran, res)
		}
	}
	remove := func(prefix string) {
		t.Helper()
		if _, err := client.Remove(guarded(t), "s4://"+prefix, true); err != nil && !errors.Is(err, s4.ErrNotFound) {
			t.Error(err)
		}
	}
	resume := &s4.JobOptions{Resume: true}
	run("at first", &s4.JobOptions{KeepGoing: true, Resume: true}, 9, 0, 2, 10)
	run("nothing repaired", &s4.JobOptions{KeepGoing: true, Resume: true}, 2, 7, 2, 0)
	touch(t, repaired)
	run("repaired", resume, 2, 7, 0, 4)
	run("complete", resume, 0, 9, 0, 0)
	remove("b/out/7_k/")
	run("without one", resume, 1, 8, 0, 2)
	remove("b/out/3_k/") // which has no key
	run("without one that wrote nothing", resume, 1, 8, 0, 0)
	client.Close()
	c.Stop()
	c = nodetest.StartIn(t, c.Dir, 3, node.Config{MaxCPUJobs: 4})
	client = c.Client(t, nil)
	run("after a restart", resume, 0, 9, 0, 0)
	remove("b/out/")
	run("without any", resume, 9, 0, 0, 14)
	if got := get(t, client, "b/out/5_k/1_p"); got != "key 5\n" {
		t.Errorf("%q", got)
	}
	// Another OUTDIR has nothing to do with it.
	if res, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out/sub", cmd, resume); err != nil || res.Tasks != 9 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A merge resumes by group.
func TestResumeMerge(t *testing.T) {
	_, client := start(t, node.Config{})
	for i := range 6 {
		for part := range 3 {
			put(t, client, fmt.Sprintf("b/in/%d/%d_p", part, i), fmt.Appendf(nil, "%d", part))
		}
	}
	const cmd = "cat $(sort)"
	res, err := client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", "case $S4_GROUP in 2|5) exit 1;; esac; "+cmd, &s4.JobOptions{KeepGoing: true})
	if !errors.Is(err, s4.ErrTaskFailed) || res.Keys != 4 || res.Failed != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	for _, want := range []int64{2, 0} {
		res, err = client.MapFromN(guarded(t), "s4://b/in", "s4://b/out", cmd, &s4.JobOptions{Resume: true})
		if err != nil || res.Tasks != want || res.Skipped != 6-want || res.InputKeys != 3*want || res.Keys != want {
			t.Errorf("%+v, %v", res, err)
		}
	}
	if got := get(t, client, "b/out/5_p"); got != "012" {
		t.Errorf("%q", got)
	}
}

// A task that fails publishes nothing of what it has printed, though the job
// goes on.
func TestKeepGoingShufflesWholeTasks(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := manyIn(t, client, 6)
	bad := map[string]string{
		"a bad name after good ones": "echo missing",
		"a name that is given twice": "echo 1_p",
		"a bad key":                  "echo x > 'a b'; echo 'a b'",
		"an exit code":               "exit 4",
	}
	i := 0
	for name, end := range bad {
		i++
		outdir := fmt.Sprintf("b/out%d", i)
		cmd := "for i in 0_p 1_p 2_p; do cat $S4_FILE > $i; echo $i; done; case $filename in [14]_k) " + end + ";; esac"
		var failed []string
		opts := &s4.JobOptions{KeepGoing: true, Task: func(task s4.JobTask) { failed = append(failed, task.Key) }}
		res, err := client.MapToN(guarded(t), "s4://b/in", "s4://"+outdir, cmd, opts)
		slices.Sort(failed)
		if !errors.Is(err, s4.ErrTaskFailed) || res.Failed != 2 || res.Keys != 12 || !slices.Equal(failed, []string{"s4://b/in/1_k", "s4://b/in/4_k"}) {
			t.Errorf("%s: %+v, %v, failed %q", name, res, err, failed)
		}
		for _, k := range []int{0, 2, 3, 5} {
			for p := range 3 {
				keys = append(keys, fmt.Sprintf("%s/%d_k/%d_p", outdir, k, p))
			}
		}
		clean(t, dataDirs(c), keys...)
	}
	// All of them: there is nothing to publish.
	res, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/none", "exit 1", &s4.JobOptions{KeepGoing: true})
	if !errors.Is(err, s4.ErrTaskFailed) || res.Failed != 6 || res.Keys != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	clean(t, dataDirs(c), keys...)
}

func TestRetries(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := manyIn(t, client, 6)
	for verb, run := range jobVerbs {
		t.Run(verb, func(t *testing.T) {
			dir := t.TempDir()
			// Task 2 fails twice. Each run finds an empty directory.
			cmd := `[ -z "$(ls)" ]; echo x > f; case $filename in 2_*) echo >> ` + dir + `/$filename; n=$(wc -l < ` + dir + `/$filename); echo run $n >&2; [ $n -gt 2 ];; esac; echo f`
			var runs []string
			opts := &s4.JobOptions{Retries: 1, AllTasks: true, Task: func(task s4.JobTask) {
				if strings.HasSuffix(task.Key, "/2_k") {
					runs = append(runs, fmt.Sprintf("%d %s %s", task.Attempt, task.State, strings.TrimSpace(task.Stderr)))
				}
			}}
			_, err := run(client, guarded(t), "s4://b/in", "s4://b/"+verb, cmd, opts)
			if !errors.Is(err, s4.ErrTaskFailed) || !slices.Equal(runs, []string{"1 retried run 1", "2 failed run 2"}) {
				t.Errorf("with too few: %v, runs %q", err, runs)
			}
			clean(t, dataDirs(c), keys...)
			if err := os.RemoveAll(filepath.Join(dir, "2_k")); err != nil {
				t.Fatal(err)
			}
			runs, opts.Retries = nil, 5
			res, err := run(client, guarded(t), "s4://b/in", "s4://b/"+verb, cmd, opts)
			// What a good task says stays with the servers.
			if err != nil || res.Done != 6 || res.Failed != 0 || !slices.Equal(runs, []string{"1 retried run 1", "2 retried run 2", "3 done "}) {
				t.Errorf("%+v, %v, runs %q", res, err, runs)
			}
			said := ""
			if err := client.JobTasks(guarded(t), res.ID, func(task s4.JobTask) error {
				said += task.Stderr
				return nil
			}); err != nil || said != "run 1\nrun 2\nrun 3\n" {
				t.Errorf("on record: %q, %v", said, err)
			}
			keys = append(keys, list(t, client, "b/"+verb+"/")...)
		})
	}
}

func TestTaskTimeout(t *testing.T) {
	t.Parallel() // it waits
	c, client := start(t, node.Config{})
	keys := manyIn(t, client, 6)
	mark := marker()
	cmd := fmt.Sprintf("case $filename in 3_k) sleep %s & sleep %s;; esac; cat", mark, mark)
	opts := &s4.JobOptions{Timeout: 2 * time.Second}
	_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", cmd, opts)
	var e *s4.Error
	if !errors.As(err, &e) || !errors.Is(err, s4.ErrTaskFailed) || e.Key != "s4://b/in/3_k" || !strings.Contains(e.Text, "2s") {
		t.Errorf("%v", err)
	}
	noProcess(t, mark)
	clean(t, dataDirs(c), keys...)
	opts.KeepGoing = true
	res, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", cmd, opts)
	if !errors.Is(err, s4.ErrTaskFailed) || res.Failed != 1 || res.Keys != 5 {
		t.Errorf("%+v, %v", res, err)
	}
	noProcess(t, mark)
}

func TestOKExit(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := manyIn(t, client, 3)
	for _, ok := range [][]int{{4}, nil} {
		if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat; exit 3", &s4.JobOptions{OKExit: ok}); !errors.Is(err, s4.ErrTaskFailed) {
			t.Errorf("%v: %v", ok, err)
		}
		clean(t, dataDirs(c), keys...)
	}
	res, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat; case $filename in 0*) exit 255;; 1*) exit 3;; esac", &s4.JobOptions{OKExit: []int{3, 255}})
	if err != nil || res.Keys != 3 || get(t, client, "b/out/1_k") != "key 1\n" {
		t.Errorf("%+v, %v", res, err)
	}
	// A signal is no exit code, whatever is listed.
	all := []int{}
	for code := 1; code < 256; code++ {
		all = append(all, code)
	}
	// However often a code is listed, those behind it count.
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out3", "cat; exit 7", &s4.JobOptions{OKExit: append(slices.Repeat([]int{9}, 255), 7)}); err != nil {
		t.Errorf("behind 255 others: %v", err)
	}
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out2", "kill -9 $$", &s4.JobOptions{OKExit: all}); !errors.Is(err, s4.ErrTaskFailed) {
		t.Errorf("killed: %v", err)
	}
	for _, code := range []int{-1, 0, 256} {
		if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out2", "cat", &s4.JobOptions{OKExit: []int{code}}); err == nil {
			t.Errorf("exit code %d was taken", code)
		}
	}
}
