package s4

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// JobOptions change how a job runs. The zero value is good.
type JobOptions struct {
	// KeepGoing runs all tasks whatever fails, and publishes what succeeded.
	// The job's error is ErrTaskFailed if any task failed, with how many in
	// JobResult.Failed; Task gets each. With a Task, a map or merge also does without a
	// server that is lost and not back within ServerWait: its tasks have failed.
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

	// ServerWait is how long the job waits for a server that is lost while it runs,
	// because it was killed and is started again, or the network is cut. 0 is not at
	// all: then the job fails at once. DefaultServerWait is what the command line has.
	ServerWait time.Duration

	// Keep suspends the job if it fails, if it is canceled or if its client is lost:
	// what is staged stays, and ResumeJob goes on from there. Without it, all of it is
	// discarded.
	Keep bool

	// Files go along with the job: they stand in $S4_ASSETS, which is read-only,
	// and those that are programs are on PATH.
	Files []JobFile

	// Compress is what to compress of what servers send each other: MapToN
	// only, as the others send nothing.
	Compress Compression

	// Batch lets one command do up to so many keys of its server: Map only. It finds
	// the paths of their files in its arguments and, one a line, on its standard input,
	// and in the file $S4_BATCH a line for each key: its name, the path of its file, and
	// the path to write its output to, with tabs between. 0 is one key for each command,
	// which reads it from standard input.
	Batch int

	// MoreIndirs are further directories of input, of which the same holds as of indir.
	// Two keys of one relative path cannot be written to one outdir, and no key may be below
	// two of them: either is ErrConflict, before any task runs. One without a key is
	// ErrNotFound. MapFromN groups the keys of all.
	MoreIndirs []string

	// Filter says which keys are meant, by their paths below indir, or what of that is
	// before the first segment with a glob. Nil means all.
	Filter *Filter

	// NoGlob takes * ? [ and \ in indir as they are.
	NoGlob bool

	// Keys, if not nil, lists the keys that are meant: paths below indir, or names with
	// their scheme of keys below it. indir is one directory without a glob then. One that
	// does not exist is ErrNotFound, before any task runs; one that is listed twice counts
	// once.
	Keys []string

	// Manifest has the tasks of a Map that reads no keys: indir is empty then. Each task
	// has its record as standard input, and with Batch in a file. Explain and a detached
	// job have it, too, and a resumed one has what it had.
	Manifest []ManifestTask

	// Secrets are variables of the tasks, NAME=VALUE, which the servers keep in memory
	// only: no file, log or status has them. On the way they are sealed with the
	// cluster's secret. If it has none, they are refused, unless SecretsInClear is set:
	// then whoever sees the network can read them. A server that is started again has
	// lost them, and gets them from the client, or of a detached job from the server that
	// drives it. If that has lost them, too, the job fails, or is suspended, and
	// ResumeJob takes them again. No task runs without.
	Secrets        []string
	SecretsInClear bool

	// NoVerifyInput lets the input of tasks be as good as the servers' disks. Without
	// it a server compares every key that a task reads with its checksum, which reads
	// all of it, also if the command does not. A task with damaged input has failed,
	// with ErrChecksum, and is not run again.
	NoVerifyInput bool

	// Bash has all tasks run by bash. Without it a server starts the programs itself of a
	// command that needs no shell, because it is a pipeline of programs with plain words.
	// What comes of it is the same, but sooner.
	Bash bool

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

// DefaultServerWait is a good JobOptions.ServerWait: the time of a restart.
const DefaultServerWait = 2 * time.Minute

// Verb is what a job does with its input keys.
type Verb string

// The verbs.
const (
	VerbMap      Verb = "map"        // one key to one key, see Client.Map
	VerbMapToN   Verb = "map-to-n"   // one key to any number, see Client.MapToN
	VerbMapFromN Verb = "map-from-n" // a group of keys to one, see Client.MapFromN
)

// wire returns the verb as it crosses the wire; 0, which no server takes, if there
// is no such verb.
func (v Verb) wire() wire.Verb {
	for _, w := range []wire.Verb{wire.VerbMap, wire.VerbMapToN, wire.VerbMapFromN} {
		if w.String() == string(v) {
			return w
		}
	}
	return 0
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

	// Suspended says that the job failed, or was given up, and is kept: see ResumeJob.
	Suspended bool
}

// Map runs cmd, a script of bash, for every key below indir, on the key's server and
// with the key as standard input; standard output becomes the key with the
// same relative path below outdir. indir and outdir are directories of keys;
// indir may hold globs. If outdir is empty, standard output is dropped, and no key is
// written: for commands that send elsewhere what they read.
//
// The job's output appears when all of it is there: on any error, and if ctx
// ends, there is none. No key below indir is ErrNotFound; a failing command is
// ErrTaskFailed, with its exit code and standard error in the *Error. opts
// may be nil.
func (c *Client) Map(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, VerbMap, indir, outdir, cmd, opts)
}

// MapToN is the shuffle: cmd reads a key, writes files into its working
// directory and prints their names, one a line; an empty line is none. Each
// becomes the key outdir/<the input's relative path>/<the file's basename>, on
// the server that basename belongs to. See Map for the rest.
func (c *Client) MapToN(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, VerbMapToN, indir, outdir, cmd, opts)
}

