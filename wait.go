package s4

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nathants/s4/wire"
)

// WaitOptions change how WaitJob waits.
type WaitOptions struct {
	// ServerWait is how long WaitJob waits for servers that do not answer: while none
	// does, and when the job is done on those that do and the others may have yet to
	// publish their part. 0 is not at all.
	ServerWait time.Duration

	// Progress, if not nil, is called whenever WaitJob looks, by its goroutine. While
	// nothing is known of the job, only the fields Lost and LostSince are set.
	Progress func(JobStatus)
}

// How often WaitJob looks: at first, and at most.
const (
	waitFirst = 100 * time.Millisecond
	waitMost  = time.Second
)

// WaitJob waits until a job is over, or suspended, and returns how it ended. A job that
// failed is no error of WaitJob's: see JobStatus.State. If it is done, so is every
// server: its output is there, all of it. If opts is nil, ServerWait is
// DefaultServerWait.
//
// WaitJob goes on while some servers do not answer, which may come back to finish their
// part: JobProgress.Lost is such a server. Of a job that is not to be published, that is
// one that is to remove its part yet. ErrNoJob if no server knows the job, or one
// has no part of a job that is done, because it has lost its disk.
func (c *Client) WaitJob(ctx context.Context, id string, opts *WaitOptions) (JobStatus, error) {
	num, err := parseJobID(id)
	if err != nil {
		return JobStatus{}, err
	}
	if opts == nil {
		opts = &WaitOptions{ServerWait: DefaultServerWait}
	}
	n := len(c.cluster.Servers)
	seen := lastSeen{client: c, id: id, infos: make([]*wire.JobInfo, n), lost: make([]time.Time, n)}
	for wait := waitFirst; ; wait = min(wait*5/4, waitMost) {
		seen.add(c.jobOnAll(ctx, num))
		if ctx.Err() != nil {
			return seen.status(), c.opError(ctx, "jobs", "", -1, context.Cause(ctx))
		}
		if s, over, err := seen.outcome(opts.ServerWait); over || err != nil {
			return s, err
		}
		if opts.Progress != nil {
			opts.Progress(seen.status())
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// lastSeen is what servers have said of a job when they answered last.
type lastSeen struct {
	client *Client
	id     string
	infos  []*wire.JobInfo // nil of one that has not known it yet
	lost   []time.Time     // since when a server does not answer, or zero

	now  []*wire.JobInfo // the last answers alone
	errs []error         // of them
}

// add takes note of the last answers.
func (l *lastSeen) add(infos []*wire.JobInfo, errs []error) {
	now := time.Now()
	for i, info := range infos {
		switch {
		case errs[i] == nil:
			l.lost[i] = time.Time{}
		case l.lost[i].IsZero():
			l.lost[i] = now
		}
		if info != nil {
			l.infos[i] = info
		} else if was := l.infos[i]; errs[i] != nil && was != nil && was.State == wire.JobCommitted {
			infos[i], errs[i] = was, nil // that is final
		}
	}
	l.now, l.errs = infos, errs
}

// outcome reports whether the job is over, or why not to wait for it any longer.
// patience is the time for servers that do not answer.
func (l *lastSeen) outcome(patience time.Duration) (s JobStatus, over bool, err error) {
	s, err = l.client.oneJob(l.id, l.now, l.errs)
	if err != nil && !isDown(err) {
		return s, false, err
	}
	switch {
	case s.ID == "":
		return s, false, l.unknown(err, patience)
	case !s.State.Over():
		return s, false, nil
	case s.State != JobDone && s.State != JobPartly:
		l.setLost(&s) // which is to do the same when it is back
		return s, true, nil
	}
	gone := goneOf(l.now)
	for i, info := range l.now {
		if info != nil || gone[i] {
			continue
		}
		e := &Error{Op: "jobs", Key: l.id, Server: l.client.cluster.Servers[i].String()}
		switch cause, lost := errors.AsType[*Error](l.errs[i]); {
		case !lost:
			e.Kind, e.Text = ErrNoJob, "it is done on the other servers, but this one has no part of it: some of the output may be lost"
		case time.Since(l.lost[i]) < patience:
			return s, false, nil
		default:
			e.Kind, e.Text = cause.Kind, "it is done on the other servers, but this one has yet to publish its part, or to say so: "+cause.Text
		}
		return s, false, e
	}
	return s, true, nil
}

// isDown reports whether an error says that a server does not answer.
func isDown(err error) bool { return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTimeout) }

// unknown returns why not to go on when no server that answers knows the job, or nil.
// cause is why some do not answer.
func (l *lastSeen) unknown(cause error, patience time.Duration) error {
	known := slices.ContainsFunc(l.infos, func(info *wire.JobInfo) bool { return info != nil })
	if !known && slices.ContainsFunc(l.lost, time.Time.IsZero) {
		return cause // a job takes all servers, so that one would know it
	}
	since := slices.MaxFunc(l.lost, time.Time.Compare) // when the last of them was lost
	e, ok := errors.AsType[*Error](cause)
	switch {
	case time.Since(since) < patience:
		return nil
	case !ok || patience == 0:
		return cause
	}
	told := *e
	told.Text = fmt.Sprintf("no server has told of it within %v: %s", patience, e.Text)
	return &told
}

// status merges what servers have said.
func (l *lastSeen) status() JobStatus {
	s := l.client.mergeJob(l.infos, make([]error, len(l.infos)))
	if s.ID == "" {
		s = JobStatus{JobProgress: JobProgress{Slowest: -1, Lost: -1}}
	}
	l.setLost(&s)
	return s
}

// setLost sets which server does not answer that may have something to do yet.
func (l *lastSeen) setLost(s *JobStatus) {
	gone := goneOf(l.infos)
	for i, since := range l.lost {
		if info := l.infos[i]; gone[i] || info != nil && info.State == wire.JobCommitted {
			continue
		}
		if !since.IsZero() && (s.Lost < 0 || since.Before(s.LostSince)) {
			s.Lost, s.LostSince = i, since
		}
	}
}
