package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// batchKeys is how many keys the tests of batches have.
const batchKeys = 60

// upperBatch is a command that does a batch, after a line in the file began for each
// start of it, which says how many keys it has.
func upperBatch(began string) string {
	return `echo $# >>` + began + `
[ "$(cut -f2 "$S4_BATCH")" = "$(cat)" ] && [ "$(cut -f2 "$S4_BATCH")" = "$(printf '%s\n' "$@")" ]
while IFS=$'\t' read -r key in out; do
    if grep -q fail "$in"; then exit 1; fi
    grep -q none "$in" || tr a-z A-Z <"$in" >"$out"
done <"$S4_BATCH"
`
}

type batchRun struct {
	c      *nodetest.Cluster
	client *s4.Client
	began  string

	mu    sync.Mutex
	tasks []s4.JobTask
}

// startBatch puts the keys, whose contents are their names but for those in special.
func startBatch(t *testing.T, special map[int]string) *batchRun {
	c, client := start(t, node.Config{})
	b := &batchRun{c: c, client: client, began: filepath.Join(t.TempDir(), "began")}
	for i := range batchKeys {
		text := special[i]
		if text == "" {
			text = fmt.Sprintf("line %d\n", i)
		}
		put(t, client, fmt.Sprintf("b/in/%02d_k", i), []byte(text))
	}
	return b
}

func (b *batchRun) run(t *testing.T, opts s4.JobOptions) (s4.JobResult, error) {
	opts.AllTasks = true
	opts.Task = func(task s4.JobTask) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tasks = append(b.tasks, task)
	}
	return b.client.Map(guarded(t), "s4://b/in/", "s4://b/out/", upperBatch(b.began), &opts)
}

