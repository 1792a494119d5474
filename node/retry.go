package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nathants/s4/wire"
)

// About the time between two tries of a retry, at first and at most.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// retry says when to try again what a server that is down or slow did not answer.
type retry struct {
	end   time.Time
	pause time.Duration // 0 before the first try
}

// newRetry returns a retry that goes on for wait nanoseconds from now.
func newRetry(wait uint64) *retry {
	return &retry{end: time.Now().Add(time.Duration(min(wait, 1<<62)))}
}

// next waits until it is time to try, at once the first time. It reports false if it
// is too late, or ctx has ended.
func (r *retry) next(ctx context.Context) bool {
	if r.pause == 0 {
		r.pause = retryFirst
		return ctx.Err() == nil
	}
	if time.Now().After(r.end) {
		return false
	}
	wait := r.pause/2 + rand.N(r.pause) // random, so that those who wait do not all come at once
	r.pause = min(2*r.pause, retryMost)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// isLost reports whether err means that a server is down, was lost, or is about to
// stop, and not that it has refused what it was asked.
func isLost(err error) bool {
	var we *wire.Error
	if !errors.As(err, &we) {
		return true // of the network
	}
	switch we.Code {
	case wire.CodeUnavailable, wire.CodeShuttingDown, wire.CodeTimeout:
		return true
	}
	return false
}
