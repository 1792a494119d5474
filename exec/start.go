package exec

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is what execve(2) takes.
type program struct {
	path      string
	args, env []string
}

// bash returns the program that runs all that Run can be given.
func (c *Cmd) bash() (program, error) {
	path := c.Bash
	if path == "" {
		var err error
		if path, err = exec.LookPath("bash"); err != nil {
			return program{}, err
		}
	}
	// The name is how it calls itself in its errors. --norc: with SSH_CLIENT in the
	// environment or a socket as stdin, bash -c takes itself for a remote shell and reads
	// ~/.bashrc (bash(1), "Invoked by remote shell daemon"). The --: a script may begin
	// with a dash.
	args := []string{"bash", "--norc", "-e", "-u", "-o", "pipefail", "-c", "--", c.Script}
	if len(c.Args) > 0 {
		args = append(append(args, "bash"), c.Args...) // the first is $0
	}
	return program{path: path, args: args, env: lastOfEach(c.environ())}, nil
}

// environ returns Env, or this process's environment in place of nil.
func (c *Cmd) environ() []string {
	if c.Env == nil {
		return os.Environ()
	}
	return c.Env
}

// lastOfEach leaves out variables that are set again.
func lastOfEach(env []string) []string {
	list := make([]string, 0, len(env))
	seen := make(map[string]bool, len(env))
	for _, kv := range slices.Backward(env) {
		name, _, isVar := strings.Cut(kv, "=")
		if isVar && seen[name] {
			continue
		}
		seen[name] = isVar
		list = append(list, kv)
	}
	slices.Reverse(list)
	return list
}

// group is a process group, and those of its processes that Run has started: bash, or the
// programs of a pipeline.
type group struct {
	id    int // its number; 0 before there is one
	procs []process

	// zombie says that the process of the group's number is none of procs. It has ended,
	// and is reaped with them.
	zombie bool
}

// process is one of a group. Until it is reaped, its number is its own.
type process struct {
	pid    int // 0 if it could not be started
	err    error
	status syscall.WaitStatus
	usage  syscall.Rusage
}

// pipeSize is how much a pipe between two programs holds, in bytes. pipe(7) gives 64 KiB,
// which programs that write 4 KiB at a time fill before the reader's turn has come: a
// pipeline of a large file then switches between them four times as often.
const pipeSize = 256 << 10

// start starts programs with pipes between them. It returns an error if it has started
// none; that one of the others cannot be started is the end of that one only, as in bash.
//
// The first is started first, as in bash: the other way round a program that does not read
// its input would more often have ended when there is something to read, and the one before
// would be lost to SIGPIPE.
func start(programs []program, dir string, stdin, stdout, stderr *os.File) (*group, error) {
	// Not os.Pipe, whose ends do not block. Programs get copies of the ends they use.
	pipes := make([]int, 0, 2*len(programs))
	defer func() {
		for _, fd := range pipes {
			unix.Close(fd)
		}
	}()
	for range len(programs) - 1 {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return nil, os.NewSyscallError("pipe2", err)
		}
		// A user who is not root can have so many large ones only, and does with small.
		_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize)
		pipes = append(pipes, ends[:]...)
	}
	g := &group{procs: make([]process, len(programs))}
	if len(programs) > 1 {
		id, err := newLeader()
		if err != nil {
			return nil, err
		}
		g.id, g.zombie = id, true
	}
	attr := &syscall.ProcAttr{Dir: dir, Sys: &syscall.SysProcAttr{Setpgid: true, Pgid: g.id, Pdeathsig: syscall.SIGKILL}}
	for i, p := range programs {
		attr.Files = []uintptr{stdin.Fd(), stdout.Fd(), stderr.Fd()}
		if i > 0 {
			attr.Files[0] = uintptr(pipes[2*i-2])
		}
		if i < len(programs)-1 {
			attr.Files[1] = uintptr(pipes[2*i+1])
		}
		attr.Env = p.env
		pid, err := syscall.ForkExec(p.path, p.args, attr)
		if err != nil {
			err = &os.PathError{Op: "fork/exec", Path: p.path, Err: err}
			if i == 0 {
				return nil, errors.Join(err, g.reap())
			}
			g.procs[i].status = notRun(err)
		}
		g.procs[i].pid, g.procs[i].err = pid, err
		if !g.zombie {
			g.id = pid
		}
	}
	runtime.KeepAlive(stdin)
	runtime.KeepAlive(stdout)
	runtime.KeepAlive(stderr)
	return g, nil
}

// notRun is the status that bash gives a program that cannot be started.
func notRun(err error) syscall.WaitStatus {
	if errors.Is(err, syscall.ENOENT) {
		return 127 << 8
	}
	return 126 << 8
}

// wait blocks until all have ended, and leaves them as zombies.
func (g *group) wait() error {
	for i := range g.procs {
		if pid := g.procs[i].pid; pid > 0 {
			if err := waitExited(pid); err != nil {
				return err
			}
		}
	}
	return nil
}

// reap waits for all, and frees their numbers.
func (g *group) reap() (err error) {
	for i := range g.procs {
		if p := &g.procs[i]; p.pid > 0 {
			err = errors.Join(err, reap(p.pid, &p.status, &p.usage))
		}
	}
	if g.zombie {
		err = errors.Join(err, reap(g.id, nil, nil))
	}
	return err
}

func reap(pid int, status *syscall.WaitStatus, usage *syscall.Rusage) error {
	for {
		_, err := syscall.Wait4(pid, status, 0, usage)
		if err != syscall.EINTR {
			return os.NewSyscallError("wait4", err)
		}
	}
}

// waitExited blocks until the child pid has ended, and leaves it as a zombie.
func waitExited(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}