// starts returns how many keys each start of the command had.
func (b *batchRun) starts(t *testing.T) []string {
	data, err := os.ReadFile(b.began)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// One command does many keys; what is logged and published is that of each key.
func TestBatch(t *testing.T) {
	b := startBatch(t, nil)
	res, err := b.run(t, s4.JobOptions{Batch: 1000})
	if err != nil || res.Keys != batchKeys || res.Done != batchKeys {
		t.Fatalf("%+v, %v", res, err)
	}
	for i := range batchKeys {
		if got, want := get(t, b.client, fmt.Sprintf("b/out/%02d_k", i)), fmt.Sprintf("LINE %d\n", i); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	if n := len(b.starts(t)); n > 3*4 {
		t.Errorf("%d starts, want one for a slot at most", n)
	}
	seen := make(map[string]bool)
	for _, task := range b.tasks {
		seen[task.Key] = true
		if task.State != s4.TaskDone || task.Attempt != 1 || task.BytesOut != task.BytesIn || task.BytesIn == 0 {
			t.Errorf("%+v", task)
		}
	}
	if len(seen) != batchKeys || len(b.tasks) != batchKeys {
		t.Errorf("%d tasks of %d keys", len(b.tasks), len(seen))
	}
	for i := range 3 {
		if left := nodetest.Staged(t, b.c.Data(i)); len(left) > 0 {
			t.Errorf("server %d: %q is left", i, left)
		}
	}
}

// A batch has N keys at most.
func TestBatchOfTwo(t *testing.T) {
	b := startBatch(t, nil)
	if _, err := b.run(t, s4.JobOptions{Batch: 2}); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range b.starts(t) {
		switch n {
		case "1":
			sum++
		case "2":
			sum += 2
		default:
			t.Errorf("%s keys", n)
		}
	}
	if sum != batchKeys {
		t.Errorf("%d keys in all", sum)
	}
}

// A key that fails costs no other key, is run alone before it counts as failed, and is
// found in few starts. So is one that the command writes no output for.
func TestBatchFails(t *testing.T) {
	for text, says := range map[string]string{
		"fail\n": "command failed: exit 1",
		"none\n": "no output file was written for this key",
	} {
		t.Run(text[:4], func(t *testing.T) {
			const bad = 17
			b := startBatch(t, map[int]string{bad: text})
			key := fmt.Sprintf("s4://b/in/%02d_k", bad)
			res, err := b.run(t, s4.JobOptions{Batch: 1000, KeepGoing: true, Retries: 2})
			if !errors.Is(err, s4.ErrTaskFailed) || res.Keys != batchKeys-1 || res.Failed != 1 {
				t.Fatalf("%+v, %v", res, err)
			}
			last := make(map[string]s4.JobTask)
			alone := 0
			for _, task := range b.tasks {
				if task.Attempt != last[task.Key].Attempt+1 {
					t.Errorf("%s: attempt %d after %d", task.Key, task.Attempt, last[task.Key].Attempt)
				}
				last[task.Key] = task
			}
			for _, n := range b.starts(t) {
				if n == "1" {
					alone++
				}
			}
			for k, task := range last {
				switch {
				case k == key && (task.State != s4.TaskFailed || task.Err.Text != says):
					t.Errorf("%+v, %v", task, task.Err)
				case k != key && task.State != s4.TaskDone:
					t.Errorf("%+v", task)
				}
			}
			if alone < 3 || len(b.starts(t)) > 3*4+3+2*5 {
				t.Errorf("%q", b.starts(t)) // alone three times with two retries, and its neighbour perhaps
			}
			// What is missing is completed by --resume.
			if _, err := b.client.Remove(guarded(t), key, false); err != nil {
				t.Fatal(err)
			}
			put(t, b.client, key[len("s4://"):], []byte("ok\n"))
			if res, err := b.run(t, s4.JobOptions{Batch: 1000, Resume: true}); err != nil || res.Keys != 1 || res.Skipped != batchKeys-1 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// Without KeepGoing the key that is to blame is named, and nothing is published.
func TestBatchFailsJob(t *testing.T) {
	const bad = 17
	b := startBatch(t, map[int]string{bad: "fail\n"})
	_, err := b.run(t, s4.JobOptions{Batch: 1000})
	var e *s4.Error
	if !errors.As(err, &e) || e.Kind != s4.ErrTaskFailed || e.Key != fmt.Sprintf("s4://b/in/%02d_k", bad) {
		t.Errorf("%v", err)
	}
	for e, err := range b.client.List(guarded(t), "s4://b/out/", true) {
		t.Errorf("%+v, %v", e, err)
	}
}

// A damaged input fails its task alone, before its command or after.
func TestBatchDamagedInput(t *testing.T) {
	for name, size := range verifiedSizes {
		t.Run(name, func(t *testing.T) {
			b := startBatch(t, map[int]string{4: strings.Repeat("x", size)})
			flipOnDisk(t, filepath.Join(b.c.Data(b.c.Cluster.Place("b/in/04_k")), "b/in/04_k"), int64(size-1))
			res, err := b.run(t, s4.JobOptions{Batch: 1000, KeepGoing: true, Retries: 2})
			if !errors.Is(err, s4.ErrTaskFailed) || res.Keys != batchKeys-1 || res.Failed != 1 {
				t.Errorf("%+v, %v", res, err)
			}
			for _, task := range b.tasks {
				if task.Key == "s4://b/in/04_k" {
					if task.State != s4.TaskFailed || !errors.Is(task.Err, s4.ErrChecksum) {
						t.Errorf("%+v, %v", task, task.Err)
					}
				} else if task.State != s4.TaskDone {
					t.Errorf("%+v", task)
				}
			}
		})
	}
}

// Tasks of a batch that are done are not run again after a restart of their server.
func TestBatchOutlivesRestart(t *testing.T) {
	o := newOutlive(t, node.Config{})
	o.opts.Batch = 2
	began := filepath.Join(o.dir, "began")
	script := `
while IFS=$'\t' read -r key in out; do
    echo ${key##*/} >>` + began + `
    tr a-z A-Z <"$in" >"$out"
done <"$S4_BATCH"
case $S4_TASK in 0|4) while [ ! -e ` + o.dir + `/gate ]; do sleep 0.02; done;; esac
`
	o.want = make(map[string]string)
	for i := range outliveKeys {
		o.want[fmt.Sprintf("b/out/%02d_k", i)] = fmt.Sprintf("LINE %d\n", i)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := o.client.Map(guarded(t), "s4://b/in/", "s4://b/out/", script, &o.opts)
		ended <- err
	}()
	id := o.id()
	nodetest.Eventually(t, "all but the tasks that wait are done", func() bool {
		s, err := o.client.Job(guarded(t), id)
		return err == nil && s.Done == outliveKeys-3*4
	})
	for i := range 3 {
		o.StopNode(i)
		o.StartNode(t, i)
	}
	o.openGate(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	o.check(t)
	if n := len(o.begun()); n > outliveKeys+3*4 {
		t.Errorf("%d runs of %d tasks: only those that ran may run again", n, outliveKeys)
	}
}

// Only a map takes batches.
func TestBatchOfOtherVerbs(t *testing.T) {
	_, client := start(t, node.Config{})
	put(t, client, "b/in/k", []byte("x"))
	for verb, run := range jobVerbs {
		_, err := run(client, guarded(t), "s4://b/in/", "s4://b/out/", "cat; cat $S4_BATCH >/dev/null", &s4.JobOptions{Batch: 2})
		if want := s4.ErrBadRequest; verb != "map" && !errors.Is(err, want) {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
