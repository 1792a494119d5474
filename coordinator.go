package s4

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Coordinator drives one job on all servers: every server through one phase
// before any enters the next. Submit makes one; Run or Discard ends it. It is
// what the map methods of Client are made of, and for servers, which drive
// detached jobs.
type Coordinator struct {
	client *Client
	job    *wire.Job
	opts   *JobOptions
	conns  []*jobConn // nil until connected

	life    context.Context // ends with Abandon
	abandon context.CancelFunc

	mu    sync.Mutex
	parts []jobPart // per server; guarded by mu
	keys  int64     // committed; guarded by mu
	bytes int64

	tasks sync.Mutex // held while opts.Task runs
}

// jobPart is one server's part of a job.
type jobPart struct {
	ready    wire.Ready
	progress wire.Progress
}

// coordinate returns a Coordinator that has not submitted its job.
func (c *Client) coordinate(m *wire.Job, opts *JobOptions) *Coordinator {
	n := len(c.cluster.Servers)
	co := &Coordinator{client: c, job: m, opts: opts, conns: make([]*jobConn, n), parts: make([]jobPart, n)}
	co.life, co.abandon = context.WithCancel(context.Background())
	return co
}

// Submit hands a job, whose ID is random, to all servers. None has begun with
// it when Submit returns; the caller must call Run or Discard then, unless
// there was an error, which is an *Error: ErrNotFound if there is no input.
func (c *Client) Submit(ctx context.Context, m *wire.Job) (*Coordinator, error) {
	co := c.coordinate(m, new(JobOptions))
	if err := co.submit(ctx); err != nil {
		co.Discard(reasonOf(ctx, err))
		return nil, err
	}
	return co, nil
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

// discardTimeout is how long a failed or canceled job waits for the servers
// to clean up; they do so anyway when the connection closes.
const discardTimeout = 5 * time.Second

// errDiscarded ends a phase that was waiting when the job was given up.
var errDiscarded = errors.New("job discarded")

// jobConn is the coordinator's connection to one server. One goroutine at a
// time reads from it: a phase's, and after the phases discard's.
type jobConn struct {
	*xfer.Conn
	giveUp func(why *wire.Error) // sends DISCARD, once; if no answer comes, closes
	acked  bool                  // the server has answered DISCARD; the reader's
	close  func()
}

func newJobConn(conn *xfer.Conn) *jobConn {
	j := &jobConn{Conn: conn}
	quiet := conn.KeepAlive(nil) // also while other servers are slower
	var (
		once  sync.Once
		timer *time.Timer
	)
	j.giveUp = func(why *wire.Error) {
		once.Do(func() {
			timer = time.AfterFunc(discardTimeout, func() { conn.Close() })
			_ = conn.Write(1, 0, &wire.Discard{Why: *why}) // if it is lost, the job is, too
		})
	}
	j.close = func() {
		quiet()
		conn.Close()
		j.giveUp(new(wire.Error)) // waits for one under way; a new one fails at once
		timer.Stop()
	}
	return j
}

// roundTrip is the package function roundTrip, and takes the answer to DISCARD.
func (j *jobConn) roundTrip(m wire.Message, each func(wire.Message) (bool, error)) error {
	return roundTrip(j.Conn, 0, m, func(m wire.Message) (bool, error) {
		if m.Type() == wire.TypeOK {
			j.acked = true
			return true, errDiscarded
		}
		return each(m)
	})
}

func (co *Coordinator) submit(ctx context.Context) error {
	if err := co.all(ctx, co.submitTo); err != nil {
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
	for _, phase := range []func(int) error{
		co.start,
		// Every output is at its server now, so each can see all conflicts.
		co.prepare,
	} {
		err := co.all(ctx, func(_ context.Context, i int) error { return phase(i) })
		if err != nil {
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
func (co *Coordinator) all(ctx context.Context, phase func(context.Context, int) error) error {
	var mu sync.Mutex
	first := errAbandoned // that failed a server's phase; guarded by mu
	server, err := co.client.eachServer(ctx, func(each context.Context, i int) error {
		stop := func() bool { return true }
		if conn := co.conns[i]; conn != nil {
			stop = context.AfterFunc(each, func() {
				mu.Lock()
				why := first
				mu.Unlock()
				conn.giveUp(reasonOf(ctx, why))
			})
		}
		err := phase(each, i)
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

func (co *Coordinator) submitTo(ctx context.Context, i int) error {
	d := co.client.cluster.Dialer(i, co.client.opts.IOTimeout)
	conn, err := d.DialPatiently(ctx, wire.ChannelControl)
	if err != nil {
		return err
	}
	j := newJobConn(conn)
	co.conns[i] = j
	context.AfterFunc(co.life, func() { conn.Close() })
	// Not by co.conns[i]: the function may run when close has cleared it.
	stop := context.AfterFunc(ctx, func() { j.giveUp(reasonOf(ctx, errAbandoned)) })
	defer stop()
	return j.roundTrip(co.job, func(m wire.Message) (bool, error) {
		ready, ok := m.(*wire.Ready)
		if !ok {
			return true, unexpected(m)
		}
		co.mu.Lock()
		co.parts[i].ready = *ready
		co.mu.Unlock()
		return true, nil
	})
}

func (co *Coordinator) start(i int) error {
	return co.conns[i].roundTrip(wire.Empty{T: wire.TypeStart}, func(m wire.Message) (bool, error) {
		switch m := m.(type) {
		case *wire.Progress:
			co.update(i, m)
			return false, nil
		case *wire.Tasks:
			co.ended(i, m)
			return false, nil
		case *wire.Done:
			co.update(i, &m.Progress)
			return true, nil
		}
		return true, unexpected(m)
	})
}

func (co *Coordinator) prepare(i int) error {
	return co.conns[i].roundTrip(wire.Empty{T: wire.TypePrepare}, func(m wire.Message) (bool, error) {
		if m.Type() != wire.TypePrepared {
			return true, unexpected(m)
		}
		return true, nil
	})
}

// commitAll commits on every server, whatever happens to the others.
func (co *Coordinator) commitAll(ctx context.Context) error {
	errs := make([]error, len(co.conns))
	var wg sync.WaitGroup
	for i := range co.conns {
		wg.Go(func() {
			err := co.commit(i)
			if err != nil && co.conns[i].Broken() {
				err = co.learn(i)
			}
			errs[i] = co.opError(ctx, i, err)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (co *Coordinator) commit(i int) error {
	return co.conns[i].roundTrip(wire.Empty{T: wire.TypeCommit}, func(m wire.Message) (bool, error) {
		done, ok := m.(*wire.Committed)
		if !ok {
			return true, unexpected(m)
		}
		co.committed(done.Keys, done.Bytes)
		return true, nil
	})
}

func (co *Coordinator) committed(keys, bytes uint64) {
	co.mu.Lock()
	co.keys += int64(keys)
	co.bytes += int64(bytes)
	co.mu.Unlock()
}

// How long a server that was lost after COMMIT may take to say how it ended,
// and how often it is asked.
const (
	learnTime  = 10 * time.Second
	learnEvery = 250 * time.Millisecond
)

// learn finds out what became of COMMIT on a server whose connection was lost.
// The servers settle it among themselves, soon unless the server is down.
func (co *Coordinator) learn(i int) error {
	ctx, cancel := context.WithTimeout(co.life, learnTime)
	defer cancel()
	for ctx.Err() == nil {
		info, err := co.client.jobOn(ctx, i, co.job.ID)
		switch {
		case err != nil: // it may come back
		case info.State == wire.JobCommitted:
			co.committed(info.Keys, info.Bytes)
			return nil
		case info.State == wire.JobCanceled, info.State == wire.JobFailed:
			return wire.Errorf(wire.CodeUnavailable, "the connection was lost before COMMIT arrived; the job was not published")
		}
		select {
		case <-ctx.Done():
		case <-time.After(learnEvery):
		}
	}
	return wire.Errorf(wire.CodeUnavailable, "lost while it published its part of the output of job %s, which it completes when it is back", jobID(co.job.ID))
}

// Discard gives the job up on all servers, tells them why, and waits until they
// have cleaned up, or have had a few seconds for it. After Run it does nothing.
func (co *Coordinator) Discard(why *wire.Error) {
	var wg sync.WaitGroup
	for _, conn := range co.conns {
		if conn == nil || conn.acked {
			continue
		}
		wg.Go(func() {
			conn.giveUp(why)
			for !conn.Broken() && !conn.acked {
				// What was under way may come first; errors, too.
				if _, m, err := conn.Read(); err == nil && m.Type() == wire.TypeOK {
					conn.acked = true
				}
			}
		})
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
	for _, conn := range co.conns {
		if conn != nil {
			conn.close()
		}
	}
	clear(co.conns)
	co.abandon() // its resources
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
	co.tasks.Lock()
	defer co.tasks.Unlock()
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

// detach hands a job to one of the servers, which drives it. It returns when
// the job runs.
func (c *Client) detach(ctx context.Context, m *wire.Job, files []*jobFile, opts *JobOptions) (JobProgress, error) {
	server := int(m.ID % uint64(len(c.cluster.Servers)))
	var ready wire.Ready
	told := false // the server is there, and tells of errors
	err := func() error {
		d := c.cluster.Dialer(server, c.opts.IOTimeout)
		conn, err := d.DialPatiently(ctx, wire.ChannelControl)
		if err != nil {
			return err
		}
		told = true
		j := newJobConn(conn)
		defer j.close()
		stop := context.AfterFunc(ctx, func() { j.giveUp(reasonOf(ctx, errAbandoned)) })
		defer stop()
		err = j.roundTrip(m, func(m wire.Message) (bool, error) {
			r, ok := m.(*wire.Ready)
			if !ok {
				return true, unexpected(m)
			}
			ready = *r
			return true, nil
		})
		if err != nil {
			return err
		}
		if err := c.sendFiles(ctx, m.ID, files); err != nil {
			return err
		}
		if opts.Started != nil {
			opts.Started(jobID(m.ID))
		}
		if !stop() {
			return context.Cause(ctx)
		}
		// The OK to START is that of a job that was handed over.
		err = j.roundTrip(wire.Empty{T: wire.TypeStart}, func(m wire.Message) (bool, error) {
			return true, unexpected(m)
		})
		if errors.Is(err, errDiscarded) {
			err = nil
		}
		return err
	}()
	var we *wire.Error
	if errors.As(err, &we) && (told || we.Code != wire.CodeUnavailable) {
		server = -1 // it tells what another has said or that it cannot reach it, or names itself
	}
	return sumParts([]jobPart{{ready: ready}}), c.opError(ctx, m.Verb.String(), Scheme+m.Indir, server, err)
}
