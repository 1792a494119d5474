package s4

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nathants/s4/wire"
)

// JobOptions change how a job runs. The zero value is good.
type JobOptions struct {
	// KeepGoing runs all tasks whatever fails, and publishes what succeeded.
	// The job's error is ErrTaskFailed if any task failed, with how many in
	// JobResult.Failed; Task gets each.
	KeepGoing bool

	// Resume runs only the tasks whose output does not exist yet. For a
	// shuffle an input counts that an earlier job with the same outdir has
	// finished, also if it wrote no file.
	Resume bool

	// Retries is how often a task that failed is run again.
	Retries int

	// Timeout is how long a task may run; 0 is for ever.
	Timeout time.Duration

	// OKExit lists exit codes, from 1 to 255, with which a task has not
	// failed.
	OKExit []int

	// Files go along with the job: they stand in $S4_ASSETS, which is read-only,
	// and those that are programs are on PATH.
	Files []JobFile

	// Compress is what to compress of what servers send each other: MapToN
	// only, as the others send nothing.
	Compress Compression

	// Detach returns as soon as the job runs, with its ID in the JobResult;
	// one of the servers then carries it to its end. See WaitJob.
	Detach bool

	// Started, if not nil, is called when all servers have accepted the job.
	Started func(id string)

	// Progress, if not nil, is called when the job has started and whenever
	// it gets on, by one goroutine at a time.
	Progress func(JobProgress)

	// Task, if not nil, is called for every task that has ended, by one
	// goroutine at a time, in the order they ended on each server. Without
	// AllTasks it gets those that failed.
	Task     func(JobTask)
	AllTasks bool
}

// JobFile is a local file that goes along with a job.
type JobFile struct {
	Path string
	Exec bool // it is a program whatever its mode says
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
// directory and prints their names, one a line; an empty line is none. Each
// becomes the key outdir/<the input's relative path>/<the file's basename>, on
// the server that basename belongs to. See Map for the rest.
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

// jobMessage checks the arguments of a job and makes its message.
func jobMessage(verb wire.Verb, indir, outdir, cmd string, opts *JobOptions) (*wire.Job, error) {
	op := verb.String()
	in, err := trimScheme(indir)
	in = strings.TrimSuffix(in, "/")
	if err == nil {
		_, err = ParseGlob(in)
	}
	if err != nil {
		return nil, usage(op, indir, err)
	}
	out, err := parseDir(outdir)
	if err != nil {
		return nil, usage(op, outdir, err)
	}
	if strings.ContainsAny(out, globMeta) {
		return nil, usage(op, outdir, badKey(out, "has a pattern, which only INDIR may have"))
	}
	if err := CheckCommand(cmd); err != nil {
		return nil, usage(op, indir, err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	m := &wire.Job{ID: binary.BigEndian.Uint64(id[:]), Verb: verb, Indir: in, Outdir: out, Command: cmd}
	for bit, set := range map[wire.JobOption]bool{
		wire.JobKeepGoing: opts.KeepGoing,
		wire.JobResume:    opts.Resume,
		wire.JobReport:    opts.AllTasks,
		wire.JobLZ4:       verb == wire.VerbMapToN && opts.Compress != CompressNever,
		wire.JobPackAll:   verb == wire.VerbMapToN && opts.Compress == CompressAlways,
		wire.JobDetach:    opts.Detach,
	} {
		if set {
			m.Options |= bit
		}
	}
	if opts.Retries < 0 || opts.Retries > math.MaxInt32 || opts.Timeout < 0 {
		return nil, usage(op, indir, wire.Errorf(wire.CodeBadRequest, "retries and timeout cannot be negative, nor retries over %d", math.MaxInt32))
	}
	m.Retries, m.Timeout = uint32(opts.Retries), uint64(opts.Timeout)
	var codes []byte
	for _, code := range opts.OKExit {
		if code < 1 || code > 255 {
			return nil, usage(op, indir, wire.Errorf(wire.CodeBadRequest, "%d is no exit code of a command that fails: those are 1 to 255", code))
		}
		codes = append(codes, byte(code))
	}
	slices.Sort(codes)
	m.OKExit = string(slices.Compact(codes)) // at most wire.MaxOKExit
	return m, nil
}

func (c *Client) run(ctx context.Context, verb wire.Verb, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	if opts == nil {
		opts = new(JobOptions)
	}
	m, err := jobMessage(verb, indir, outdir, cmd, opts)
	if err != nil {
		return JobResult{}, err
	}
	files, err := openFiles(opts.Files)
	if err != nil {
		return JobResult{}, &Error{Op: verb.String(), Key: indir, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	defer closeFiles(files)
	res := JobResult{ID: JobID(m.ID)}
	if opts.Detach {
		res.JobProgress, err = c.detach(ctx, m, files, opts)
		return res, c.notDir(ctx, verb, indir, err)
	}
	co := c.coordinate(m, opts)
	err = co.submit(ctx)
	if err == nil {
		err = c.sendFiles(ctx, m.ID, files)
	}
	if err == nil {
		if opts.Started != nil {
			opts.Started(res.ID)
		}
		err = co.Run(ctx)
	}
	if err != nil {
		co.Discard(reasonOf(ctx, err))
	}
	res.Keys, res.Bytes, res.JobProgress = co.keys, co.bytes, co.total()
	if err == nil && res.Failed > 0 {
		err = tasksFailed(res.Failed, res.Tasks)
	}
	return res, c.notDir(ctx, verb, indir, err)
}

// notDir wraps the error of a job. One for no input may have a better reason.
func (c *Client) notDir(ctx context.Context, verb wire.Verb, indir string, err error) error {
	if errors.Is(err, ErrNotFound) && CheckKey(strings.TrimPrefix(indir, Scheme)) == nil {
		if _, serr := c.Stat(ctx, indir); serr == nil {
			err = &Error{Kind: ErrNotFound, Text: "it is a key, not a directory of keys: use eval, or a pattern for its name"}
		}
	}
	return c.wrap(ctx, verb.String(), indir, -1, err)
}
