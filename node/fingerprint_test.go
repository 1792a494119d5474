package node

import (
	"context"
	"testing"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// A fingerprint that is computed anew is what the run of the task has recorded, until an
// input changes.
func TestFingerprint(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/in/1_a", "b/in/x/1_a", "b/in/2_a")
	in, err := jobInput(&wire.Job{Indir: "b/in"})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []wire.Verb{wire.VerbMap, wire.VerbMapToN, wire.VerbMapFromN} {
		t.Run(verb.String(), func(t *testing.T) {
			j := &job{node: &Node{store: s, log: zap.NewNop()}, in: in, ctx: context.Background(),
				msg: &wire.Job{Verb: verb, Indir: "b/in", Outdir: "b/out"}}
			if err := j.find(); err != nil {
				t.Fatal(err)
			}
			task := 0
			for j.taskKey(task) != "b/in/1_a" && j.taskKey(task) != "b/out/1_a" {
				task++
			}
			keys, _ := j.inputs(task)
			ran := func() uint64 {
				t.Helper()
				run := wire.Task{Key: j.taskKey(task)}
				stdin, read, err := j.open(task, keys, &run)
				if stdin != nil {
					stdin.Close()
				}
				read.close()
				if err != nil {
					t.Error(err)
				}
				return run.Inputs
			}
			before := ran()
			if now, err := j.fingerprint(task); err != nil || now != before || now == 0 {
				t.Errorf("fingerprint %x, %v; recorded %x", now, err, before)
			}
			if err := s.remove("b/in/1_a"); err != nil {
				t.Fatal(err)
			}
			if now, err := j.fingerprint(task); err != nil || now == before {
				t.Errorf("without a key: fingerprint %x, %v; before %x", now, err, before)
			}
			mustWrite(t, s, "b/in/1_a") // the same bytes, at another time
			if now, err := j.fingerprint(task); err != nil || now == before || now != ran() {
				t.Errorf("a new key: fingerprint %x, %v; before %x", now, err, before)
			}
		})
	}
}
