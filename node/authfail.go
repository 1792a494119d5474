package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

const (
	// authDelay is how long a client with a wrong proof waits for its answer, so that one
	// that tries in a loop is no burden.
	authDelay = time.Second
	// maxAuthDelayed is how many such clients wait at once: each holds a descriptor. Others
	// are told at once.
	maxAuthDelayed = 16
	// authLogPause is the time between two lines of the log about clients that were
	// refused, so that they cannot fill a disk with it.
	authLogPause = time.Second
)

// authFailures slows down the clients that fail to authenticate. It logs them, and with
// them all others that a server with a secret refuses.
type authFailures struct {
	log     *zap.Logger
	delayed chan struct{} // holds one for each that waits

	mu       sync.Mutex
	last     time.Time // when a line was logged
	unlogged int       // failures since then
}

func newAuthFailures(log *zap.Logger) *authFailures {
	return &authFailures{log: log, delayed: make(chan struct{}, maxAuthDelayed)}
}

// slow returns after authDelay, when ctx ends, or at once if too many wait already.
func (a *authFailures) slow(ctx context.Context) {
	select {
	case a.delayed <- struct{}{}:
	default:
		return
	}
	defer func() { <-a.delayed }()
	select {
	case <-time.After(authDelay):
	case <-ctx.Done():
	}
}

// add logs a failure, or counts it for the next line if it comes too soon.
func (a *authFailures) add(now time.Time, peer string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.last) < authLogPause {
		a.unlogged++
		return
	}
	log, what := a.log.Warn, "not authenticated"
	if !errors.Is(err, wire.CodeUnauthenticated) {
		log, what = a.log.Info, "refused"
	}
	log(what, zap.String("peer", peer), zap.Error(err), zap.Int("more", a.unlogged))
	a.last, a.unlogged = now, 0
}

// flush logs how many failures have no line yet.
func (a *authFailures) flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unlogged > 0 {
		a.log.Warn("refused", zap.Int("more", a.unlogged))
		a.unlogged = 0
	}
}
