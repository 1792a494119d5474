package cli

import (
	"context"
	"time"
)

// leaveTime is how long a verb may go on after Ctrl-C to end by itself.
const leaveTime = 200 * time.Millisecond

// unlessStuck runs f, which writes to a standard stream. A Write to a pipe that nobody
// reads may block for ever, and f with it. If ctx ends, f has a moment to end, too,
// and is left alone then: the process is about to exit, and what f sets may not be
// looked at.
func unlessStuck(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(leaveTime):
		return context.Cause(ctx)
	}
}
