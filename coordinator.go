package s4

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nathants/s4/wire"
)

// Coordinator drives one job on all servers: every server through one phase
// before any enters the next. Submit or Attach makes one; Run or Discard ends it. It
// is what the map methods of Client are made of, and for servers, which drive
// detached jobs.
type Coordinator struct {
	// Missing, if not nil, is called for each task of a server that the job goes on
	// without, because it was lost and the job keeps going. It is called by one
	// goroutine at a time, before the other servers are prepared. It must be set before
	// Run.
	Missing func(wire.Task)

	// Secrets, if not nil, is sent to each server before START. It must be set before
	// Run.
	Secrets *wire.Secrets

	client  *Client
	job     *wire.Job
	opts    *JobOptions
	tasks   Tasks // of a manifest
	servers []*jobServer

	started  atomic.Bool // START was sent
	attached bool        // the job was submitted by another client
	lossOf   [][]string  // tasks by server, or nil: see planLoss

	life    context.Context // ends with Abandon
	abandon context.CancelFunc

	mu    sync.Mutex
	parts []jobPart // per server; guarded by mu
	keys  int64     // committed; guarded by mu
	bytes int64     // guarded by mu

	telling sync.Mutex // held while opts.Task runs
}

// Tasks yields the tasks that a manifest has for a server, in the order of their names.
// It may be called many times, by many goroutines at once. It is nil for a job without a
// manifest.
type Tasks func(server int) iter.Seq2[wire.Input, error]

// jobPart is one server's part of a job.
type jobPart struct {
	ready    wire.Ready
	progress wire.Progress
	lost     time.Time // since when it is waited for, or zero
	gone     bool      // the job does without it
}

// coordinate returns a Coordinator that has no connection yet.
func (c *Client) coordinate(m *wire.Job, opts *JobOptions) *Coordinator {
	n := len(c.cluster.Servers)
	co := &Coordinator{client: c, job: m, opts: opts, parts: make([]jobPart, n)}
	for i := range n {
		co.servers = append(co.servers, &jobServer{co: co, index: i, term: 1})
	}
	co.life, co.abandon = context.WithCancel(context.Background())
	return co
}

// randomID returns a random number for a job or a driver of one, which is not 0.
func randomID() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		if id := binary.BigEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}

// Submit hands a job, whose ID is random, to all servers, with its tasks if it has a
// manifest. None has begun with it when Submit returns; the caller must call Run or
// Discard then, unless there was an error, which is an *Error: ErrNotFound if there is no
// input. tasks must stay usable until Run has returned.
func (c *Client) Submit(ctx context.Context, m *wire.Job, tasks Tasks) (*Coordinator, error) {
	co := c.coordinate(m, new(JobOptions))
	co.tasks = tasks
	if err := co.submit(ctx); err != nil {
		co.Discard(reasonOf(ctx, err))
		return nil, err
	}
	return co, nil
}

// Attach takes up a job that was submitted before and has no client, at a term above
// all it has had. It waits for servers that are down as long as the job may. The
// caller must call Run or Discard then, unless there was an error, which is an *Error.
// again also takes up a suspended job, and runs tasks that failed for good. If life ends
// first, the job is left to others to take up. After any other error it is given up.
func (c *Client) Attach(life context.Context, m *wire.Job, term uint64, again bool) (*Coordinator, error) {
	co := c.coordinate(m, new(JobOptions))
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(life))
	defer cancel(nil)
	// Abandon comes first: with ctx alone, all servers would be told to discard the job.
	defer context.AfterFunc(life, func() {
		co.Abandon()
		cancel(context.Cause(life))
	})()
	if err := co.attach(ctx, term, again); err != nil {
		co.Discard(reasonOf(ctx, err))
		return nil, err
	}
	return co, nil
}

func (co *Coordinator) attach(ctx context.Context, term uint64, again bool) error {
	co.job.Driver, co.attached = randomID(), true
	err := co.all(ctx, func(ctx context.Context, s *jobServer) error {
		s.term, s.first, s.again = term-1, true, again
		return s.attach(ctx, nil)
	})
	if err != nil {
		return err
	}
	return co.adoptWithout(ctx)
}

// Begun reports whether the job has begun on any server.
func (co *Coordinator) Begun() bool {
	for _, s := range co.servers {
		if s.phase != wire.PhaseReady {
			return true
		}
	}
	return false
}

// Ready returns the sums of what the servers will do.
func (co *Coordinator) Ready() wire.Ready {
	co.mu.Lock()
	defer co.mu.Unlock()
	var sum wire.Ready
	for _, p := range co.parts {
		sum.Tasks += p.ready.Tasks
		sum.Bytes += p.ready.Bytes
		sum.Keys += p.ready.Keys
		sum.Skipped += p.ready.Skipped
	}
	return sum
}

func (co *Coordinator) submit(ctx context.Context) error {
	submit := func(ctx context.Context, s *jobServer) error { return s.submit(ctx) }
	if err := co.all(ctx, submit); err != nil {
		return err
	}
	if r := co.Ready(); r.Tasks == 0 && r.Skipped == 0 {
		return &Error{Kind: ErrNotFound, Text: "no key matches"}
	}
	return nil
}

