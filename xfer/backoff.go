package xfer

import (
	"context"
	"math/rand/v2"
	"time"
)

// About the time between two tries of a Backoff, at first and at most.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 2 * time.Second
)

// Backoff is the pauses of whoever tries again what a server that is down, or slow, has
// not answered.
type Backoff struct {
	end   time.Time
	pause time.Duration
}

// NewBackoff returns a Backoff for tries that go on for limit from now.
func NewBackoff(limit time.Duration) *Backoff {
	return &Backoff{end: time.Now().Add(limit), pause: backoffFirst}
}

// Wait waits until it is time for another try, the last of which is at the limit. It
// reports false if that is over, or ctx has ended.
func (b *Backoff) Wait(ctx context.Context) bool {
	left := time.Until(b.end)
	if left <= 0 || ctx.Err() != nil {
		return false
	}
	wait := b.pause/2 + rand.N(b.pause) // random, so that those who wait do not all come at once
	b.pause = min(2*b.pause, backoffMost)
	timer := time.NewTimer(min(wait, left))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
