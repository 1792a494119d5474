package cli

import (
	"context"
	"io"
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

// leaving is a reader of standard input whose Read returns when ctx ends. The one that
// blocks then, in a pipe that nobody writes to, is left alone, as by unlessStuck.
type leaving struct {
	ctx context.Context
	r   io.Reader
}

func (l *leaving) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	var (
		n    int
		err  error
		buf  = make([]byte, len(p)) // for p is the caller's when it is left alone
		done = make(chan struct{})
	)
	go func() {
		n, err = l.r.Read(buf)
		close(done)
	}()
	select {
	case <-done:
		return copy(p, buf[:n]), err
	case <-l.ctx.Done():
		return 0, context.Cause(l.ctx)
	}
}