// Run runs a job that has been submitted, to its end: its output is published
// on all servers, or, if there is an error, on none. The error is an *Error.
// If ctx ends before the output is all there and without conflict, the job is
// given up.
func (co *Coordinator) Run(ctx context.Context) error {
	if co.opts.Progress != nil {
		co.opts.Progress(co.total())
	}
	co.planLoss(ctx)
	co.started.Store(true)
	bring := func(phase wire.Phase) func(context.Context, *jobServer) error {
		return func(ctx context.Context, s *jobServer) error { return s.bring(ctx, phase) }
	}
	phases := []func(context.Context, *jobServer) error{bring(wire.PhaseDone)}
	if co.canLose() {
		phases = append(phases, func(ctx context.Context, s *jobServer) error { return s.confirm(ctx) })
	}
	// Every output is at its server then, so each can see all conflicts.
	phases = append(phases, bring(wire.PhasePrepared))
	for _, phase := range phases {
		if err := co.all(ctx, phase); err != nil {
			co.Discard(reasonOf(ctx, err))
			return err
		}
	}
	// From here on there is no way back: a caller who gives up now would
	// leave it to the servers to settle it.
	err := co.commitAll(context.WithoutCancel(ctx))
	co.close()
	return err
}

// all runs one phase on every server. If ctx ends or a server fails, the job
// is given up everywhere.
func (co *Coordinator) all(ctx context.Context, phase func(context.Context, *jobServer) error) error {
	var mu sync.Mutex
	first := errAbandoned // that failed a server's phase; guarded by mu
	server, err := co.client.eachServer(ctx, func(each context.Context, i int) error {
		s := co.servers[i]
		stop := context.AfterFunc(each, func() {
			mu.Lock()
			why := first
			mu.Unlock()
			s.giveUp(reasonOf(ctx, why))
		})
		err := phase(each, s)
		if !stop() || err != nil && each.Err() != nil {
			// DISCARD is on its way, whatever the answer was: a server that has
			// prepared takes it back, and so nobody must hear COMMIT.
			return context.Cause(each)
		}
		if err == nil {
			return nil
		}
		mu.Lock()
		if first == errAbandoned {
			first = co.opError(ctx, i, err)
		}
		mu.Unlock()
		return err
	})
	return co.opError(ctx, server, err)
}

// opError is Client.opError for this job.
func (co *Coordinator) opError(ctx context.Context, server int, err error) error {
	return co.client.opError(ctx, co.job.Verb.String(), "", server, err)
}

// errAbandoned is why a job ends whose client has gone for a reason of its own.
var errAbandoned error = wire.Errorf(wire.CodeCanceled, "the client gave up")

// reasonOf is an error as the servers keep it, as the reason why a job was
// given up.
func reasonOf(ctx context.Context, err error) *wire.Error {
	var we *wire.Error
	switch {
	case ctx.Err() != nil:
		return wire.Errorf(wire.CodeCanceled, "interrupted: %v", context.Cause(ctx))
	case errors.As(err, &we):
		return we
	}
	return wire.Errorf(wire.CodeInternal, "%v", err)
}

// commitAll commits on every server, whatever happens to the others.
func (co *Coordinator) commitAll(ctx context.Context) error {
	errs := make([]error, len(co.servers))
	var wg sync.WaitGroup
	for i, s := range co.servers {
		wg.Go(func() { errs[i] = co.opError(ctx, i, s.commit(ctx)) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (co *Coordinator) committed(keys, bytes uint64) {
	co.mu.Lock()
	co.keys += int64(keys)
	co.bytes += int64(bytes)
	co.mu.Unlock()
}

// Discard gives the job up on all servers, tells them why, and waits until they
// have cleaned up, or have had a few seconds for it. After Run it does nothing.
func (co *Coordinator) Discard(why *wire.Error) {
	var wg sync.WaitGroup
	for _, s := range co.servers {
		wg.Go(func() { s.discard(why) })
	}
	wg.Wait()
	co.close()
}

// Abandon ends Run, Discard and Submit at once, without waiting for any server:
// they settle among themselves what becomes of the job. It may be called at any
// time, by any goroutine.
func (co *Coordinator) Abandon() { co.abandon() }

// close closes the job's connections.
func (co *Coordinator) close() {
	for _, s := range co.servers {
		s.close()
	}
	co.abandon() // its resources
}

// keeps reports whether a job that is given up now is suspended: one that has begun
// anywhere, or was suspended before.
func (co *Coordinator) keeps() bool {
	return co.job.Options&wire.JobKeep != 0 && (co.attached || co.started.Load())
}

// waitFor notes since when a server is waited for; the zero time if it is not.
func (co *Coordinator) waitFor(i int, since time.Time) {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.parts[i].lost = since
	if co.opts.Progress != nil {
		co.opts.Progress(co.sum())
	}
}

func (co *Coordinator) update(i int, p *wire.Progress) {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.parts[i].progress = *p
	if co.opts.Progress != nil {
		co.opts.Progress(co.sum())
	}
}

// ended passes tasks that have ended on.
func (co *Coordinator) ended(i int, m *wire.Tasks) {
	if co.opts.Task == nil {
		return
	}
	co.telling.Lock()
	defer co.telling.Unlock()
	for k := range m.List {
		co.opts.Task(toTask(co.client.cluster.Servers[i], &m.List[k]))
	}
}

func (co *Coordinator) total() JobProgress {
	co.mu.Lock()
	defer co.mu.Unlock()
	return co.sum()
}

// sum adds up the servers' parts; co.mu is held.
func (co *Coordinator) sum() JobProgress {
	return sumParts(co.parts)
}

// tasksFailed is the error of a job that kept going.
func tasksFailed(failed, tasks int64) *Error {
	return &Error{Kind: ErrTaskFailed, Text: fmt.Sprintf("%d of %d tasks failed", failed, tasks)}
}
