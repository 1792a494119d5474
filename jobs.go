package s4

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// jobID returns a job's number as people see it: 16 hexadecimal digits.
func jobID(id uint64) string { return fmt.Sprintf("%016x", id) }

// parseJobID is the reverse of jobID.
func parseJobID(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || id == 0 {
		return 0, &Error{Op: "jobs", Kind: ErrBadRequest, Text: fmt.Sprintf("%q is no job: an id has 16 hexadecimal digits", s)}
	}
	return id, nil
}

// JobState is how far a job is.
type JobState string

// The states of a job. All but the first three are final, of which suspended can be
// left again.
const (
	JobRunning    JobState = "running"
	JobPublishing JobState = "publishing" // all tasks have ended, the output appears
	JobUnsettled  JobState = "unsettled"  // the client is gone, and the servers settle whether to publish
	JobDone       JobState = "done"       // the output is there
	JobPartly     JobState = "partly"     // as done, but for tasks that failed: KeepGoing
	JobFailed     JobState = "failed"
	JobCanceled   JobState = "canceled"
	JobSuspended  JobState = "suspended" // what is staged is kept: JobOptions.Keep, ResumeJob
)

// Over reports whether the state is final.
func (s JobState) Over() bool {
	return s == JobDone || s == JobPartly || s == JobFailed || s == JobCanceled || s == JobSuspended
}

// JobStatus is what the servers know of a job.
type JobStatus struct {
	ID      string
	State   JobState
	Verb    string
	Indir   string // with its scheme; empty if the tasks are those of a manifest
	Outdir  string // with its scheme; empty if the tasks write no keys
	Command string
	Started time.Time
	Ended   time.Time  // zero if it is not over; of a suspended job since when it is
	Keys    int64      // staged or written
	Bytes   int64      // in them
	Err     *Error     // why it failed, is done partly, was canceled or suspended, else nil: what its client was told
	Options JobOptions // those that servers know of, without files and functions
	JobProgress

	// Manifest says that the job has JobOptions.Manifest, and NeedsSecrets that it has
	// Secrets, without which it cannot be resumed.
	Manifest, NeedsSecrets bool

	// Listed says that the job has JobOptions.Keys, which servers do not tell.
	Listed bool

	// Resumable says that the job is suspended, and that no server that has answered
	// has lost its part: ResumeJob can go on with it. A suspended job that is not can
	// only be discarded.
	Resumable bool
}

// How long a server may be silent when it is asked about jobs, so that what the
// others tell does not wait for one that hangs; and how long it is not asked again
// after that, so that a command with several questions waits once.
const (
	jobsTimeout = 5 * time.Second
	jobsSilent  = 2 * time.Second
)

// askJobs is ask with that limit on every answer. The time that each takes does not
// count.
func (c *Client) askJobs(ctx context.Context, server int, m wire.Message, each func(wire.Message) (bool, error)) error {
	late := wire.Errorf(wire.CodeTimeout, "no answer within %v", jobsTimeout)
	silent := &c.silent[server]
	if last := silent.Load(); last != nil && time.Since(*last) < jobsSilent {
		return late
	}
	one, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(jobsTimeout, func() { cancel(late) })
	defer timer.Stop()
	err := c.ask(one, server, 0, m, func(m wire.Message) (bool, error) {
		timer.Stop()
		defer timer.Reset(jobsTimeout)
		return each(m)
	})
	if context.Cause(one) == late {
		now := time.Now()
		silent.Store(&now)
		err = late
	}
	return err
}

// JobInfo asks one server for its part of a job, for servers. ErrNoJob if it has none.
func (c *Client) JobInfo(ctx context.Context, server int, id uint64) (*wire.JobInfo, error) {
	info, err := c.jobOn(ctx, server, id)
	return info, c.opError(ctx, "jobs", "", server, err)
}