// MapFromN is the merge: the keys below indir are grouped by numeric prefix,
// or basename; cmd gets the paths of a group's files on standard input, one a
// line, sorted, and its standard output becomes outdir/<prefix>, with the
// suffix that all keys of the group share. See Map for the rest.
func (c *Client) MapFromN(ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	return c.run(ctx, VerbMapFromN, indir, outdir, cmd, opts)
}

// jobMessage checks the arguments of a job and makes its message.
func jobMessage(verb Verb, indir, outdir, cmd string, opts *JobOptions) (*wire.Job, error) {
	op, about := string(verb), cmp.Or(indir, outdir)
	in, err := jobIndir(verb, indir, opts)
	if err != nil {
		return nil, usage(op, about, err)
	}
	out, err := jobOutdir(verb, outdir, opts)
	if err != nil {
		return nil, usage(op, cmp.Or(outdir, indir), err)
	}
	if err := wire.CheckCommand(cmd); err != nil {
		return nil, usage(op, about, err)
	}
	m := &wire.Job{ID: randomID(), Verb: verb.wire(), Indir: in, Outdir: out, Command: cmd}
	if err := chooseInput(m, opts); err != nil {
		return nil, usage(op, about, err)
	}
	for bit, set := range map[wire.JobOption]bool{
		wire.JobKeepGoing: opts.KeepGoing,
		wire.JobResume:    opts.Resume,
		wire.JobReport:    opts.AllTasks,
		wire.JobLZ4:       verb == VerbMapToN && opts.Compress != CompressNever,
		wire.JobPackAll:   verb == VerbMapToN && opts.Compress == CompressAlways,
		wire.JobDetach:    opts.Detach,
		wire.JobKeep:      opts.Keep,
		wire.JobNoVerify:  opts.NoVerifyInput,
		wire.JobBash:      opts.Bash,
		wire.JobManifest:  opts.Manifest != nil,
		wire.JobSecrets:   len(opts.Secrets) > 0,
		wire.JobKeys:      opts.Keys != nil,
		wire.JobNoGlob:    opts.NoGlob,
	} {
		if set {
			m.Options |= bit
		}
	}
	if err := opts.check(); err != nil {
		return nil, usage(op, about, err)
	}
	if opts.Batch > 0 && verb != VerbMap {
		return nil, usage(op, about, wire.Errorf(wire.CodeBadRequest, "only a map takes batches of keys"))
	}
	m.Retries, m.Timeout, m.Wait = uint32(opts.Retries), uint64(opts.Timeout), uint64(opts.ServerWait)
	m.Batch = uint32(opts.Batch)
	if m.Durable() {
		m.Driver = randomID()
	}
	var codes []byte
	for _, code := range opts.OKExit {
		if code < 1 || code > 255 {
			return nil, usage(op, about, wire.Errorf(wire.CodeBadRequest, "%d is no exit code of a command that fails: those are 1 to 255", code))
		}
		codes = append(codes, byte(code))
	}
	slices.Sort(codes)
	m.OKExit = string(slices.Compact(codes)) // at most wire.MaxOKExit
	return m, nil
}

// jobDir returns a directory of a job with its scheme, or nothing if there is none.
func jobDir(dir string) string {
	if dir == "" {
		return ""
	}
	return Scheme + dir
}

// jobSubject is what the errors of a job are about.
func jobSubject(m *wire.Job) string { return jobDir(cmp.Or(m.Indir, m.Outdir)) }

// optionsOf is the reverse of jobMessage: the options that servers know of.
func optionsOf(m *wire.Job) JobOptions {
	has := func(o wire.JobOption) bool { return m.Options&o != 0 }
	o := JobOptions{
		KeepGoing:  has(wire.JobKeepGoing),
		Resume:     has(wire.JobResume),
		Retries:    int(m.Retries),
		Timeout:    time.Duration(m.Timeout),
		ServerWait: time.Duration(m.Wait),
		Keep:       has(wire.JobKeep),
		Detach:     has(wire.JobDetach) || has(wire.JobDriven),
		AllTasks:   has(wire.JobReport),
		Bash:       has(wire.JobBash),
		Batch:      int(m.Batch),
		NoGlob:     has(wire.JobNoGlob),

		NoVerifyInput: has(wire.JobNoVerify),
	}
	for _, dir := range m.More {
		o.MoreIndirs = append(o.MoreIndirs, Scheme+dir)
	}
	if rules, err := names.ParseRules(m.Rules); err == nil && rules != nil {
		o.Filter = &Filter{rules: rules}
	}
	for _, code := range []byte(m.OKExit) {
		o.OKExit = append(o.OKExit, int(code))
	}
	switch {
	case has(wire.JobPackAll):
		o.Compress = CompressAlways
	case m.Verb == wire.VerbMapToN && !has(wire.JobLZ4):
		o.Compress = CompressNever
	}
	return o
}

