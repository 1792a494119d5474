package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxScript is the length in bytes of the longest script that Run takes.
//
// Linux limits one argument to MAX_ARG_STRLEN = 32 pages with its final NUL
// (execve(2)). Pages can be larger than 4 KiB; this is the limit of the
// smallest, so that all servers of a cluster refuse the same scripts.
const MaxScript = 32*4096 - 1

// ErrScriptTooLong says that a script is longer than [MaxScript] bytes. Run
// returns it wrapped, with the length; nothing was started.
var ErrScriptTooLong = errors.New("script too long")

// errTimeout is the cause with which a run's own context ends when Cmd.Timeout
// is over; it tells that from the end of the caller's context.
var errTimeout = errors.New("timeout")

// FindBash returns the path of bash on PATH, for Cmd.Bash, or "" if there is none.
func FindBash() string {
	path, err := exec.LookPath("bash")
	if err != nil {
		return ""
	}
	return path
}

// Cmd is one command to run. It is not changed by Run and may be used again.
type Cmd struct {
	// Bash is the path of bash. If it is empty, bash is looked for on PATH.
	Bash string

	// Script is bash source, at most MaxScript bytes and without NUL. It runs
	// with errexit, nounset and pipefail, and without any startup file, save
	// for the one that BASH_ENV names if Env sets it.
	Script string

	// Args are the script's arguments, "$@".
	Args []string

	// Dir is the working directory. It must exist; the caller makes and removes it.
	Dir string

	// Env is the whole environment, "NAME=value" each; nil is this process's,
	// and of several equal names the last counts, as in os/exec.
	Env []string

	// Stdin, Stdout and Stderr are handed to bash as they are, and stay the
	// caller's to close. A nil Stdin or Stdout is /dev/null. With a nil Stderr,
	// its end is kept in Result.Stderr.
	//
	// Where the caller passes the write end of a pipe, a process that escaped
	// (see the package comment) may hold it open after Run: do not then wait
	// for end of file without a limit.
	Stdin, Stdout, Stderr *os.File

	// StderrTail is how many bytes of the end of stderr are kept when Stderr is
	// nil. The memory is taken as stderr arrives; a command that writes nothing
	// there costs none.
	StderrTail int

	// Timeout is how long the command may run; 0 is without limit.
	Timeout time.Duration
}

// Result is how a command ended and what it used.
type Result struct {
	ExitCode int            // 0 to 255; -1 when ended by a signal or never started
	Signal   syscall.Signal // what ended bash; 0 when it exited

	Stderr      []byte // the last Cmd.StderrTail bytes, as written; the caller's
	StderrBytes int64  // how many bytes of stderr arrived in all; 0 when Cmd.Stderr was set

	Start time.Time     // just before bash was started
	Wall  time.Duration // from Start until bash had ended

	// User and Sys are the CPU time of bash and of every descendant that was
	// waited for, which leaves out what had to be killed.
	User, Sys time.Duration

	// MaxRSS is the largest resident set, in bytes, of any one process that User
	// and Sys count. The kernel starts the count of a new program at the size of
	// the program that started it, so it is never below this process's own peak.
	MaxRSS int64

	TimedOut bool          // killed because Timeout was over
	Timeout  time.Duration // Cmd.Timeout
}

