package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// KillBelow sends SIGKILL to every process whose working directory is dir or
// below it, dir removed or not, and returns how many it killed. It looks again
// until there is none; this process is never one. What a killed server left
// behind is found so, and what escaped its process group.
//
// It kills whoever is there, also a user's shell: give it the directory that
// holds the tasks' directories, not one where people work. The root directory
// and "" are refused.
//
// Processes that may not be looked at (of other users, unless we are root) are
// not seen. The error is not nil when /proc cannot be read, a process may not
// be killed, or one would not die within some seconds.
func KillBelow(dir string) (int, error) {
	root, err := realDir(dir)
	if err != nil {
		return 0, fmt.Errorf("kill processes below %q: %w", dir, err)
	}
	const (
		rounds  = 100
		longest = 50 * time.Millisecond
	)
	killed := map[int]bool{} // a process is seen until it is dead, but counts once
	pause := time.Millisecond
	for range rounds {
		found, err := killRound(root, killed)
		if err != nil {
			return len(killed), fmt.Errorf("kill processes below %s: %w", root, err)
		}
		if found == 0 {
			return len(killed), nil
		}
		time.Sleep(pause)
		pause = min(2*pause, longest)
	}
	return len(killed), fmt.Errorf("kill processes below %s: some are still there after %d rounds", root, rounds)
}

// killRound kills every process below root that it finds in one walk over
// /proc, adds them to killed, and returns how many there were.
func killRound(root string, killed map[int]bool) (int, error) {
	pids, err := processes()
	if err != nil {
		return 0, err
	}
	found := 0
	var errs []error
	for _, pid := range pids {
		if pid == os.Getpid() || !worksBelow(pid, root) {
			continue
		}
		gone, err := killIfBelow(pid, root)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !gone:
			found++
			killed[pid] = true
		}
	}
	return found, errors.Join(errs...)
}

// killIfBelow kills the process pid if it still works below root; gone says
// that it did not.
func killIfBelow(pid int, root string) (gone bool, err error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return true, nil
	}
	defer p.Release()
	// The process has a handle now (a pidfd). Look again: the number may have
	// gone to another process between the first look and the handle.
	if !worksBelow(pid, root) {
		return true, nil
	}
	err = p.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("process %d: %w", pid, err)
	}
	return false, nil
}

// worksBelow says whether the working directory of pid is root or below it. A
// zombie has none.
func worksBelow(pid int, root string) bool {
	link := "/proc/" + strconv.Itoa(pid) + "/cwd"
	cwd, err := os.Readlink(link)
	if err != nil {
		return false
	}
	return below(workingDir(link, cwd), root)
}

// workingDir is cwd, what the link /proc/PID/cwd says, without the suffix that
// the kernel adds when the directory was removed (proc_pid_cwd(5)). A directory
// may also be called so: then it is there, and is where the link leads.
func workingDir(link, cwd string) string {
	dir, marked := strings.CutSuffix(cwd, " (deleted)")
	if !marked {
		return cwd
	}
	named, err := os.Stat(cwd)
	if err != nil {
		return dir
	}
	if linked, err := os.Stat(link); err == nil && os.SameFile(named, linked) {
		return cwd
	}
	return dir
}

// below says whether the clean absolute path dir is root or below it.
func below(dir, root string) bool {
	rest, ok := strings.CutPrefix(dir, root)
	return ok && (rest == "" || rest[0] == '/')
}

// realDir is the absolute path of dir without symbolic links, as /proc shows
// it. What is missing at its end, since it was removed, is taken as it is.
func realDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	missing := ""
	for {
		real, err := filepath.EvalSymlinks(abs)
		if err == nil {
			real = filepath.Join(real, missing)
			if real == "/" {
				return "", errors.New("that would be every process")
			}
			return real, nil
		}
		if !errors.Is(err, os.ErrNotExist) || abs == "/" {
			return "", err
		}
		missing = filepath.Join(filepath.Base(abs), missing)
		abs = filepath.Dir(abs)
	}
}
