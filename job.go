package s4

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"s4/wire"
	"s4/xfer"
)

// JobProgress is how far a job is, over all servers.
type JobProgress struct {
	Tasks    int64 // commands to run
	Done     int64 // of them, ended well
	BytesIn  int64 // input of the tasks that are done
	BytesOut int64 // output of the tasks that are done
	Pushed   int64 // bytes of output that went to another server
}

// JobOptions change how a job runs. The zero value is good.
type JobOptions struct {
	// Progress, if not nil, is called when the job has started and whenever
	// it gets on, by one goroutine at a time.
	Progress func(JobProgress)
}

// JobResult is what a job did.
type JobResult struct {
	ID    string // 16 hexadecimal digits
	Keys  int64  // keys written
	Bytes int64  // in them
	JobProgress
}

// Map runs cmd with bash for every key below indir, on the key's server and
// with the key as standard input; standard output becomes the key with the
// same relative path below outdir. indir and outdir are directories of keys;
// indir may hold globs.
//
// The job's output appears when all of it is there: on any error, and if ctx
// ends, there is none. No key below indir is ErrNotFound; a failing command is
// ErrTaskFailed, with its exit code and standard error in the *Error. opts
// may be nil.
func (c *Client) Map(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, wire.VerbMap, indir, outdir, cmd, opts)
}

// MapToN is the shuffle: cmd reads a key, writes files into its working
// directory and prints their names, one a line. Each becomes the key
// outdir/<the input's relative path>/<the file's basename>, on the server that
// basename belongs to. See Map for the rest.
func (c *Client) MapToN(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, wire.VerbMapToN, indir, outdir, cmd, opts)
}

// MapFromN is the merge: the keys below indir are grouped by numeric prefix,
// or basename; cmd gets the paths of a group's files on standard input, one a
// line, sorted, and its standard output becomes outdir/<prefix>, with the
// suffix that all keys of the group share. See Map for the rest.
func (c *Client) MapFromN(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, wire.VerbMapFromN, indir, outdir, cmd, opts)
}

// discardTimeout is how long a failed or canceled job waits for the servers
// to clean up; they do so anyway when the connection closes.
const discardTimeout = 5 * time.Second

// coordinator drives one job on all servers: every server through one phase
// before any enters the next.
type coordinator struct {
	client   *Client
	job      *wire.Job
	conns    []*jobConn // nil until connected
	progress func(JobProgress)

	mu    sync.Mutex
	parts []JobProgress // per server; guarded by mu
	keys  int64         // committed; guarded by mu
	bytes int64
}

