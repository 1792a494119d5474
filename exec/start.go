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
	if c.Shell {
		args = []string{"bash", "--norc"}
	} else if len(c.Args) > 0 {
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

	// byPidfd says that signals go to the pidfd of the only one of procs, which is that of
	// the group, too. They meet no stranger then, even if the numbers are free.
	byPidfd bool
}

// process is one of a group. Until it is reaped, its number is its own.
type process struct {
	pid    int // 0 if it could not be started
	pidfd  int // can be polled for its end (pidfd_open(2)); closed by group.close
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
//
// sys is how all are started, but for the process group.
func start(programs []program, dir string, sys *syscall.SysProcAttr, stdin, stdout, stderr File) (*group, error) {
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
		if err := give(sys.Credential, ends[0]); err != nil {
			return nil, err
		}
	}
	// A session has no pidfd: its number must stay its own until all of it is killed.
	g := &group{procs: make([]process, len(programs)), byPidfd: len(programs) == 1 && !sys.Setsid && canSignalGroups()}
	if len(programs) > 1 {
		id, err := newLeader()
		if err != nil {
			return nil, err
		}
		g.id, g.zombie = id, true
	}
	sys.Pgid = g.id
	attr := &syscall.ProcAttr{Dir: dir, Sys: sys}
	for i, p := range programs {
		attr.Files = []uintptr{stdin.Fd(), stdout.Fd(), stderr.Fd()}
		if i > 0 {
			attr.Files[0] = uintptr(pipes[2*i-2])
		}
		if i < len(programs)-1 {
			attr.Files[1] = uintptr(pipes[2*i+1])
		}
		attr.Env = p.env
		attr.Sys.PidFD = &g.procs[i].pidfd
		pid, err := syscall.ForkExec(p.path, p.args, attr)
		if err != nil {
			err = &os.PathError{Op: "fork/exec", Path: p.path, Err: err}
			if i == 0 {
				return nil, errors.Join(err, g.reap()) // of the leader
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

// wait blocks until all have ended, and leaves them as zombies. Meanwhile it reads what
// comes from pipe, if there is one. With byPidfd, when a zombie is not needed, it may
// leave it to reap to wait for the end.
func (g *group) wait(pipe *stderrPipe) error {
	polled := make([]unix.PollFd, 0, len(g.procs)+1)
	left := 0
	for i := range g.procs {
		fd := int32(-1) // poll(2) leaves it out
		if p := &g.procs[i]; p.pid > 0 {
			if p.pidfd < 0 {
				return errors.New("the kernel has no pidfds, which need Linux 5.3 or later")
			}
			fd = int32(p.pidfd)
			left++
		}
		polled = append(polled, unix.PollFd{Fd: fd, Events: unix.POLLIN})
	}
	if pipe != nil {
		polled = append(polled, unix.PollFd{Fd: int32(pipe.r), Events: unix.POLLIN})
	}
	for left > 0 {
		if _, err := unix.Poll(polled, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return os.NewSyscallError("poll", err)
		}
		for i := range g.procs {
			if polled[i].Revents != 0 {
				polled[i].Fd = -1
				left--
			}
		}
		if pipe == nil {
			continue
		}
		end := &polled[len(g.procs)]
		if pipe.polled(end.Revents); pipe.ended {
			end.Fd = -1
			if g.byPidfd {
				return nil // it is about to end, or at least has no more to say
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

// close closes the pidfds.
func (g *group) close() {
	for i := range g.procs {
		if p := &g.procs[i]; p.pid > 0 {
			unix.Close(p.pidfd)
		}
	}
}

func reap(pid int, status *syscall.WaitStatus, usage *syscall.Rusage) error {
	for {
		_, err := syscall.Wait4(pid, status, 0, usage)
		if err != syscall.EINTR {
			return os.NewSyscallError("wait4", err)
		}
	}
}
