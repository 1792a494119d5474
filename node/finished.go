package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// finishedFile lists the inputs of a shuffle that are done on this server, so
// that --resume can tell those that wrote nothing from those that never ran.
// The first line is the outdir, every other the path of an input below the
// job's base. It appears in _s4/shuffled, as the job's name, when the job is
// published.
const finishedFile = "finished"

// finishedList writes such a file.
type finishedList struct {
	mu sync.Mutex
	f  *os.File
	w  *bufio.Writer // guarded by mu
}

func newFinishedList(dir, outdir string) (*finishedList, error) {
	f, err := os.Create(filepath.Join(dir, finishedFile))
	if err != nil {
		return nil, storeError(plain(err), "")
	}
	l := &finishedList{f: f, w: bufio.NewWriter(f)}
	l.add(outdir)
	return l, nil
}

// add takes one line. Its error, if any, is close's, too.
func (l *finishedList) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.WriteString(line) // Flush returns the error
	_ = l.w.WriteByte('\n')
}

func (l *finishedList) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return storeError(errors.Join(l.w.Flush(), l.f.Close()), "")
}

// keepFinished moves the list of a job that is published to the others. There
// may be none.
func (s *store) keepFinished(path, name string) error {
	err := os.Rename(path, s.sysPath(shuffledDir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return storeError(plain(err), "")
	}
	return nil
}

// finished returns the inputs that shuffles into outdir have done.
func (s *store) finished(outdir string) (map[string]bool, error) {
	done := make(map[string]bool)
	err := s.eachFinished(func(_, out string, lines *bufio.Scanner) error {
		for out == outdir && lines.Scan() {
			done[lines.Text()] = true
		}
		return lines.Err()
	})
	return done, err
}

// eachFinished calls f for every list, with its path and outdir, and a
// scanner of its other lines.
func (s *store) eachFinished(f func(path, outdir string, lines *bufio.Scanner) error) error {
	s.lists.Lock()
	defer s.lists.Unlock()
	dir := s.sysPath(shuffledDir, "")
	list, err := os.ReadDir(dir)
	if err != nil {
		return plain(err)
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		if err := readFinished(path, f); err != nil {
			return fmt.Errorf("inputs that are done, of job %s: %w", e.Name(), plain(err))
		}
	}
	return nil
}

func readFinished(path string, f func(path, outdir string, lines *bufio.Scanner) error) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		return lines.Err()
	}
	return f(path, lines.Text(), lines)
}

// forgetFinished makes shuffles run anew for the inputs whose output has been
// removed with a prefix: all of the output's directory, that is, not a file of
// it.
func (s *store) forgetFinished(prefix string) error {
	return s.eachFinished(func(path, outdir string, lines *bufio.Scanner) error {
		if !strings.HasPrefix(outdir+"/", prefix) && !strings.HasPrefix(prefix, outdir+"/") {
			return nil
		}
		var kept strings.Builder
		kept.WriteString(outdir + "\n")
		all, left := 0, 0
		for lines.Scan() {
			all++
			if rel := lines.Text(); !strings.HasPrefix(outdir+"/"+rel+"/", prefix) {
				left++
				kept.WriteString(rel + "\n")
			}
		}
		switch {
		case lines.Err() != nil:
			return lines.Err()
		case left == 0:
			return os.Remove(path)
		case left == all:
			return nil
		}
		// In tmp until it is whole; what a killed server leaves there is swept.
		tmp := s.sysPath(tmpDir, filepath.Base(path))
		if err := os.WriteFile(tmp, []byte(kept.String()), 0o644); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	})
}
