package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4/wire"
)

// eachDamage writes every version of a file that is cut short, or has one bit that is
// flipped.
func eachDamage(t *testing.T, path string, check func(what string, at int)) {
	t.Helper()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range good {
		write(good[:i])
		check("cut", i)
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			write(bad)
			check("flip", i)
		}
	}
	write(append(append([]byte(nil), good...), good...))
	check("twice", len(good))
	write(good)
}

// No damage to a job's info, list of tasks or promise goes unnoticed.
func TestDamagedFilesOfAJob(t *testing.T) {
	for _, verb := range []wire.Verb{wire.VerbMap, wire.VerbMapFromN} {
		n := testNode(t, t.TempDir())
		s := n.store
		p := testStage(t, s, 42)
		j := n.makeJob(&wire.Job{ID: 42, Verb: verb, Indir: "b/in", Outdir: "b/out", Command: "cat", Wait: 1}, input{}, p, wire.JobRunning)
		j.tasks = taskList{rels: []string{"0_a", "1_a", "1_b"}, sizes: []int64{1, 2, 3}, keys: 3, bytes: 6, skipped: 4}
		if verb == wire.VerbMapFromN {
			j.tasks.groups, j.tasks.names = [][]int32{{0}, {1, 2}}, []string{"0_a", "1"}
		}
		j.found.Store(true)
		if err := j.save(); err != nil {
			t.Fatal(err)
		}
		got, err := readInputs(p.path, j.msg)
		if err != nil || got.ready() != j.tasks.ready() || got.len() != j.tasks.len() {
			t.Errorf("read %+v, %v", got, err)
		}
		fi, err := os.Stat(filepath.Join(p.path, inputsFile))
		if err != nil {
			t.Fatal(err)
		}
		eachDamage(t, filepath.Join(p.path, inputsFile), func(what string, at int) {
			if what == "cut" && int64(at) == fi.Size()-1 {
				return // all but the last newline is all
			}
			if _, err := readInputs(p.path, j.msg); code(err) != wire.CodeInternal {
				t.Fatalf("%s of the list at %d: %v", what, at, err)
			}
		})
		if info, err := s.readRecord(42); err != nil || info.Job.Outdir != "b/out" {
			t.Errorf("read %+v, %v", info, err)
		}
		eachDamage(t, filepath.Join(p.path, infoFile), func(what string, at int) {
			if info, err := s.readRecord(42); what != "twice" && (err == nil || info.Job.ID != 42) {
				t.Fatalf("%s of the info at %d: %+v, %v", what, at, info, err)
			}
		})
		if err := p.promise([]uint32{1, 2}); err != nil {
			t.Fatal(err)
		}
		p.without = nil
		if err := p.readPromise(); err != nil || len(p.without) != 2 {
			t.Errorf("read %v, %v", p.without, err)
		}
		eachDamage(t, filepath.Join(p.path, preparedMark), func(what string, at int) {
			if err := p.readPromise(); err == nil && at > 0 {
				t.Fatalf("%s of the promise at %d: %v", what, at, p.without)
			}
		})
	}
}

// TestRecordOfAnotherJob looks at a directory that somebody has copied.
func TestRecordOfAnotherJob(t *testing.T) {
	s := testStore(t, t.TempDir())
	p := testStage(t, s, 42)
	if err := writeInfo(p.path, &wire.JobInfo{Job: wire.Job{ID: 43, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Command: "cat"}}); err != nil {
		t.Fatal(err)
	}
	if info, err := s.readRecord(42); err == nil || info.Job.ID != 42 {
		t.Errorf("got %+v, %v", info, err)
	}
	if info, err := s.readRecord(41); err != nil || info != nil {
		t.Errorf("of none: %+v, %v", info, err)
	}
}
