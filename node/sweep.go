package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
)

// sweep cleans up after a killed server. It kills the processes of tasks, and removes
// unfinished uploads. Of the jobs, it completes those that were decided. It keeps those
// that were only promised in s.orphans, because their outcome is up to the peers, and
// those that outlive a restart in s.parked. It removes all others.
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
	info, err := readInfo(p.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		info = nil // damaged by the kill: go on without a record
	}
	if info != nil && info.Ended == 0 && info.Job.Durable() || info != nil && info.State == wire.JobSuspended {
		if !decided && !over && s.survives(&info.Job) {
			s.parked = append(s.parked, parkedStage{p, info})
			return clearWork(p.path)
		}
	}
	state, why := wire.JobFailed, wire.Error{Code: wire.CodeShuttingDown, Text: "the server was stopped while the job ran"}
	if decided {
		p.halfPublished = true
		if err := p.publish(); err != nil {
			return err
		}
	}
	if info != nil && info.Job.Durable() && !s.survives(&info.Job) {
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
