package node

import (
	"bytes"
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
	"github.com/nathants/s4/wire"
)

func TestTally(t *testing.T) {
	const none = wire.Verdict(0) // no answer
	const (
		discarded = wire.VerdictDiscarded
		committed = wire.VerdictCommitted
		prepared  = wire.VerdictPrepared
		orphaned  = wire.VerdictOrphaned
	)
	for _, c := range []struct {
		of      []wire.Verdict
		want    wire.Verdict
		waiting []int
	}{
		{[]wire.Verdict{orphaned}, discarded, nil},
		{[]wire.Verdict{orphaned, orphaned, orphaned}, discarded, nil},
		{[]wire.Verdict{orphaned, committed, orphaned}, committed, nil},
		{[]wire.Verdict{orphaned, committed, none}, committed, nil},
		{[]wire.Verdict{none, orphaned, committed}, committed, nil},
		{[]wire.Verdict{orphaned, prepared, committed}, committed, nil},
		{[]wire.Verdict{orphaned, discarded, orphaned}, discarded, nil},
		{[]wire.Verdict{orphaned, discarded, none}, discarded, nil},
		{[]wire.Verdict{orphaned, discarded, prepared}, discarded, nil},
		{[]wire.Verdict{orphaned, none, orphaned}, orphaned, []int{1}},
		{[]wire.Verdict{orphaned, prepared, orphaned}, orphaned, []int{1}},
		{[]wire.Verdict{prepared, orphaned, none}, orphaned, []int{0, 2}},
		{[]wire.Verdict{orphaned, 99}, orphaned, []int{1}},
	} {
		got, waiting := tally(c.of)
		if got != c.want || !slices.Equal(waiting, c.waiting) {
			t.Errorf("%v: %d, waiting for %v; want %d, %v", c.of, got, waiting, c.want, c.waiting)
		}
	}
}

// testNode is a node without a network.
func testNode(t testing.TB, dir string) *Node {
	n := &Node{store: testStore(t, dir), jobs: make(map[uint64]*job)}
	n.ctx, n.cancel = newTestContext(t.(*testing.T))
	return n
}

// testJob registers a job that has begun and staged a key.
func (n *Node) testJob(t testing.TB, id uint64) *job {
	t.Helper()
	m := &wire.Job{ID: id, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Command: "cat"}
	j, err := n.newJob(m)
	if err != nil {
		t.Fatal(err)
	}
	j.client = noClient{}
	if err := j.begin(); err != nil {
		t.Fatal(err)
	}
	if err := j.stage.write(fmt.Sprintf("b/out/%d", id)); err != nil {
		t.Fatal(err)
	}
	return j
}

// What a server answers to SETTLE in each state of a job.
func TestVerdictOfStates(t *testing.T) {
	n := testNode(t, t.TempDir())
	for state, want := range map[wire.JobState]wire.Verdict{
		wire.JobRunning: wire.VerdictDiscarded, wire.JobPrepared: wire.VerdictPrepared, wire.JobOrphaned: wire.VerdictOrphaned,
		wire.JobCommitted: wire.VerdictCommitted, wire.JobFailed: wire.VerdictDiscarded, wire.JobCanceled: wire.VerdictDiscarded,
	} {
		j := n.testJob(t, uint64(state)+1)
		j.state = state
		if got, err := n.verdict(j.msg.ID); err != nil || got != want {
			t.Errorf("in state %d: %d, %v", state, got, err)
		}
		if state == wire.JobRunning {
			if err := j.prepare(nil); !errors.Is(err, errSettled) {
				t.Errorf("prepare after the verdict that it is discarded: %v", err)
			}
		}
		j.state = wire.JobRunning
		if err := j.end(errClientGone); err != nil {
			t.Error(err)
		}
		if got, err := n.verdict(j.msg.ID); err != nil || got != wire.VerdictDiscarded {
			t.Errorf("after the end: %d, %v", got, err)
		}
	}
}

// A server is killed at each step of a job; the record that the next start
// leaves tells the truth.
func TestRecordOfAKilledServer(t *testing.T) {
	for i, step := range []struct {
		name string
		do   func(j *job) error
		want wire.JobState
	}{
		{"running", func(*job) error { return nil }, wire.JobFailed},
		{"decided", func(j *job) error { return errors.Join(j.prepare(nil), j.stage.decide()) }, wire.JobCommitted},
		{"published", func(j *job) error { return errors.Join(j.prepare(nil), j.commit()) }, wire.JobCommitted},
		{"over, not removed", func(j *job) error {
			err := errors.Join(j.prepare(nil), j.commit())
			info := j.info()
			endInfo(info, wire.JobCommitted, wire.Error{})
			return errors.Join(err, writeInfo(j.stage.path, info))
		}, wire.JobCommitted},
	} {
		t.Run(step.name, func(t *testing.T) {
			dir := t.TempDir()
			n := testNode(t, dir)
			j := n.testJob(t, uint64(i+1))
			if err := step.do(j); err != nil {
				t.Fatal(err)
			}
			j.release()
			n.store.close()
			n = testNode(t, dir)
			info, err := n.jobInfo(j.msg.ID)
			if err != nil {
				t.Fatal(err)
			}
			if info.State != step.want || info.Ended == 0 || (info.Why.Code == 0) != (step.want == wire.JobCommitted) {
				t.Errorf("state %d, want %d; ended %d, error %+v", info.State, step.want, info.Ended, info.Why)
			}
			if info.State == wire.JobCommitted && info.Keys != 1 {
				t.Errorf("%d keys", info.Keys)
			}
			verdict, err := n.verdict(j.msg.ID)
			if err != nil || (verdict == wire.VerdictCommitted) != (step.want == wire.JobCommitted) {
				t.Errorf("verdict %d, %v", verdict, err)
			}
		})
	}
}

