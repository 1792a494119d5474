package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nathants/s4"
)

// load is what clients do, from start to stop.
type load struct {
	*cluster
	ctx     context.Context // ends when no more operations shall begin
	stop    context.CancelFunc
	wg      sync.WaitGroup
	api     *s4.Client
	history *history
	work    *work
	clients clients

	mu     sync.Mutex
	epoch  int    // of the names in use; guarded by mu
	values uint64 // that were given out; guarded by mu
}

// The numbers of workers, and of the names that they share.
const (
	keyWorkers  = 8
	jobWorkers  = 3
	sharedNames = 5
)

// When a key has that many operations, or so many of unknown outcome, the workers go on
// to the next names, so that the search for an order stays short.
const (
	maxOps     = 150
	maxUnknown = 5
)

func newLoad(c *cluster) (*load, error) {
	l := &load{cluster: c, api: s4.NewClient(c.Cluster, &s4.Options{IOTimeout: timeout})}
	c.t.Cleanup(func() { l.api.Close() })
	l.history = &history{sizeOf: l.sizeOf, keys: make(map[string][]op)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	var err error
	l.work, err = l.newWork()
	return l, err
}

func (l *load) start() {
	for i := range keyWorkers {
		rng := l.random(fmt.Sprintf("worker %d", i))
		l.wg.Go(func() {
			for l.ctx.Err() == nil {
				l.operation(rng, i)
			}
		})
	}
	for i := range jobWorkers {
		rng := l.random(fmt.Sprintf("job worker %d", i))
		l.wg.Go(func() {
			for l.ctx.Err() == nil {
				l.job(rng)
			}
		})
	}
}

// wait waits for the last operations, when the faults are over.
func (l *load) wait() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.wg.Wait()
	}()
	select {
	case <-done:
		return
	case <-time.After(patience):
	}
	l.violation("clients hang; those that are processes have written their goroutines to the log")
	l.hung.Store(true)
	l.clients.signal(syscall.SIGQUIT)
	<-done
}

// epochDir is the directory of the names of an epoch.
func epochDir(epoch int) string { return fmt.Sprintf("s4://chaos/keys/%05d/", epoch) }

func epochKey(epoch, name int) string { return fmt.Sprintf("%s%03d", epochDir(epoch), name) }

// record adds an operation to the history.
func (l *load) record(epoch int, o op) {
	o.Return = l.now()
	l.count(string(o.Kind), string(o.Outcome))
	all, unknown := l.history.add(o)
	if all < maxOps && unknown < maxUnknown {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch == epoch {
		l.epoch++
	}
}

// operation does one thing with a key, or with all of the epoch.
func (l *load) operation(rng *rand.Rand, client int) {
	l.mu.Lock()
	epoch := l.epoch
	l.mu.Unlock()
	key := epochKey(epoch, rng.IntN(sharedNames))
	o := op{Client: client, Key: key, Call: l.now()}
	ctx := context.Background()
	what, cut := rng.IntN(100), time.Duration(rng.Int64N(int64(100*time.Millisecond)))
	if rng.IntN(50) == 0 { // this one is given up early
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cut)
		defer cancel()
	}
	var err error
	switch {
	case what < 35:
		o.Kind, o.Value = opPut, l.newValue()
		err = l.api.Put(ctx, key, bytes.NewReader(l.value(o.Value)), l.sizeOf(o.Value))
	case what < 65:
		o.Kind = opGet
		var b bytes.Buffer
		if _, err = l.api.Get(ctx, key, &b); err == nil {
			o.Value = l.valueOf(key, b.Bytes())
		}
	case what < 83:
		o.Kind = opRm
		_, err = l.api.Remove(ctx, key, false)
	case what < 88:
		o.Kind = opSee
		var obj s4.Object
		obj, err = l.api.Stat(ctx, key)
		o.Size = obj.Size
	case what < 98:
		l.list(ctx, epoch, o)
		return
	default:
		o.Kind = opClear
		_, err = l.api.Remove(ctx, epochDir(epoch), true)
		if errors.Is(err, s4.ErrNotFound) {
			err = nil
		}
		l.classify(&o, err)
		for i := range sharedNames {
			o.Key = epochKey(epoch, i)
			l.record(epoch, o)
		}
		return
	}
	l.classify(&o, err)
	l.record(epoch, o)
}

// list looks for all keys of an epoch.
func (l *load) list(ctx context.Context, epoch int, o op) {
	o.Kind = opSee
	sizes := make(map[string]int64)
	for e, err := range l.api.List(ctx, epochDir(epoch), true) {
		if err != nil {
			l.classify(&o, err)
			l.record(epoch, o)
			return
		}
		sizes[s4.Scheme+e.Name] = e.Size
	}
	for i := range sharedNames {
		o.Key = epochKey(epoch, i)
		var there bool
		o.Outcome = outAbsent
		if o.Size, there = sizes[o.Key]; there {
			o.Outcome = outOK
		}
		delete(sizes, o.Key)
		l.record(epoch, o)
	}
	for key := range sizes {
		l.violation("a list of %s has %s, which nobody put", epochDir(epoch), key)
	}
}

// classify sets the outcome of an operation that has ended with err.
func (l *load) classify(o *op, err error) {
	if err == nil {
		o.Outcome = outOK
		return
	}
	o.Why = err.Error()
	var e *s4.Error
	if !errors.As(err, &e) {
		l.violation("%s %s: an error of no kind: %v", o.Kind, o.Key, err)
		o.Outcome = outUnknown
		return
	}
	code := e.KindName()
	l.count("errors of "+string(o.Kind), code)
	o.Outcome = outUnknown
	switch code {
	case "exists":
		if o.Kind == opPut {
			o.Outcome = outExists
			return
		}
	case "not-found":
		if o.Kind != opPut {
			o.Outcome = outAbsent
			return
		}
	case "no-space", "storage":
		if o.Kind == opPut {
			o.Outcome = outFailed
		}
		return
	case "unavailable", "timeout", "canceled", "shutting-down":
		return
	}
	l.violation("%s %s: an error that has no cause: %v", o.Kind, o.Key, err)
}

// newValue gives out a value.
func (l *load) newValue() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values++
	return l.values
}

func (l *load) random64(value uint64) *rand.Rand { return rand.New(rand.NewPCG(l.seed, value)) }

// sizeOf returns how many bytes a value has: mostly few, some a megabyte.
func (l *load) sizeOf(value uint64) int64 {
	rng := l.random64(value)
	return 32 + rng.Int64N(1<<(4+rng.IntN(17)))
}

// value returns the bytes of a value: its number, and noise that follows from it.
func (l *load) value(value uint64) []byte {
	b := fmt.Appendf(nil, "%d\n", value)
	rng := l.random64(value)
	for size := int(l.sizeOf(value)); len(b) < size; {
		x := rng.Uint64()
		for i := 0; i < 64 && len(b) < size; i += 8 {
			b = append(b, byte(x>>i))
		}
	}
	return b
}

// valueOf returns the value that the bytes of a key are.
func (l *load) valueOf(key string, b []byte) uint64 {
	line, _, _ := strings.Cut(string(b[:min(len(b), 32)]), "\n")
	value, err := strconv.ParseUint(line, 10, 64)
	if err != nil || value == 0 || !bytes.Equal(b, l.value(value)) {
		l.violation("%s has %d bytes that nobody put: %.40q", key, len(b), b)
	}
	return value
}
