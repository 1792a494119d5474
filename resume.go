package s4

import (
	"context"
	"errors"

	"github.com/nathants/s4/wire"
)

// ResumeJob goes on with a suspended job: it runs the tasks that are missing, those
// whose input has changed and those that failed, and publishes the output of all at
// once, as Map does. Of opts it takes Retries, Timeout and ServerWait, in place of those
// the job had, Files, of which each replaces one of its name, Secrets, which no server has
// kept, and the functions. If opts is nil, the job has the options it had: see JobStatus.Options. If the job fails again,
// it is suspended again.
//
// ErrNoJob if the job is not known, over or not to be kept, ErrExists if it has a client,
// ErrCanceled if a server has no part of it any more, ErrBadRequest if the job has no
// file that one of Files would replace, or needs Secrets, or takes none.
func (c *Client) ResumeJob(ctx context.Context, id string, opts *JobOptions) (JobResult, error) {
	res := JobResult{ID: id}
	num, err := parseJobID(id)
	if err != nil {
		return res, err
	}
	m, term, why, err := c.suspendedJob(ctx, num)
	if err != nil {
		return res, c.opError(ctx, "jobs", id, -1, err)
	}
	verb, indir := m.Verb.String(), jobSubject(m)
	if opts == nil {
		old := optionsOf(m)
		opts = &old
	}
	if err := opts.check(); err != nil {
		return res, usage(verb, indir, err)
	}
	m.Retries, m.Timeout, m.Wait = uint32(opts.Retries), uint64(opts.Timeout), uint64(opts.ServerWait)
	m.Options = m.Options&^(wire.JobReport|wire.JobDriven) | wire.JobKeep
	if opts.AllTasks {
		m.Options |= wire.JobReport
	}
	secrets, err := c.sealSecrets(m, opts)
	if err == nil && (secrets != nil) != (m.Options&wire.JobSecrets != 0) {
		err = wire.Errorf(wire.CodeBadRequest, "the job has no secret variables")
		if secrets == nil {
			err = wire.Errorf(wire.CodeBadRequest, "the job needs its secret variables again, as servers keep them in memory only (--secret-env NAME)")
		}
	}
	if err != nil {
		return res, usage(verb, indir, err)
	}
	files, err := openFiles(opts.Files)
	if err != nil {
		return res, &Error{Op: verb, Key: indir, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	defer closeFiles(files)
	co := c.coordinate(m, opts)
	co.Secrets = secrets
	// The client that submitted it may try still, with higher and higher terms. It must
	// not come back behind this one.
	err = co.attach(ctx, wire.NextGeneration(term), true)
	if err == nil {
		if err = c.resendFiles(ctx, num, files); err != nil && why != nil {
			co.Discard(why) // nothing has run: it stays suspended for what it was
		}
	}
	if err == nil {
		if opts.Started != nil {
			opts.Started(id)
		}
		err = co.Run(ctx)
	}
	return c.jobResult(ctx, co, indir, true, err)
}

// resendFiles sends files that replace those of a suspended job. Servers refuse one that
// replaces none.
func (c *Client) resendFiles(ctx context.Context, job uint64, files []*jobFile) error {
	err := c.sendFiles(ctx, job, files)
	if e, ok := errors.AsType[*Error](err); ok {
		told := *e
		told.Op = "jobs"
		if e.Kind == ErrBadRequest {
			told.Key, told.Server = jobID(job), "" // every server says so
		}
		return &told
	}
	return err
}

// jobResult ends a job that has run, or was given up because of err. begun says that it
// may have begun on some server.
func (c *Client) jobResult(ctx context.Context, co *Coordinator, indir string, begun bool, err error) (JobResult, error) {
	if err != nil {
		co.Discard(reasonOf(ctx, err))
	}
	res := JobResult{ID: jobID(co.job.ID), Keys: co.keys, Bytes: co.bytes, JobProgress: co.total()}
	if err != nil && begun && co.job.Options&wire.JobKeep != 0 {
		res.Suspended = c.isKept(ctx, co.job.ID)
	}
	if err == nil && res.Failed > 0 {
		err = tasksFailed(res.Failed, res.Tasks)
	}
	return res, c.opError(ctx, co.job.Verb.String(), indir, -1, err)
}

// isKept reports whether a job that was given up is suspended anywhere, or may be so
// because no server answers: those that lose a job's client suspend it.
func (c *Client) isKept(ctx context.Context, id uint64) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobsTimeout)
	defer cancel()
	infos, errs := c.jobOnAll(ctx, id)
	silent := 0
	for i, info := range infos {
		if info != nil && info.State == wire.JobSuspended {
			return true
		}
		if errs[i] != nil {
			silent++
		}
	}
	return silent == len(infos)
}

// suspendedJob returns a job that can be resumed, the highest term it has had, and why
// it is suspended: nil if it only lost its client.
func (c *Client) suspendedJob(ctx context.Context, id uint64) (m *wire.Job, term uint64, why *wire.Error, err error) {
	infos, errs := c.jobOnAll(ctx, id)
	if err := firstError(errs); err != nil {
		return nil, 0, nil, err // the job takes all servers
	}
	s, err := c.oneJob(jobID(id), infos, errs)
	if err != nil {
		return nil, 0, nil, err
	}
	if s.State.Over() && s.State != JobSuspended {
		return nil, 0, nil, &Error{Kind: ErrNoJob, Text: "it is over: " + string(s.State)}
	}
	for i, info := range infos {
		switch {
		case info == nil:
			continue
		case info.Attached:
			return nil, 0, nil, &Error{Server: c.cluster.Servers[i].String(), Kind: ErrExists, Text: "it runs, and has a client"}
		}
		m, term = &info.Job, max(term, info.Term)
	}
	switch {
	case s.State == JobSuspended && !s.Resumable:
		return nil, 0, nil, &Error{Server: s.Err.Server, Kind: ErrCanceled, Text: s.Err.Text + ", so it can only be discarded"}
	case s.State == JobSuspended:
	case m.Options&wire.JobKeep == 0:
		return nil, 0, nil, &Error{Kind: ErrNoJob, Text: "it is not suspended, and is not to be kept"}
	}
	if s.Err != nil {
		why = s.Err.toWire()
	}
	return m, term, why, nil
}

// DiscardJob removes what a suspended job has staged, and stops one that runs. ErrNoJob if
// it is not known or over, ErrCanceled if it is too late. If a server does not answer,
// the error says so, and what the others have is removed.
func (c *Client) DiscardJob(ctx context.Context, id string) error {
	return c.stopJob(ctx, id, true)
}