// JobSecrets asks one server for the secrets that it was sent for a job, for servers.
// ErrNoJob if it has none.
func (c *Client) JobSecrets(ctx context.Context, server int, id uint64) (*wire.Secrets, error) {
	var secrets *wire.Secrets
	err := c.askJobs(ctx, server, &wire.AskSecrets{Job: id}, func(m wire.Message) (ok bool, err error) {
		if secrets, ok = m.(*wire.Secrets); !ok {
			return true, unexpected(m)
		}
		return true, nil
	})
	return secrets, c.opError(ctx, "jobs", "", server, err)
}

// jobOn asks one server for a job.
func (c *Client) jobOn(ctx context.Context, server int, id uint64) (*wire.JobInfo, error) {
	var info *wire.JobInfo
	err := c.askJobs(ctx, server, &wire.Jobs{Job: id}, func(m wire.Message) (bool, error) {
		switch m := m.(type) {
		case *wire.JobInfo:
			info = m
			return false, nil
		case *wire.End:
			return true, nil
		}
		return true, unexpected(m)
	})
	if err == nil && info == nil {
		err = wire.Errorf(wire.CodeNoJob, "no job %016x here", id)
	}
	return info, err
}

// Jobs returns the jobs that run and that the servers remember, the last
// first. It returns those of the servers that answered also with an error.
func (c *Client) Jobs(ctx context.Context) ([]JobStatus, error) {
	n := len(c.cluster.Servers)
	lists := make([][]*wire.JobInfo, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := c.askJobs(ctx, i, &wire.Jobs{}, func(m wire.Message) (bool, error) {
				switch m := m.(type) {
				case *wire.JobInfo:
					lists[i] = append(lists[i], m)
					return false, nil
				case *wire.End:
					return true, nil
				}
				return true, unexpected(m)
			})
			errs[i] = c.opError(ctx, "jobs", "", i, err)
		})
	}
	wg.Wait()
	byID := make(map[uint64][]*wire.JobInfo)
	for i, list := range lists {
		for _, info := range list {
			if byID[info.Job.ID] == nil {
				byID[info.Job.ID] = make([]*wire.JobInfo, n)
			}
			byID[info.Job.ID][i] = info
		}
	}
	jobs := make([]JobStatus, 0, len(byID))
	for _, infos := range byID {
		jobs = append(jobs, c.mergeJob(infos, errs))
	}
	slices.SortFunc(jobs, func(a, b JobStatus) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	return jobs, firstError(errs)
}

// Job returns one job. ErrNoJob if no server knows it.
func (c *Client) Job(ctx context.Context, id string) (JobStatus, error) {
	num, err := parseJobID(id)
	if err != nil {
		return JobStatus{}, err
	}
	infos, errs := c.jobOnAll(ctx, num)
	return c.oneJob(id, infos, errs)
}

// oneJob merges what the servers have answered about one job.
func (c *Client) oneJob(id string, infos []*wire.JobInfo, errs []error) (JobStatus, error) {
	err := firstError(errs)
	if !slices.ContainsFunc(infos, func(info *wire.JobInfo) bool { return info != nil }) {
		if err == nil {
			err = &Error{Op: "jobs", Key: id, Kind: ErrNoJob}
		}
		return JobStatus{}, err
	}
	return c.mergeJob(infos, errs), err
}

