package node

import "github.com/nathants/s4/wire"

// info returns what is known of the job. It reports a final state only when the job's
// files and record agree with it: see end.
func (j *job) info() *wire.JobInfo {
	if info := j.final.Load(); info != nil {
		return info
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.infoLocked()
}

// infoLocked is info of a job that is not over, with j.mu held.
func (j *job) infoLocked() *wire.JobInfo {
	info := &wire.JobInfo{
		Job:      *j.msg,
		State:    j.state,
		Started:  j.started.UnixNano(),
		Ready:    j.ready(),
		Progress: j.progress(),
		Keys:     uint64(max(0, j.stage.keys.Load())), // before an ATTACH it may be too low
		Bytes:    uint64(max(0, j.stage.bytes.Load())),
		Term:     j.link.term,
		Attached: j.link.client != nil,
		Missing:  j.lost,
		Without:  j.without,
	}
	info.Job.Driver = j.link.driver
	switch j.state {
	case wire.JobCommitted:
		info.State = wire.JobPrepared
	case wire.JobFailed, wire.JobCanceled:
		info.State = wire.JobRunning
	case wire.JobSuspended:
		info.Why = j.why
		if info.Ended = j.ended.UnixNano(); j.ended.IsZero() {
			info.State, info.Ended = wire.JobRunning, 0 // not on disk yet
		}
	}
	return info
}

func (j *job) ready() wire.Ready {
	switch {
	case j.saved != nil:
		return *j.saved
	case !j.found.Load():
		return wire.Ready{} // tasks is being filled
	}
	return j.tasks.ready()
}

func (j *job) progress() wire.Progress {
	return wire.Progress{
		Tasks:    j.done.Load(),
		Failed:   j.failed.Load(),
		Running:  uint64(j.now.count()),
		BytesIn:  j.bytesIn.Load(),
		BytesOut: j.bytesOut.Load(),
		Pushed:   j.pushed.Load(),
	}
}
