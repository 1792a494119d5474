package wire

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// A code is what errors.Is looks for in an error that has it, however wrapped.
func TestErrorIs(t *testing.T) {
	err := fmt.Errorf("put: %w", Errorf(CodeExists, "b/k"))
	if !errors.Is(err, CodeExists) || errors.Is(err, CodeNotFound) || errors.Is(err, io.EOF) {
		t.Errorf("%v is not what it is", err)
	}
	if got := CodeNoJob.Error(); got != "no such job" {
		t.Errorf("CodeNoJob reads %q", got)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{JobOption(0).String(), "none"},
		{(JobKeepGoing | JobDetach | 1<<20).String(), "keep-going,detach,0x100000"},
		{JobOption(jobOptions).String(), "keep-going,resume,report,lz4,detach,pack-all,no-verify,keep,driven,bash,manifest,secrets,keys,no-glob"},
		{AllFeatures.String(), "range,flush"}, {Features(0x80000000).String(), "0x80000000"},
		{JobOrphaned.String(), "orphaned"}, {JobCanceled.String(), "canceled"}, {JobState(0).String(), "0"}, {JobSuspended.String(), "suspended"}, {JobWaiting.String(), "waiting"}, {JobState(9).String(), "9"},
		{PhaseHalted.String(), "halted"}, {PhaseCommitted.String(), "committed"}, {Phase(0).String(), "0"}, {Phase(7).String(), "7"},
		{TaskRunning.String(), "running"}, {RunnerExec.String(), "exec"}, {Runner(0).String(), "none"}, {Runner(9).String(), "9"}, {VerdictOrphaned.String(), "orphaned"}, {EntryBucket.String(), "bucket"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