// jobOnAll asks every server for a job. Of one that has no part of it both info and
// error are nil.
func (c *Client) jobOnAll(ctx context.Context, id uint64) ([]*wire.JobInfo, []error) {
	infos := make([]*wire.JobInfo, len(c.cluster.Servers))
	errs := make([]error, len(infos))
	var wg sync.WaitGroup
	for i := range infos {
		wg.Go(func() {
			info, err := c.jobOn(ctx, i, id)
			var we *wire.Error
			if errors.As(err, &we) && we.Code == wire.CodeNoJob {
				err = nil
			}
			infos[i], errs[i] = info, c.opError(ctx, "jobs", "", i, err)
		})
	}
	wg.Wait()
	return infos, errs
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// JobTasks calls each for every run of the job's tasks, until it returns an
// error, server by server: those that have ended in the order they did, then
// those that run. ErrNoJob if no server knows the job. A server that does not
// answer does not keep it from asking the others; the error comes at the end.
func (c *Client) JobTasks(ctx context.Context, id string, each func(JobTask) error) error {
	num, err := parseJobID(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	// All are asked at once, and each has at most one message ready until its turn
	// comes: what tasks wrote may be more than fits in memory.
	lists := make([]chan *wire.Tasks, len(c.cluster.Servers))
	errs := make([]error, len(lists)) // by server; after its list is closed
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range lists {
		lists[i] = make(chan *wire.Tasks)
		wg.Go(func() {
			defer close(lists[i])
			errs[i] = c.tasksOn(ctx, i, num, lists[i])
		})
	}
	known := false
	var first error
	for i := range lists {
		for m := range lists[i] {
			for k := range m.List {
				// The driver tells of tasks of servers that are lost.
				server := c.cluster.Servers[c.cluster.Place(m.List[k].Key)]
				if err := each(toTask(server, &m.List[k])); err != nil {
					return err
				}
			}
		}
		var we *wire.Error
		switch err := errs[i]; {
		case err == nil:
			known = true
		case errors.As(err, &we) && we.Code == wire.CodeNoJob:
		case first == nil:
			first = c.opError(ctx, "jobs", "", i, err)
		}
	}
	if !known && first == nil {
		return &Error{Op: "jobs", Key: id, Kind: ErrNoJob}
	}
	return first
}

// tasksOn asks one server for the tasks of a job.
func (c *Client) tasksOn(ctx context.Context, server int, id uint64, list chan<- *wire.Tasks) error {
	return c.askJobs(ctx, server, &wire.JobTasks{Job: id}, func(m wire.Message) (bool, error) {
		switch m := m.(type) {
		case *wire.Tasks:
			select {
			case list <- m:
				return false, nil
			case <-ctx.Done():
				return true, context.Cause(ctx)
			}
		case *wire.End:
			return true, nil
		}
		return true, unexpected(m)
	})
}

// CancelJob stops a job on all servers, whoever started it; one with JobOptions.Keep is
// suspended. ErrNoJob if it is not known, over or suspended, ErrCanceled if it is too
// late, because its output is being published.
func (c *Client) CancelJob(ctx context.Context, id string) error {
	return c.stopJob(ctx, id, false)
}

// stopJob cancels a job, or discards a suspended one.
func (c *Client) stopJob(ctx context.Context, id string, discard bool) error {
	num, err := parseJobID(id)
	if err != nil {
		return err
	}
	errs := make([]error, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			err := c.askJobs(ctx, i, &wire.Cancel{Job: num, Discard: discard}, func(m wire.Message) (bool, error) {
				if m.Type() != wire.TypeOK {
					return true, unexpected(m)
				}
				return true, nil
			})
			errs[i] = c.opError(ctx, "jobs", "", i, err)
		})
	}
	wg.Wait()
	stopped := slices.Contains(errs, nil)
	var other error // that keeps the job from being over there
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrNoJob) && (other == nil || isDown(other)) {
			other = err // one that answers knows more
		}
	}
	if stopped && (!discard || other == nil) {
		return nil // one is enough: it fails the job everywhere
	}
	if stopped || other != nil && !isDown(other) {
		return other // a suspended job has nobody to tell the others
	}
	return c.notStopped(ctx, id, other)
}

// notStopped returns why no server has stopped a job: it is over or suspended, or nobody
// knows it. down is why a server did not answer, or nil.
func (c *Client) notStopped(ctx context.Context, id string, down error) error {
	s, _ := c.Job(ctx, id) // as far as servers answer
	text := ""
	switch {
	case s.State == JobSuspended:
		text = "it is suspended"
	case s.State.Over():
		text = "it is over: " + string(s.State)
	case s.ID != "":
		text = "it is about to end"
	}
	e, ok := errors.AsType[*Error](down)
	if !ok {
		return &Error{Op: "jobs", Key: id, Kind: ErrNoJob, Text: text}
	}
	told := *e
	told.Key = id
	if s.ID == "" {
		told.Text = "no server that answers knows it: " + e.Text
	} else {
		told.Text = text + " on the other servers, but one does not answer: " + e.Text
	}
	return &told
}
