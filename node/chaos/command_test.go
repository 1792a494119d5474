package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// clients are the s4 commands that run now, and the detached jobs that are waited for.
type clients struct {
	mu    sync.Mutex
	procs []*os.Process
	jobs  []uint64
}

// client returns one of the commands, or nil.
func (l *load) client(which int) *os.Process {
	l.clients.mu.Lock()
	defer l.clients.mu.Unlock()
	if len(l.clients.procs) == 0 {
		return nil
	}
	return l.clients.procs[which%len(l.clients.procs)]
}

// detached returns one of the jobs.
func (l *load) detached(which int) (id uint64, ok bool) {
	l.clients.mu.Lock()
	defer l.clients.mu.Unlock()
	if len(l.clients.jobs) == 0 {
		return 0, false
	}
	return l.clients.jobs[which%len(l.clients.jobs)], true
}

func (c *clients) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.procs {
		_ = p.Signal(sig)
	}
}

// during adds x to list until the function that it returns is called.
func during[T comparable](mu *sync.Mutex, list *[]T, x T) (end func()) {
	mu.Lock()
	defer mu.Unlock()
	*list = append(*list, x)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		for i, y := range *list {
			if x == y {
				*list = append((*list)[:i], (*list)[i+1:]...)
				return
			}
		}
	}
}

// result is what a command did.
type result struct {
	exit           int // -1 if a signal ended it
	stdout, stderr []byte
}

// command runs s4 with --json.
func (l *load) command(args ...string) result {
	cmd := exec.Command(filepath.Join(l.bin, "s4"), append([]string{"--json", "--conf", l.conf()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	l.thread.do(func() { err = cmd.Start() })
	if err != nil {
		l.violation("s4: %v", err)
		return result{exit: -1}
	}
	end := during(&l.clients.mu, &l.clients.procs, cmd.Process)
	_ = cmd.Wait() // see the exit code
	end()
	res := result{cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.Bytes()}
	if bytes.Contains(res.stderr, []byte("goroutine ")) || bytes.Contains(res.stderr, []byte("DATA RACE")) || res.exit == 2 {
		l.violation("s4 %q: exit code %d\n%s", args, res.exit, res.stderr)
	}
	return res
}

// said is a line of --json: an error, or what is known of a job.
type said struct {
	Verb  string `json:"verb"`
	Key   string `json:"key"`
	Code  string `json:"code"`
	Error string `json:"error"`
	Job   string `json:"job"`
	State string `json:"state"`
	Keys  *int64 `json:"keys"`
}

// lastLine returns the last object of b.
func lastLine(b []byte) (s said) {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	_ = json.Unmarshal(lines[len(lines)-1], &s) // if it is none, s says nothing
	return s
}

// number returns a job's number.
func number(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || len(id) != 16 {
		return 0, fmt.Errorf("%q is no job", id)
	}
	return n, nil
}