// check returns an error for options that no job can have.
func (o *JobOptions) check() error {
	if o.Retries < 0 || o.Retries > math.MaxInt32 || o.Timeout < 0 || o.ServerWait < 0 {
		return wire.Errorf(wire.CodeBadRequest, "retries and times cannot be negative, nor retries over %d", math.MaxInt32)
	}
	if o.Batch < 0 || o.Batch > math.MaxInt32 {
		return wire.Errorf(wire.CodeBadRequest, "a batch has from 1 to %d keys", math.MaxInt32)
	}
	return nil
}

func (c *Client) run(ctx context.Context, verb Verb, indir, outdir, cmd string, opts *JobOptions) (JobResult, error) {
	if opts == nil {
		opts = new(JobOptions)
	}
	m, err := jobMessage(verb, indir, outdir, cmd, opts)
	if err != nil {
		return JobResult{}, err
	}
	if err := c.findIndirs(ctx, m); err != nil {
		return JobResult{}, err
	}
	indir = cmp.Or(indir, outdir) // for errors
	parcel, err := c.newParcel(m, indir, opts)
	if err != nil {
		return JobResult{}, err
	}
	defer closeFiles(parcel.files)
	res := JobResult{ID: jobID(m.ID)}
	if opts.Detach {
		res.JobProgress, err = c.detach(ctx, m, parcel, opts)
		return res, c.notDir(ctx, verb, indir, err)
	}
	co := c.coordinate(m, opts)
	co.tasks, co.Secrets = parcel.manifest.source(), parcel.secrets
	err = co.submit(ctx)
	if err == nil {
		err = c.sendFiles(ctx, m.ID, parcel.files)
	}
	begun := err == nil
	if begun {
		if opts.Started != nil {
			opts.Started(res.ID)
		}
		err = co.Run(ctx)
	}
	res, err = c.jobResult(ctx, co, "", begun, err)
	return res, c.notDir(ctx, verb, indir, err)
}

// notDir wraps the error of a job. One for no input may have a better reason.
func (c *Client) notDir(ctx context.Context, verb Verb, indir string, err error) error {
	if errors.Is(err, ErrNotFound) && names.CheckKey(strings.TrimPrefix(indir, Scheme)) == nil {
		if _, serr := c.Stat(ctx, indir); serr == nil {
			err = &Error{Kind: ErrNotFound, Text: "it is a key, not a directory of keys: use eval, or a pattern for its name"}
		}
	}
	return c.opError(ctx, string(verb), indir, -1, err)
}

// JobProgress is how far a job is, over all servers.
type JobProgress struct {
	Tasks      int64 // commands to run
	Skipped    int64 // left out, because their output exists: JobOptions.Resume
	Done       int64 // of Tasks, ended well
	Failed     int64 // of Tasks, ended badly, after all retries
	Running    int64 // tasks running now
	InputKeys  int64 // of all tasks
	InputBytes int64 // of all tasks
	BytesIn    int64 // input of the tasks that ended
	BytesOut   int64 // output of the tasks that ended well
	Pushed     int64 // bytes of output that went to another server

	// Slowest is the index in the cluster of the server that is clearly behind
	// the others: its share of its tasks still to do is over 1.5 times that of
	// any other. Left is how many those are. -1 and 0 if there is none.
	Slowest int
	Left    int64

	// Lost is the index in the cluster of the server that the job waits for,
	// JobOptions.ServerWait, and LostSince when it was lost: of several the one that
	// was lost first. -1 and the zero time if there is none.
	Lost      int
	LostSince time.Time

	// Without is how many servers the job goes on without, because they did not come
	// back: JobOptions.KeepGoing.
	Without int
}

func sumParts(parts []jobPart) JobProgress {
	t := JobProgress{Slowest: -1, Lost: -1}
	var behind struct {
		share, next float64 // the largest shares of tasks still to do
		server      int
		left        int64
		of          int // servers with tasks
	}
	for i, p := range parts {
		t.Tasks += int64(p.ready.Tasks)
		t.Skipped += int64(p.ready.Skipped)
		t.InputKeys += int64(p.ready.Keys)
		t.InputBytes += int64(p.ready.Bytes)
		t.Done += int64(p.progress.Tasks)
		t.Failed += int64(p.progress.Failed)
		t.Running += int64(p.progress.Running)
		t.BytesIn += int64(p.progress.BytesIn)
		t.BytesOut += int64(p.progress.BytesOut)
		t.Pushed += int64(p.progress.Pushed)
		if p.gone {
			t.Without++
		} else if !p.lost.IsZero() && (t.Lost < 0 || p.lost.Before(t.LostSince)) {
			t.Lost, t.LostSince = i, p.lost
		}
		if p.ready.Tasks == 0 {
			continue
		}
		behind.of++
		left := int64(p.ready.Tasks) - int64(p.progress.Tasks) - int64(p.progress.Failed)
		switch share := float64(left) / float64(p.ready.Tasks); {
		case share > behind.share:
			behind.next, behind.share, behind.server, behind.left = behind.share, share, i, left
		case share > behind.next:
			behind.next = share
		}
	}
	if behind.of > 1 && behind.share > 1.5*behind.next {
		t.Slowest, t.Left = behind.server, behind.left
	}
	return t
}
