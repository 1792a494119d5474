package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/nathants/s4/wire"
)

// maxHistory is how many finished jobs a server remembers.
const maxHistory = 200

// maxHistoryBytes is how many bytes of their logs it keeps.
const maxHistoryBytes = 1 << 30

// history is the index of _s4/history.
type history struct {
	mu    sync.Mutex
	jobs  []pastJob // in the order they ended; guarded by mu
	bytes int64     // of their logs; guarded by mu

	// unsaved holds the infos of finished jobs whose record could not be written, for
	// example to a full disk. They are lost when the process ends. It has at most
	// maxHistory, in the order they ended; guarded by mu.
	unsaved []*wire.JobInfo
}

// keepUnsaved remembers the info of a finished job that could not be written to disk.
func (h *history) keepUnsaved(info *wire.JobInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsaved = slices.DeleteFunc(h.unsaved, func(u *wire.JobInfo) bool { return u.Job.ID == info.Job.ID })
	h.unsaved = append(h.unsaved, info)
	h.unsaved = h.unsaved[max(0, len(h.unsaved)-maxHistory):]
}

// savedNow forgets what keepUnsaved remembers of a job.
func (h *history) savedNow(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsaved = slices.DeleteFunc(h.unsaved, func(u *wire.JobInfo) bool { return u.Job.ID == id })
}

// unsavedInfo returns what keepUnsaved remembers of a job, or nil.
func (h *history) unsavedInfo(id uint64) *wire.JobInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.unsaved {
		if u.Job.ID == id {
			return u
		}
	}
	return nil
}

type pastJob struct {
	id    uint64
	bytes int64
}

func (s *store) sysPath(dir, name string) string { return filepath.Join(s.path, sysDir, dir, name) }

// openHistory reads the index.
func (s *store) openHistory() error {
	list, err := readByAge(s.sysPath(historyDir, ""))
	if err != nil {
		return err
	}
	for _, fi := range list {
		if id, err := strconv.ParseUint(fi.Name(), 16, 64); err == nil {
			s.history.add(id, s.logSize(id))
		}
	}
	return nil
}

// add takes a job that is over; h.mu is held, or nobody else has h yet.
func (h *history) add(id uint64, bytes int64) {
	h.jobs = append(h.jobs, pastJob{id, bytes})
	h.bytes += bytes
}

// drop removes the i-th job; h.mu is held.
func (h *history) drop(i int) {
	h.bytes -= h.jobs[i].bytes
	h.jobs = slices.Delete(h.jobs, i, i+1)
}

// logSize returns the size of a past job's log, 0 if it has none.
func (s *store) logSize(id uint64) int64 {
	fi, err := os.Lstat(filepath.Join(s.sysPath(historyDir, jobName(id)), logFile))
	if err != nil {
		return 0
	}
	return fi.Size()
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

// keepRecord moves the record of a finished job to the history, removes the job's
// directory, and drops the oldest records if there are too many. A job that never began
// has no record and leaves nothing.
//
// The files are moved and not the directory, because processes that tasks have left
// behind are found by their working directory, and that would move along.
func (s *store) keepRecord(dir string) error {
	name := filepath.Base(dir)
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, infoFile)); err != nil {
		return withoutPath(removeAll(dir))
	}
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	past := s.sysPath(historyDir, name)
	err = os.Mkdir(past, 0o755)
	if errors.Is(err, os.ErrExist) { // of a job whose client used its id again
		err = removeAll(past)
		if err == nil {
			err = os.Mkdir(past, 0o755)
		}
	}
	for _, file := range []string{infoFile, logFile} {
		if err == nil {
			err = rename(filepath.Join(dir, file), filepath.Join(past, file))
		}
	}
	if err == nil || errors.Is(err, os.ErrNotExist) { // without a log
		err = removeAll(dir)
	}
	if err != nil {
		return withoutPath(err)
	}
	h := &s.history
	if i := slices.IndexFunc(h.jobs, func(p pastJob) bool { return p.id == id }); i >= 0 {
		h.drop(i)
	}
	h.add(id, s.logSize(id))
	for len(h.jobs) > maxHistory || h.bytes > maxHistoryBytes && len(h.jobs) > 1 {
		if err := removeAll(s.sysPath(historyDir, jobName(h.jobs[0].id))); err != nil {
			return withoutPath(err)
		}
		h.drop(0)
	}
	return nil
}

// past returns the directory of a finished job, or os.ErrNotExist.
func (s *store) past(id uint64) (string, error) {
	dir := s.sysPath(historyDir, jobName(id))
	_, err := os.Lstat(dir)
	return dir, err
}

// pastInfo returns the info of a finished job. If its end could not be recorded, for
// example on a full disk, pastInfo fills in what can be known of it.
func (s *store) pastInfo(id uint64) (*wire.JobInfo, error) {
	if info := s.history.unsavedInfo(id); info != nil {
		return info, nil
	}
	dir, err := s.past(id)
	if err != nil {
		return nil, err
	}
	info, err := readInfo(dir)
	if err != nil || info.Ended != 0 {
		return info, err
	}
	was, err := s.committed(id)
	if err != nil {
		return nil, err
	}
	if was {
		endInfo(info, wire.JobCommitted, wire.Error{})
	} else {
		endInfo(info, wire.JobFailed, wire.Error{Code: wire.CodeInternal, Text: "how it ended could not be recorded"})
	}
	if fi, err := os.Lstat(dir); err == nil {
		info.Ended = fi.ModTime().UnixNano()
	}
	return info, nil
}

// eachPast calls f for every finished job, the last first, until f fails.
func (s *store) eachPast(f func(*wire.JobInfo) error) error {
	s.history.mu.Lock()
	jobs := slices.Clone(s.history.jobs)
	unsaved := slices.Clone(s.history.unsaved)
	s.history.mu.Unlock()
	for _, u := range slices.Backward(unsaved) {
		if err := f(u); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(jobs) {
		if slices.ContainsFunc(unsaved, func(u *wire.JobInfo) bool { return u.Job.ID == p.id }) {
			continue
		}
		info, err := s.pastInfo(p.id)
		if err != nil {
			continue // dropped meanwhile, or damaged when the server was killed
		}
		if err := f(info); err != nil {
			return err
		}
	}
	return nil
}
