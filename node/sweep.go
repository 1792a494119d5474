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

// sweep deals with what a killed server has left: its tasks' processes, its
// uploads, and its jobs. Those it had decided to publish are finished; those it
// had promised to are kept, in s.orphans, for their peers to decide; all others
// are removed.
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
	decided, promised := has(commitMark), has(preparedMark)
	if !has("stage") {
		// It was over, and being removed.
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
		info = nil // damaged by the kill: the job goes on without
	}
	state, why := wire.JobFailed, wire.Error{Code: wire.CodeShuttingDown, Text: "the server was stopped while the job ran"}
	if decided {
		p.halfPublished = true
		if err := p.publish(); err != nil {
			return err
		}
	}
	was, err := s.committed(p.id) // just now, or before the kill
	if err != nil {
		return withoutPath(err)
	}
	if was {
		state, why = wire.JobCommitted, wire.Error{}
	}
	if info != nil && info.Ended == 0 {
		endInfo(info, state, why)
		_ = writeInfo(p.path, info) // if it fails, whoever reads the record closes it
	}
	return p.remove()
}
