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
	)
	events := []event{jobPromised, jobDecided, jobDiscarded, jobLost, jobCanceled, jobFailed, jobSettled}
	for from, want := range map[wire.JobState][]wire.JobState{
		running:   {prepared, running, canceled, canceled, canceled, failed, running},
		prepared:  {prepared, committed, canceled, orphaned, prepared, prepared, prepared},
		orphaned:  {orphaned, committed, orphaned, orphaned, orphaned, orphaned, canceled},
		committed: {committed, committed, committed, committed, committed, committed, committed},
		failed:    {failed, failed, failed, failed, failed, failed, failed},
		canceled:  {canceled, canceled, canceled, canceled, canceled, canceled, canceled},
	} {
		for i, e := range events {
			if got := next(from, e); got != want[i] {
				t.Errorf("%s, %s: %s, want %s", from, e, got, want[i])
			}
			if isOver(from) && next(from, e) != from {
				t.Errorf("%s is not final: %s", from, e)
			}
		}
	}
}

// An event that changes nothing has no say in why a job's work ends.
func TestMove(t *testing.T) {
	j := &job{state: wire.JobRunning}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	first, second := errors.New("first"), errors.New("second")
	if !j.move(jobFailed, first) || j.move(jobLost, second) || j.current() != wire.JobFailed || context.Cause(j.ctx) != first {
		t.Errorf("%s, because of %v", j.current(), context.Cause(j.ctx))
	}
}
