package node

import (
	"context"
	"errors"
	"testing"

	"github.com/nathants/s4/wire"
)

// TestNext pins the state table: what becomes of a job in every state by every
// event.
func TestNext(t *testing.T) {
	const (
		running, prepared, orphaned = wire.JobRunning, wire.JobPrepared, wire.JobOrphaned
		committed, failed, canceled = wire.JobCommitted, wire.JobFailed, wire.JobCanceled
		waiting, suspended          = wire.JobWaiting, wire.JobSuspended
	)
	events := []event{jobPromised, jobDecided, jobDiscarded, jobStopped, jobLost, jobCanceled, jobFailed, jobSettled, jobAttached}
	for from, want := range map[wire.JobState][]wire.JobState{
		running:   {prepared, running, canceled, canceled, canceled, canceled, failed, running, running},
		prepared:  {prepared, committed, canceled, canceled, orphaned, prepared, prepared, prepared, prepared},
		orphaned:  {orphaned, committed, orphaned, orphaned, orphaned, orphaned, orphaned, canceled, orphaned},
		waiting:   {waiting, waiting, canceled, canceled, canceled, canceled, failed, waiting, running},
		suspended: {suspended, suspended, canceled, suspended, suspended, suspended, suspended, suspended, running},
		committed: {committed, committed, committed, committed, committed, committed, committed, committed, committed},
		failed:    {failed, failed, failed, failed, failed, failed, failed, failed, failed},
		canceled:  {canceled, canceled, canceled, canceled, canceled, canceled, canceled, canceled, canceled},
	} {
		for i, e := range events {
			if got := next(from, e, false); got != want[i] {
				t.Errorf("%s, %s: %s, want %s", from, e, got, want[i])
			}
			// A job that is kept differs only in how it ends, unless its client discards it.
			kept := want[i]
			if e != jobDiscarded && !isOver(from) && (kept == canceled || kept == failed) {
				kept = suspended
			}
			if got := next(from, e, true); got != kept {
				t.Errorf("kept, %s, %s: %s, want %s", from, e, got, kept)
			}
			if isOver(from) && next(from, e, true) != from {
				t.Errorf("%s is not final: %s", from, e)
			}
		}
	}
}

// An event that changes nothing has no say in why a job's work ends.
func TestMove(t *testing.T) {
	j := &job{msg: new(wire.Job), state: wire.JobRunning}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	first, second := errors.New("first"), errors.New("second")
	if !j.move(jobFailed, first) || j.move(jobLost, second) || j.current() != wire.JobFailed || context.Cause(j.ctx) != first {
		t.Errorf("%s, because of %v", j.current(), context.Cause(j.ctx))
	}
}