// Run runs c and returns when bash has ended, and everything in its process
// group with it. A command that fails, by exit code, signal or timeout, is not
// an error: see the Result.
//
// The error is not nil when the command could not be started, and then names
// c.Dir, or when ctx ended first; errors.Is then matches ctx.Err(), and the
// Result says what was used until then.
//
// While the command runs it costs one blocked thread, the caller's, and one
// goroutine if c.Stderr is nil.
func Run(ctx context.Context, c Cmd) (Result, error) {
	res := Result{ExitCode: -1, Timeout: c.Timeout}
	if err := c.check(); err != nil {
		return res, err
	}
	if ctx.Err() != nil {
		return res, canceled(ctx)
	}

	cmd := c.command()
	var stderr *stderrPipe
	if c.Stderr == nil {
		p, err := newStderrPipe(c.StderrTail)
		if err != nil {
			return res, c.startError(err)
		}
		defer p.close()
		stderr, cmd.Stderr = p, p.w
	}

	// Pdeathsig lets the kernel kill bash when the server is killed, but it
	// fires at the end of the thread that forked, not of the process
	// (prctl(2), go.dev/issue/27505). So this goroutine keeps its thread until
	// bash is reaped. That is free: waitid below blocks the thread anyway. The
	// signal reaches bash alone, not its children; those are for the Watchdog.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	res.Start = time.Now()
	if err := cmd.Start(); err != nil {
		return res, c.startError(err)
	}
	if stderr != nil {
		stderr.start()
	}
	pid := cmd.Process.Pid

	// From here to cmd.Wait, pid and the group of that number are bash's.
	runCtx := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		runCtx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
		defer cancel()
	}
	killed := make(chan struct{})
	unwatch := context.AfterFunc(runCtx, func() {
		killGroup(pid)
		close(killed)
	})

	waitErr := waitExited(pid)
	res.Wall = time.Since(res.Start)
	var cause error
	if !unwatch() {
		<-killed // no kill may be under way once the number is free
		cause = context.Cause(runCtx)
	}
	if waitErr == nil {
		killGroup(pid)
	}
	err := cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return res, fmt.Errorf("wait for bash in %s: %w", c.Dir, err)
	}
	awaitGroupGone(pid)
	if stderr != nil {
		res.Stderr, res.StderrBytes = stderr.finish()
	}
	res.account(cmd.ProcessState)

	switch {
	case cause == nil:
	case cause == errTimeout:
		// Bash may have ended by itself just before it was to be killed.
		res.TimedOut = res.Signal == syscall.SIGKILL
	default:
		return res, canceled(ctx)
	}
	return res, nil
}

// check refuses what must not get as far as starting a process.
func (c *Cmd) check() error {
	if len(c.Script) > MaxScript {
		return fmt.Errorf("%w: %d bytes, at most %d fit on a command line (put it in a file and run that)",
			ErrScriptTooLong, len(c.Script), MaxScript)
	}
	if strings.IndexByte(c.Script, 0) >= 0 {
		return errors.New("script contains a NUL byte")
	}
	if c.Dir == "" {
		return errors.New("no working directory given") // os/exec would take ours
	}
	return nil
}

// command prepares bash with all of c but stderr's pipe.
func (c *Cmd) command() *exec.Cmd {
	// --norc: with SSH_CLIENT in the environment or a socket as stdin, bash -c
	// takes itself for a remote shell and reads ~/.bashrc (bash(1), "Invoked by
	// remote shell daemon"). The --: a script may begin with a dash.
	cmd := exec.Command(cmp.Or(c.Bash, "bash"), "--norc", "-e", "-u", "-o", "pipefail", "-c", "--", c.Script)
	cmd.Args[0] = "bash" // which is how it names itself in its errors
	if len(c.Args) > 0 {
		cmd.Args = append(append(cmd.Args, "bash"), c.Args...) // the first is $0
	}
	cmd.Dir = c.Dir
	cmd.Env = c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// Not unconditionally: a nil *os.File in an io.Reader is not a nil io.Reader.
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	return cmd
}

// startError names the directory, and finds the error that is really about it:
// where chdir fails in the child, execve's path is all that os/exec can name.
func (c *Cmd) startError(err error) error {
	if fi, statErr := os.Stat(c.Dir); statErr != nil {
		err = statErr
	} else if !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	return fmt.Errorf("start bash in %s: %w", c.Dir, err)
}

// canceled is the error of a run that ctx ended: ctx.Err() and, where the
// canceler gave another, the cause.
func canceled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return fmt.Errorf("command stopped: %w", err)
	}
	return fmt.Errorf("command stopped: %w: %w", err, cause)
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

// account fills in what the kernel tells of a reaped process.
func (r *Result) account(ps *os.ProcessState) {
	r.ExitCode = ps.ExitCode()
	r.User, r.Sys = ps.UserTime(), ps.SystemTime()
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = ws.Signal()
	}
	if ru, ok := ps.SysUsage().(*syscall.Rusage); ok {
		r.MaxRSS = ru.Maxrss * 1024 // getrusage(2): kilobytes
	}
}
