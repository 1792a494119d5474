package s4

import (
	"cmp"
	"slices"
	"time"

	"github.com/nathants/s4/wire"
)

// mergeJob makes one status of what each server knows; nil of one that knows
// nothing, or that did not answer: then it has an error.
func (c *Client) mergeJob(infos []*wire.JobInfo, errs []error) JobStatus {
	var s JobStatus
	parts := make([]jobPart, len(infos))
	gone := goneOf(infos)
	states := make(map[wire.JobState]*Error) // and the first reason for it
	none := -1                               // a server that has no part of it
	var missing uint64                       // tasks of servers that the job goes on without
	for i, info := range infos {
		if info == nil {
			if errs[i] == nil {
				none = i
			}
			continue
		}
		if gone[i] {
			parts[i] = jobPart{ready: info.Ready, progress: wire.Progress{Failed: info.Ready.Tasks}}
		} else {
			if why := c.whyEnded(i, info); states[why.state] == nil {
				states[why.state] = why.err
			}
			parts[i] = jobPart{ready: info.Ready, progress: info.Progress}
			missing = max(missing, info.Missing)
			s.Keys += int64(info.Keys)
			s.Bytes += int64(info.Bytes)
		}
		started := time.Unix(0, info.Started)
		if s.Started.IsZero() || started.Before(s.Started) {
			s.Started = started
		}
		if ended := time.Unix(0, info.Ended); info.Ended != 0 && ended.After(s.Ended) {
			s.Ended = ended
		}
		if m := &info.Job; s.ID == "" || m.Verb != 0 { // 0: a record that was damaged
			s.ID, s.Verb, s.Indir, s.Outdir, s.Command = jobID(m.ID), m.Verb.String(), jobDir(m.Indir), jobDir(m.Outdir), m.Command
			s.Options = optionsOf(m)
			s.Listed = m.Options&wire.JobKeys != 0
			s.Manifest, s.NeedsSecrets = m.Options&wire.JobManifest != 0, m.Options&wire.JobSecrets != 0
		}
	}
	for i := range parts {
		if !gone[i] {
			continue
		}
		if missing > 0 { // the driver has counted its tasks
			parts[i] = jobPart{}
		}
		parts[i].gone = true
	}
	if missing > 0 && slices.Contains(gone, true) {
		parts = append(parts, jobPart{ready: wire.Ready{Tasks: missing}, progress: wire.Progress{Failed: missing}})
	}
	s.JobProgress = sumParts(parts)
	s.State, s.Err = mergeState(states)
	if s.State == JobFailed {
		s.Keys, s.Bytes = 0, 0 // of what was staged
	}
	if s.State == JobDone && s.Failed > 0 {
		s.State, s.Err = JobPartly, tasksFailed(s.Failed, s.Tasks)
	}
	if i := slices.Index(gone, true); s.State == JobDone && i >= 0 && infos[i] == nil && !s.Options.Detach {
		// Only the client that ran the job knows what that one had to do.
		s.State, s.Err = JobPartly, &Error{Server: c.cluster.Servers[i].String(), Kind: ErrUnavailable, Text: "the job went on without this server, which did not come back in time"}
	}
	if s.State == JobSuspended {
		switch lost := lostPart(states); {
		case lost != nil:
			s.Err = lost
		case none >= 0:
			s.Err = &Error{Server: c.cluster.Servers[none].String(), Kind: ErrCanceled, Text: "the server has no part of it any more"}
		default:
			s.Resumable = true
		}
	}
	if s.Err != nil {
		s.Err.Op = s.Verb
		if s.Err.Key == "" {
			s.Err.Key = cmp.Or(s.Indir, s.Outdir)
		}
	}
	if !s.State.Over() {
		s.Ended = time.Time{}
	}
	return s
}

// lostPart returns why a server has no part any more of a job that others have
// suspended, or nil if that is not so.
func lostPart(states map[wire.JobState]*Error) *Error {
	for _, over := range []wire.JobState{wire.JobFailed, wire.JobCanceled} {
		if why := states[over]; why != nil {
			why.Text = "the server has no part of it any more: " + why.Text
			return why
		}
	}
	return nil
}

// ended is how a job is on one server, and why.
type ended struct {
	state wire.JobState
	err   *Error
}

// whyEnded returns how server i says that a job is. One that was told to discard
// it, because it failed elsewhere, says that it failed.
func (c *Client) whyEnded(i int, info *wire.JobInfo) ended {
	e := ended{info.State, new(Error)}
	if info.Why.Code != 0 {
		e.err = fromWire(&info.Why)
	}
	switch {
	case info.State == wire.JobFailed && e.err.Server == "":
		e.err.Server = c.cluster.Servers[i].String()
	case info.State == wire.JobCanceled && info.Why.Code != 0 && info.Why.Code != wire.CodeCanceled:
		e.state = wire.JobFailed
	}
	return e
}

// goneOf reports of each server whether the job was prepared without it, because it was
// lost.
func goneOf(infos []*wire.JobInfo) []bool {
	gone := make([]bool, len(infos))
	for _, info := range infos {
		if info == nil {
			continue
		}
		for _, server := range info.Without {
			if int(server) < len(gone) {
				gone[server] = true
			}
		}
	}
	return gone
}

// mergeState makes one state of those that servers are in, and tells why. What
// is under way anywhere is under way. A job that is suspended or over anywhere has no
// client that comes back, so a server that was started again waits for it in vain.
func mergeState(states map[wire.JobState]*Error) (JobState, *Error) {
	if states[wire.JobCommitted] != nil {
		for _, s := range []wire.JobState{wire.JobFailed, wire.JobCanceled, wire.JobSuspended} {
			if why := states[s]; why != nil {
				why.Text = "it was published on some servers and not on others: " + why.Text
				return JobFailed, why
			}
		}
	}
	for _, s := range []struct {
		on   wire.JobState
		here JobState
	}{
		{wire.JobRunning, JobRunning},
		{wire.JobOrphaned, JobUnsettled},
		{wire.JobPrepared, JobPublishing},
		{wire.JobSuspended, JobSuspended},
		{wire.JobCommitted, JobDone},
		{wire.JobFailed, JobFailed},
		{wire.JobCanceled, JobCanceled},
		{wire.JobWaiting, JobRunning},
	} {
		why := states[s.on]
		switch {
		case why == nil:
			continue
		case s.here == JobFailed || s.here == JobCanceled || s.here == JobSuspended:
			return s.here, why
		}
		return s.here, nil
	}
	return JobFailed, &Error{Kind: wire.CodeUnsupported, Text: "it is in a state that this version does not know"}
}
