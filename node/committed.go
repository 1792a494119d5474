package node

import (
	"errors"
	"os"
	"sync"
	"time"
)

// committedTime is how long a running server remembers that it has published a job, so
// that a peer that was down meanwhile can learn of it. The time starts when the job
// is published, and anew when the server starts. A peer that comes back later than
// that takes the job for discarded.
const committedTime = 7 * 24 * time.Hour

// forgetAtOnce limits how many jobs are forgotten when one is published, because the
// client waits for it.
const forgetAtOnce = 100

// committedIndex is the index of _s4/committed, the jobs published here.
type committedIndex struct {
	mu   sync.Mutex
	jobs []committedJob // in the order they were published; guarded by mu
}

type committedJob struct {
	name  string
	since time.Time
}

// openCommitted reads the index.
func (s *store) openCommitted() error {
	list, err := readByAge(s.sysPath(committedDir, ""))
	for _, fi := range list {
		s.committedIndex.jobs = append(s.committedIndex.jobs, committedJob{fi.Name(), time.Now()})
	}
	return err
}

// keepCommitted remembers that a job was published here, whose decision is the
// file at path, and forgets what is too old.
func (s *store) keepCommitted(path, name string) error {
	if err := rename(path, s.sysPath(committedDir, name)); err != nil {
		return storeError(withoutPath(err), "")
	}
	m := &s.committedIndex
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, committedJob{name, time.Now()})
	s.forgetCommitted(committedTime)
	return nil
}

// forgetCommitted forgets some of the jobs that were published longer ago than
// age; the index is locked. They are many a week after a start, when all jobs that
// were there at the start grow too old at once. An error does not fail the job that is
// being published: the next one tries again.
func (s *store) forgetCommitted(age time.Duration) {
	m := &s.committedIndex
	for range min(forgetAtOnce, len(m.jobs)) {
		if time.Since(m.jobs[0].since) < age {
			return
		}
		err := os.Remove(s.sysPath(committedDir, m.jobs[0].name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		m.jobs = m.jobs[1:]
	}
}

// committed reports whether a job was published here.
func (s *store) committed(id uint64) (bool, error) {
	_, err := os.Lstat(s.sysPath(committedDir, jobName(id)))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