// The history keeps the last jobs, also over a restart.
func TestHistoryIsPruned(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	const more = 20
	record := func(id uint64) {
		t.Helper()
		p := testStage(t, s, id)
		if err := writeInfo(p.path, &wire.JobInfo{Job: wire.Job{ID: id, Indir: "b/in", Outdir: "b/out", Command: "cat"}}); err != nil {
			t.Fatal(err)
		}
		if err := p.remove(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(last, n uint64) {
		t.Helper()
		var ids []uint64
		if err := s.eachPast(func(info *wire.JobInfo) error {
			ids = append(ids, info.Job.ID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(ids) != int(n) || ids[0] != last || ids[n-1] != last-n+1 || !slices.IsSortedFunc(ids, func(a, b uint64) int { return int(b) - int(a) }) {
			t.Errorf("of jobs up to %d the history has %d", last, ids)
		}
		if list, err := os.ReadDir(s.sysPath(historyDir, "")); err != nil || len(list) != int(n) {
			t.Errorf("%d directories, %v", len(list), err)
		}
	}
	for id := uint64(1); id <= maxHistory+more; id++ {
		record(id)
	}
	check(maxHistory+more, maxHistory)
	s.close()
	s = testStore(t, dir)
	check(maxHistory+more, maxHistory)
	record(maxHistory + more + 1)
	check(maxHistory+more+1, maxHistory)
	// The record of a job without info is none.
	if err := testStage(t, s, 9999).remove(); err != nil {
		t.Fatal(err)
	}
	check(maxHistory+more+1, maxHistory)
	// A damaged one is passed over.
	if err := os.Truncate(s.sysPath(historyDir, jobName(maxHistory+more+1)+"/"+infoFile), 20); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.sysPath(historyDir, jobName(maxHistory+more)+"/"+infoFile), bytes.Repeat([]byte{0xff}, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.eachPast(func(*wire.JobInfo) error { n++; return nil }); err != nil || n != maxHistory-2 {
		t.Errorf("%d records, %v", n, err)
	}
}

// The log of a server that was killed ends anywhere.
func TestLogWithACutTail(t *testing.T) {
	dir := t.TempDir()
	l, err := newTaskLog(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	const tasks = 5
	ends := []int64{0}
	for i := range tasks {
		l.add(wire.Task{State: wire.TaskFailed, Key: fmt.Sprint("b/in/", i), Stderr: strings.Repeat("x", 50)})
		if err := l.frames.flush(); err != nil {
			t.Fatal(err)
		}
		fi, err := l.f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, fi.Size())
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	for size := ends[tasks]; size >= 0; size-- {
		if err := os.Truncate(filepath.Join(dir, logFile), size); err != nil {
			t.Fatal(err)
		}
		whole := 0
		for whole < tasks && ends[whole+1] <= size {
			whole++
		}
		n := 0
		_, err := readLog(dir, func(m *wire.Tasks) error {
			for _, task := range m.List {
				if task.Key != fmt.Sprint("b/in/", n) || task.Stderr != strings.Repeat("x", 50) {
					t.Errorf("task %d: %+v", n, task)
				}
				n++
			}
			return nil
		})
		if err != nil || n != whole {
			t.Fatalf("cut to %d bytes: %d tasks of %d, %v", size, n, whole, err)
		}
	}
}

// Tasks are gathered into frames that fit, whatever their size.
func TestTaskBatch(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	frames := 0
	b := taskFrames{write: func(m *wire.Tasks) error {
		mu.Lock()
		defer mu.Unlock()
		frames++
		frame := wire.AppendFrame(nil, 0, wire.FlagChecked, m)
		got, err := readFrame(bytes.NewReader(frame))
		if err != nil {
			t.Errorf("a frame of %d bytes with %d tasks: %v", len(frame), len(m.List), err)
			return nil
		}
		for _, task := range got.(*wire.Tasks).List {
			seen[task.Key] += len(task.Stderr)
		}
		return nil
	}}
	sizes := []int{0, 10, stderrTail, wire.MaxErrorText}
	const workers, each = 4, 50
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				n := sizes[(w+i)%len(sizes)]
				b.add(wire.Task{Key: fmt.Sprintf("b/%d/%d/%d", w, i, n), Error: strings.Repeat("e", n), Stderr: strings.Repeat("s", n)})
			}
		})
	}
	wg.Wait()
	if err := b.flush(); err != nil {
		t.Error(err)
	}
	if len(seen) != workers*each || frames < 2 || frames > workers*each {
		t.Errorf("%d tasks in %d frames", len(seen), frames)
	}
	for key, n := range seen {
		if !strings.HasSuffix(key, fmt.Sprintf("/%d", n)) {
			t.Errorf("%s: %d bytes of stderr", key, n)
		}
	}
	// An error stays, and nothing is written after it.
	why, calls := errors.New("why"), 0
	b = taskFrames{write: func(*wire.Tasks) error { calls++; return why }}
	for range 3 {
		b.add(wire.Task{Key: "b/k"})
		if err := b.flush(); !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	}
	if calls != 1 {
		t.Errorf("%d writes", calls)
	}
}

// A server's log keeps the standard error of good tasks up to a limit. Of failed tasks
// it always keeps something.
func TestLogLimitsChatter(t *testing.T) {
	dir := t.TempDir()
	l, err := newTaskLog(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	l.done, l.failed = 25, 600
	for range 3 {
		l.add(wire.Task{State: wire.TaskDone, Stderr: "ten bytes."})
		l.add(wire.Task{State: wire.TaskFailed, Stderr: strings.Repeat("300", 100)})
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	kept := map[wire.TaskState]int{}
	if _, err := readLog(dir, func(m *wire.Tasks) error {
		for _, task := range m.List {
			kept[task.State] += len(task.Stderr)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept[wire.TaskDone] != 20 || kept[wire.TaskFailed] != 300+300+minFailedStderr {
		t.Errorf("%v", kept)
	}
}

// When keys are removed, a resumed shuffle runs again for the inputs they came from.
func TestForgetFinished(t *testing.T) {
	all := []string{"a", "a2", "d/x"}
	for prefix, want := range map[string][]string{
		"b/out/":        {},
		"b/out":         {},
		"b/":            {},
		"b/o":           {},
		"b/out/a/":      {"a2", "d/x"},
		"b/out/a":       {"d/x"},
		"b/out/d/":      {"a", "a2"},
		"b/out/d/x/":    {"a", "a2"},
		"b/out/a/0_p":   all, // a file of it
		"b/out/a/sub/":  all,
		"b/out/none/":   all,
		"b/out2/":       all,
		"b/outer/":      all,
		"c/":            all,
		"b/out/a2/0_p/": all,
	} {
		s := testStore(t, t.TempDir())
		for name, outdir := range map[string]string{"1": "b/out", "2": "b/out", "3": "b/other"} {
			dir := t.TempDir()
			l, err := newFinishedList(dir, outdir)
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range all {
				l.add(in, 1)
			}
			if err := errors.Join(l.close(), s.keepFinished(filepath.Join(dir, finishedFile), name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.forgetFinished(prefix); err != nil {
			t.Errorf("%s: %v", prefix, err)
		}
		for outdir, want := range map[string][]string{"b/out": want, "b/other": all} {
			if outdir == "b/other" && (prefix == "b/" || prefix == "b/o") {
				want = nil
			}
			done, err := s.finishedInputs(outdir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for in := range done {
				got = append(got, in)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("after the removal of %s, of %s %q are done, want %q", prefix, outdir, got, want)
			}
		}
	}
}

// A disk that is full when a job ends must not leave a record that says it
// runs: whoever waits for it would wait for ever.
func TestRecordThatCannotBeClosed(t *testing.T) {
	for _, committed := range []bool{true, false} {
		n := testNode(t, t.TempDir())
		j := n.testJob(t, 7)
		if err := j.prepare(nil); err != nil {
			t.Fatal(err)
		}
		want := wire.JobCommitted
		if committed {
			if err := j.commit(); err != nil {
				t.Fatal(err)
			}
		} else {
			want = wire.JobCanceled
			j.move(jobDiscarded, errClientGone)
		}
		if err := os.Mkdir(filepath.Join(j.stage.path, "info.new"), 0o755); err != nil { // as ENOSPC
			t.Fatal(err)
		}
		if err := j.end(errors.New("disk full")); err == nil {
			t.Error("end says nothing")
		}
		info, err := n.jobInfo(7)
		if err != nil || info.State != want || info.Ended == 0 {
			t.Errorf("%+v, %v", info, err)
		}
	}
}

// Many jobs that a killed server had promised are taken up at once.
func TestAdoptMany(t *testing.T) {
	dir := t.TempDir()
	n := testNode(t, dir)
	for i := range 30 {
		if err := n.testJob(t, uint64(i+1)).prepare(nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range n.jobs {
		j.release()
	}
	n.store.close()
	cluster, err := s4.ParseCluster(strings.NewReader("127.0.0.1:1\n"), "alone")
	if err != nil {
		t.Fatal(err)
	}
	n, err = New(Config{Cluster: cluster, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Shutdown(t.Context())
	for end := time.Now().Add(20 * time.Second); len(n.begun()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d jobs are not settled", len(n.begun()))
		}
	}
}
