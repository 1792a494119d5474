package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"s4/wire"
)

// maxHistory is how many jobs that are over a server remembers.
const maxHistory = 200

// committedTime is how long a server that runs remembers that it has published
// a job, so that a peer that was down meanwhile can learn it. The time counts
// from the publishing or the server's last start. Nothing else ends it: a peer
// that comes back later takes the job for discarded.
const committedTime = 7 * 24 * time.Hour

// history is the index of _s4/history and _s4/committed.
type history struct {
	mu        sync.Mutex
	ids       []uint64       // of jobs that are over, in the order they ended; guarded by mu
	committed []committedJob // in the order they were published; guarded by mu
}

type committedJob struct {
	name  string
	since time.Time
}

func (s *store) sysPath(dir, name string) string { return filepath.Join(s.path, sysDir, dir, name) }

// openHistory reads the index and drops what is too old.
func (s *store) openHistory() error {
	list, err := readByAge(s.sysPath(historyDir, ""))
	if err != nil {
		return err
	}
	for _, fi := range list {
		if id, err := strconv.ParseUint(fi.Name(), 16, 64); err == nil {
			s.history.ids = append(s.history.ids, id)
		}
	}
	list, err = readByAge(s.sysPath(committedDir, ""))
	for _, fi := range list {
		s.history.committed = append(s.history.committed, committedJob{fi.Name(), time.Now()})
	}
	return err
}

// keepCommitted remembers that a job was published here, whose decision is the
// file at path, and forgets what is too old.
func (s *store) keepCommitted(path, name string) error {
	if err := os.Rename(path, s.sysPath(committedDir, name)); err != nil {
		return storeError(plain(err), "")
	}
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.committed = append(h.committed, committedJob{name, time.Now()})
	for time.Since(h.committed[0].since) > committedTime {
		err := os.Remove(s.sysPath(committedDir, h.committed[0].name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return storeError(plain(err), "")
		}
		h.committed = h.committed[1:]
	}
	return nil
}

// readByAge lists a directory, oldest first.
func readByAge(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []fs.FileInfo
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, fi)
	}
	slices.SortStableFunc(list, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return list, nil
}

// committed reports whether a job was published here.
func (s *store) committed(id uint64) (bool, error) {
	_, err := os.Lstat(s.sysPath(committedDir, jobName(id)))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// keepRecord moves the record of a job that is over to the history, removes the
// job's directory, in which nothing else is left, and drops the oldest record. A
// job without a record, which never began, leaves nothing.
//
// The directory itself stays where it is until it is removed: a process that a
// task has left behind is known by its working directory, which follows renames.
func (s *store) keepRecord(dir string) error {
	name := filepath.Base(dir)
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, infoFile)); err != nil {
		return plain(removeAll(dir))
	}
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	past := s.sysPath(historyDir, name)
	err = removeAll(past) // of a job whose client used its id again
	if err == nil {
		err = os.Mkdir(past, 0o755)
	}
	for _, file := range []string{infoFile, logFile} {
		if err == nil {
			err = os.Rename(filepath.Join(dir, file), filepath.Join(past, file))
		}
	}
	if err == nil || errors.Is(err, os.ErrNotExist) { // without a log
		err = removeAll(dir)
	}
	if err != nil {
		return plain(err)
	}
	s.history.ids = slices.DeleteFunc(s.history.ids, func(i uint64) bool { return i == id })
	s.history.ids = append(s.history.ids, id)
	for len(s.history.ids) > maxHistory {
		old := s.history.ids[0]
		s.history.ids = slices.Delete(s.history.ids, 0, 1)
		if err := removeAll(s.sysPath(historyDir, jobName(old))); err != nil {
			return plain(err)
		}
	}
	return nil
}

// past returns the directory of a job that is over, or os.ErrNotExist.
func (s *store) past(id uint64) (string, error) {
	dir := s.sysPath(historyDir, jobName(id))
	_, err := os.Lstat(dir)
	return dir, err
}

// eachPast calls f for every job that is over, the last first, until f fails.
func (s *store) eachPast(f func(*wire.JobInfo) error) error {
	s.history.mu.Lock()
	ids := slices.Clone(s.history.ids)
	s.history.mu.Unlock()
	for _, id := range slices.Backward(ids) {
		info, err := readInfo(s.sysPath(historyDir, jobName(id)))
		if err != nil {
			continue // dropped meanwhile, or damaged when the server was killed
		}
		if err := f(info); err != nil {
			return err
		}
	}
	return nil
}
