package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
)

// sweep cleans up after a killed server. It kills the processes of tasks, and removes
// unfinished uploads. Of the jobs, it completes those that were decided. It keeps those
// that were only promised in s.orphans, because their outcome is up to the peers, and
// those that outlive a restart in s.parked. It removes all others, among them those that
// are damaged, and lists these in s.damaged.
func (s *store) sweep() error {
	jobs := filepath.Join(s.path, sysDir, jobsDir)
	if _, err := exec.KillBelow(jobs); err != nil {
		return err
	}
	list, err := os.ReadDir(jobs)
	if err != nil {
		return withoutPath(err)
	}
	for _, d := range list {
		id, err := strconv.ParseUint(d.Name(), 16, 64)
		if err != nil || len(d.Name()) != 16 { // an eval's
			if err := removeAll(filepath.Join(jobs, d.Name())); err != nil {
				return withoutPath(err)
			}
			continue
		}
		if err := s.sweepJob(s.stageOf(id)); err != nil {
			return fmt.Errorf("job %s of the last run: %w", d.Name(), err)
		}
	}
	tmp := filepath.Join(s.path, sysDir, tmpDir)
	list, err = os.ReadDir(tmp)
	if err != nil {
		return withoutPath(err)
	}
	for _, d := range list {
		if err := removeAll(filepath.Join(tmp, d.Name())); err != nil {
			return withoutPath(err)
		}
	}
	return nil
}

func (s *store) sweepJob(p *stage) error {
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(p.path, name))
		return err == nil
	}
	decided, promised, over := has(commitMark), has(preparedMark), !has("stage")
	was, err := s.committed(p.id)
	if err != nil {
		return withoutPath(err)
	}
	if over = over || was; over { // and its directory was being removed
		decided, promised = false, false
		if err := os.MkdirAll(filepath.Join(p.path, "stage"), 0o755); err != nil {
			return withoutPath(err)
		}
	}
	if err := p.open(); err != nil {
		return err
	}
	if promised && !decided {
		s.orphans = append(s.orphans, p)
		return nil
	}
	info, damage := s.readRecord(p.id)
	if damage == nil && info != nil && isParked(info) && !decided && !over && s.survives(&info.Job) {
		if damage = scanInputs(p.path, nil); damage == nil {
			s.parked = append(s.parked, parkedStage{p, info})
			return clearWork(p.path)
		}
	}
	state, why := wire.JobFailed, wire.Error{Code: wire.CodeShuttingDown, Text: "the server was stopped while the job ran"}
	if damage != nil {
		s.damaged = append(s.damaged, damagedJob{p.path, damage})
		why = wire.Error{Code: wire.CodeInternal, Text: "the server was started again, and " + toWire(damage).Text}
		info.Ended = 0 // it may have been suspended
	}
	if decided {
		p.halfPublished = true
		if err := p.publish(); err != nil {
			return err
		}
	}
	if damage == nil && info != nil && info.Job.Durable() && !s.survives(&info.Job) {
		why.Text = "the machine was restarted while the job ran, and what was pushed here may be lost (s4-server --fsync keeps it)"
	}
	if was || decided {
		state, why = wire.JobCommitted, wire.Error{}
	}
	if info != nil && info.Ended == 0 {
		endInfo(info, state, why)
		_ = writeInfo(p.path, info) // if it fails, pastInfo fills in the rest
	}
	return p.remove()
}

// damagedJob is a job that has failed because one of its files was damaged when the
// server was started.
type damagedJob struct {
	dir string
	why error
}

// readRecord reads the info of a job's directory; nil if it has none. With an error, which
// says that it is damaged, comes one that has no more than the job's ID.
func (s *store) readRecord(id uint64) (*wire.JobInfo, error) {
	info, err := readInfo(s.stageOf(id).path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err == nil && info.Job.ID != id:
		err = fmt.Errorf("it is of job %s", jobName(info.Job.ID))
	case err == nil:
		_, err = checkJob(&info.Job)
	case err == io.EOF:
		err = errors.New("it is cut short")
	}
	if err != nil {
		info = &wire.JobInfo{Job: wire.Job{ID: id}, Started: time.Now().UnixNano()}
		return info, damaged(infoFile, withoutPath(err))
	}
	return info, nil
}

// damaged is the error for a file in a job's directory that is not what was written.
func damaged(file string, why error) error {
	return wire.Errorf(wire.CodeInternal, "the job's file %q is damaged: %s", file, toWire(why).Text)
}

// isParked reports whether the job of an info outlives a restart.
func isParked(info *wire.JobInfo) bool {
	return info.State == wire.JobSuspended || info.Ended == 0 && info.Job.Durable()
}