func (c *Client) run(ctx context.Context, verb wire.Verb, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	op := verb.String()
	in, err := trimScheme(indir)
	if err == nil {
		_, err = ParseGlob(in)
	}
	if err != nil {
		return JobResult{}, usage(op, indir, err)
	}
	out, err := parseDir(outdir)
	if err != nil {
		return JobResult{}, usage(op, outdir, err)
	}
	if strings.ContainsAny(out, globMeta) {
		return JobResult{}, usage(op, outdir, badKey(out, "has a pattern, which only INDIR may have"))
	}
	if err := CheckCommand(cmd); err != nil {
		return JobResult{}, usage(op, indir, err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	n := len(c.cluster.Servers)
	co := &coordinator{
		client: c,
		job:    &wire.Job{ID: binary.BigEndian.Uint64(id[:]), Verb: verb, Indir: in, Outdir: out, Command: cmd},
		conns:  make([]*jobConn, n),
		parts:  make([]JobProgress, n),
	}
	if opts != nil {
		co.progress = opts.Progress
	}
	server, err := co.phases(ctx)
	if err != nil {
		co.discard()
	}
	co.close()
	if errors.Is(err, ErrNotFound) && CheckKey(in) == nil {
		if _, serr := c.Stat(ctx, indir); serr == nil {
			err = &Error{Code: wire.CodeNotFound, Text: "it is a key, not a directory of keys: use eval, or a pattern for its name"}
		}
	}
	res := JobResult{ID: fmt.Sprintf("%016x", co.job.ID), Keys: co.keys, Bytes: co.bytes, JobProgress: co.total()}
	return res, c.wrap(ctx, op, indir, server, err)
}

// errDiscarded ends a phase that was waiting when the job was given up.
var errDiscarded = errors.New("job discarded")

// jobConn is the coordinator's connection to one server. One goroutine at a
// time reads from it: a phase's, and after the phases discard's.
type jobConn struct {
	*xfer.Conn
	giveUp func() // sends DISCARD, once; if no answer comes, closes
	acked  bool   // the server has answered DISCARD; the reader's
	close  func()
}

func newJobConn(conn *xfer.Conn) *jobConn {
	j := &jobConn{Conn: conn}
	quiet := conn.KeepAlive(nil) // also while other servers are slower
	var timer *time.Timer
	j.giveUp = sync.OnceFunc(func() {
		timer = time.AfterFunc(discardTimeout, func() { conn.Close() })
		_ = conn.Write(1, 0, wire.Empty{T: wire.TypeDiscard}) // if it is lost, the job is, too
	})
	j.close = func() {
		quiet()
		conn.Close()
		j.giveUp() // waits for one under way; a new one fails at once
		timer.Stop()
	}
	return j
}

// exchange is the package's exchange, but for the answer to DISCARD.
func (j *jobConn) exchange(m wire.Message, each func(wire.Message) (bool, error)) error {
	return exchange(j.Conn, 0, m, func(m wire.Message) (bool, error) {
		if m.Type() == wire.TypeOK {
			j.acked = true
			return true, errDiscarded
		}
		return each(m)
	})
}

// phases runs the job. It returns the server whose error it is, or -1.
func (co *coordinator) phases(ctx context.Context) (int, error) {
	if server, err := co.all(ctx, co.submit); err != nil {
		return server, err
	}
	total := co.total()
	if total.Tasks == 0 {
		return -1, &Error{Code: wire.CodeNotFound, Text: "no key matches"}
	}
	if co.progress != nil {
		co.progress(total)
	}
	if server, err := co.all(ctx, co.start); err != nil {
		return server, err
	}
	// Every output is at its server now, so each can see all conflicts.
	if server, err := co.all(ctx, co.prepare); err != nil {
		return server, err
	}
	// From here on there is no way back: a caller who gives up now would
	// leave it half done.
	return co.commitAll()
}

// commitAll commits on every server, whatever happens to the others.
func (co *coordinator) commitAll() (int, error) {
	errs := make([]error, len(co.conns))
	var wg sync.WaitGroup
	for i := range co.conns {
		wg.Go(func() { errs[i] = co.commit(i) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return i, err
		}
	}
	return -1, nil
}

// all runs one phase on every server. If ctx ends or a server fails, the job
// is given up everywhere.
func (co *coordinator) all(ctx context.Context, phase func(context.Context, int) error) (int, error) {
	return co.client.eachServer(ctx, func(ctx context.Context, i int) error {
		if conn := co.conns[i]; conn != nil {
			stop := context.AfterFunc(ctx, conn.giveUp)
			defer stop()
		}
		if err := phase(ctx, i); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		return nil
	})
}

func (co *coordinator) submit(ctx context.Context, i int) error {
	conn, err := Dial(ctx, co.client.cluster, i, wire.ChannelControl, co.client.opts.IOTimeout, nil)
	if err != nil {
		return err
	}
	co.conns[i] = newJobConn(conn)
	stop := context.AfterFunc(ctx, co.conns[i].giveUp)
	defer stop()
	return co.conns[i].exchange(co.job, func(m wire.Message) (bool, error) {
		ready, ok := m.(*wire.Ready)
		if !ok {
			return true, unexpected(m)
		}
		co.parts[i].Tasks = int64(ready.Tasks)
		return true, nil
	})
}

func (co *coordinator) start(_ context.Context, i int) error {
	return co.conns[i].exchange(wire.Empty{T: wire.TypeStart}, func(m wire.Message) (bool, error) {
		switch m := m.(type) {
		case *wire.Progress:
			co.update(i, m)
			return false, nil
		case *wire.Done:
			co.update(i, &m.Progress)
			return true, nil
		}
		return true, unexpected(m)
	})
}

func (co *coordinator) prepare(_ context.Context, i int) error {
	return co.conns[i].exchange(wire.Empty{T: wire.TypePrepare}, func(m wire.Message) (bool, error) {
		if m.Type() != wire.TypePrepared {
			return true, unexpected(m)
		}
		return true, nil
	})
}

func (co *coordinator) commit(i int) error {
	err := co.conns[i].exchange(wire.Empty{T: wire.TypeCommit}, func(m wire.Message) (bool, error) {
		done, ok := m.(*wire.Committed)
		if !ok {
			return true, unexpected(m)
		}
		co.mu.Lock()
		co.keys += int64(done.Keys)
		co.bytes += int64(done.Bytes)
		co.mu.Unlock()
		return true, nil
	})
	var we *wire.Error
	if err != nil && !errors.As(err, &we) {
		err = wire.Errorf(wire.CodeUnavailable, "lost while it published its part of the job's output, some of which may be missing")
	}
	return err
}

// discard tells the servers to give the job up and waits until they have
// cleaned up, or have had discardTimeout for it.
func (co *coordinator) discard() {
	var wg sync.WaitGroup
	for _, conn := range co.conns {
		if conn == nil || conn.acked {
			continue
		}
		wg.Go(func() {
			conn.giveUp()
			for !conn.Broken() && !conn.acked {
				// What was under way may come first; errors, too.
				if _, m, err := conn.Read(); err == nil && m.Type() == wire.TypeOK {
					conn.acked = true
				}
			}
		})
	}
	wg.Wait()
}

// close closes the job's connections.
func (co *coordinator) close() {
	for _, conn := range co.conns {
		if conn != nil {
			conn.close()
		}
	}
}

func (co *coordinator) update(i int, p *wire.Progress) {
	co.mu.Lock()
	defer co.mu.Unlock()
	part := &co.parts[i]
	part.Done = int64(p.Tasks)
	part.BytesIn = int64(p.BytesIn)
	part.BytesOut = int64(p.BytesOut)
	part.Pushed = int64(p.Pushed)
	if co.progress != nil {
		co.progress(co.sum())
	}
}

func (co *coordinator) total() JobProgress {
	co.mu.Lock()
	defer co.mu.Unlock()
	return co.sum()
}

// sum adds up the servers' parts; co.mu is held.
func (co *coordinator) sum() JobProgress {
	var t JobProgress
	for _, p := range co.parts {
		t.Tasks += p.Tasks
		t.Done += p.Done
		t.BytesIn += p.BytesIn
		t.BytesOut += p.BytesOut
		t.Pushed += p.Pushed
	}
	return t
}
