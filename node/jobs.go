package node

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/nathants/s4/wire"
)

// listJobs answers JOBS.
func (s *session) listJobs(tag uint16, m *wire.Jobs) error {
	n := s.node
	count := uint64(0)
	send := func(info *wire.JobInfo) error {
		count++
		return s.conn.Write(tag, 0, info)
	}
	if m.Job != 0 {
		info, err := n.jobInfo(m.Job)
		if err != nil {
			return s.reply(tag, err)
		}
		if err := send(info); err != nil {
			return err
		}
		return s.conn.Write(tag, 0, &wire.End{Count: count})
	}
	listed := make(map[uint64]bool) // a job may end between the two lists
	for _, j := range n.begun() {
		listed[j.id] = true
		if err := send(j.info()); err != nil {
			return err
		}
	}
	err := n.store.eachPast(func(info *wire.JobInfo) error {
		if listed[info.Job.ID] {
			return nil
		}
		return send(info)
	})
	if err != nil {
		return err
	}
	return s.conn.Write(tag, 0, &wire.End{Count: count})
}

// begun returns the jobs that are not over and have begun, or are suspended, the last
// first.
func (n *Node) begun() []*job {
	n.mu.Lock()
	list := slices.Collect(maps.Values(n.jobs))
	n.mu.Unlock()
	list = slices.DeleteFunc(list, func(j *job) bool { return !j.begun.Load() && !j.isSuspended() })
	slices.SortFunc(list, func(a, b *job) int {
		return cmp.Or(b.started.Compare(a.started), cmp.Compare(a.id, b.id))
	})
	return list
}

// jobInfo returns what is known of a job that runs or is over.
func (n *Node) jobInfo(id uint64) (*wire.JobInfo, error) {
	if j := n.job(id); j != nil && j.found.Load() {
		return j.info(), nil // also before START, which comes late in a detached job
	}
	info, err := n.store.pastInfo(id)
	if err != nil {
		return nil, noJob(id, err)
	}
	return info, nil
}

// jobTasks answers JOBTASKS.
func (s *session) jobTasks(tag uint16, m *wire.JobTasks) error {
	n := s.node
	count := uint64(0)
	var werr error
	send := func(t *wire.Tasks) error {
		count += uint64(len(t.List))
		werr = s.conn.Write(tag, 0, t)
		return werr
	}
	// List the running tasks before reading the log: one that ends in between is in
	// both, and not in neither.
	var running []wire.Task
	if j := n.job(m.Job); j != nil && j.begun.Load() {
		running = j.now.list()
		if log := j.log.Load(); log != nil {
			_ = log.flush() // its error is the job's
		}
	}
	frames := taskFrames{write: send} // the log of a durable job has a frame for each run
	err := n.readTasks(m.Job, func(t *wire.Tasks) error {
		running = slices.DeleteFunc(running, func(r wire.Task) bool {
			return slices.ContainsFunc(t.List, func(t wire.Task) bool { return t.Key == r.Key && t.Attempt == r.Attempt })
		})
		for _, t := range t.List {
			frames.add(t)
		}
		return werr
	})
	if err == nil {
		for _, t := range running {
			frames.add(t)
		}
		err = frames.flush()
	}
	switch {
	case werr != nil:
		return werr
	case errors.Is(err, wire.CodeChecksum):
		return s.reply(tag, wire.Errorf(wire.CodeInternal, "the job's log on this server's disk is damaged: runs of tasks are missing"))
	case err != nil:
		return s.reply(tag, err)
	}
	return s.conn.Write(tag, 0, &wire.End{Count: count})
}

// runningTasks answers RUNNING.
func (s *session) runningTasks(tag uint16, m *wire.Running) error {
	j := s.node.job(m.Job)
	if j == nil {
		if _, err := s.node.jobInfo(m.Job); err != nil {
			return s.reply(tag, err)
		}
		return s.conn.Write(tag, 0, &wire.End{}) // it is over
	}
	batch := taskFrames{write: func(t *wire.Tasks) error { return s.conn.Write(tag, 0, t) }}
	running := j.now.list()
	for _, t := range running {
		batch.add(t)
	}
	if err := batch.flush(); err != nil {
		return err
	}
	return s.conn.Write(tag, 0, &wire.End{Count: uint64(len(running))})
}

// readTasks passes on the log of a job that runs or is over.
func (n *Node) readTasks(id uint64, each func(*wire.Tasks) error) error {
	j := n.job(id)
	if j != nil && j.found.Load() {
		_, err := readLog(j.stage.path, each)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// It has not begun, or was moved to the history just now.
	}
	dir, err := n.store.past(id)
	if err == nil {
		_, err = readLog(dir, each)
	}
	if errors.Is(err, fs.ErrNotExist) && j != nil {
		return nil
	}
	if err != nil {
		return noJob(id, err)
	}
	return nil
}

// noJob returns the error for a job without a record, or one that cannot be read.
func noJob(id uint64, err error) error {
	e := wire.Errorf(wire.CodeNoJob, "no job %016x here", id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.Text += ": " + withoutPath(err).Error()
	}
	return e
}
