package s4

import (
	"context"
	"errors"
	"sync"

	"github.com/nathants/s4/wire"
)

// ResumeJob goes on with a suspended job: it runs the tasks that are missing, those
// whose input has changed and those that failed, and publishes the output of all at
// once, as Map does. Of opts it takes Retries and Timeout, in place of those the job
// had, ServerWait, Files, which replace files of the same name, and the functions. opts
// may be nil. If the job fails again, it is suspended again.
//
// ErrNoJob if no server knows the job, ErrExists if it has a client, ErrCanceled if it
// is over, or a server has discarded its part.
func (c *Client) ResumeJob(ctx context.Context, id string, opts *JobOptions) (JobResult, error) {
	if opts == nil {
		opts = new(JobOptions)
	}
	res := JobResult{ID: id}
	num, err := parseJobID(id)
	if err != nil {
		return res, err
	}
	m, term, err := c.suspendedJob(ctx, num)
	if err != nil {
		return res, c.opError(ctx, "jobs", id, -1, err)
	}
	verb, indir := m.Verb.String(), Scheme+m.Indir
	if err := opts.check(); err != nil {
		return res, usage(verb, indir, err)
	}
	m.Retries, m.Timeout, m.Wait = uint32(opts.Retries), uint64(opts.Timeout), uint64(opts.ServerWait)
	m.Options = m.Options&^(wire.JobReport|wire.JobDriven) | wire.JobKeep
	if opts.AllTasks {
		m.Options |= wire.JobReport
	}
	files, err := openFiles(opts.Files)
	if err != nil {
		return res, &Error{Op: verb, Key: indir, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	defer closeFiles(files)
	co := c.coordinate(m, opts)
	err = co.attach(ctx, term+1, true)
	if err == nil {
		err = c.sendFiles(ctx, num, files)
	}
	if err == nil {
		if opts.Started != nil {
			opts.Started(id)
		}
		err = co.Run(ctx)
	}
	return c.jobResult(ctx, co, indir, err)
}

// jobResult ends a job that has run, or was given up because of err.
func (c *Client) jobResult(ctx context.Context, co *Coordinator, indir string, err error) (JobResult, error) {
	if err != nil {
		co.Discard(reasonOf(ctx, err))
	}
	res := JobResult{ID: jobID(co.job.ID), Keys: co.keys, Bytes: co.bytes, JobProgress: co.total()}
	if err == nil && res.Failed > 0 {
		err = tasksFailed(res.Failed, res.Tasks)
	}
	return res, c.opError(ctx, co.job.Verb.String(), indir, -1, err)
}

// suspendedJob returns a job that can be resumed, and the highest term it has had.
func (c *Client) suspendedJob(ctx context.Context, id uint64) (*wire.Job, uint64, error) {
	infos := make([]*wire.JobInfo, len(c.cluster.Servers))
	errs := make([]error, len(infos))
	var wg sync.WaitGroup
	for i := range infos {
		wg.Go(func() { infos[i], errs[i] = c.jobOn(ctx, i, id) })
	}
	wg.Wait()
	var (
		m     *wire.Job
		term  uint64
		none  int // servers that do not know it
		first = -1
	)
	for i, info := range infos {
		at := c.cluster.Servers[i].String()
		switch {
		case errors.Is(errs[i], ErrNoJob):
			none++
			first = i
			continue
		case errs[i] != nil:
			return nil, 0, c.opError(ctx, "jobs", jobID(id), i, errs[i])
		case info.Attached:
			return nil, 0, &Error{Server: at, Kind: ErrExists, Text: "it has a client, and runs"}
		case info.State == wire.JobCommitted, info.State == wire.JobFailed, info.State == wire.JobCanceled:
			return nil, 0, &Error{Server: at, Kind: ErrCanceled, Text: "it is over: " + info.State.String()}
		case info.Job.Options&wire.JobKeep == 0:
			return nil, 0, &Error{Server: at, Kind: ErrCanceled, Text: "it is not suspended"}
		}
		m, term = &info.Job, max(term, info.Term)
	}
	switch {
	case m == nil:
		return nil, 0, &Error{Kind: ErrNoJob}
	case none > 0:
		return nil, 0, &Error{Server: c.cluster.Servers[first].String(), Kind: ErrCanceled, Text: "the server has no part of it any more: it can only be discarded"}
	}
	return m, term, nil
}

// DiscardJob removes what a suspended job has staged. ErrNoJob if no server has it.
func (c *Client) DiscardJob(ctx context.Context, id string) error {
	return c.stopJob(ctx, id, true)
}
