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

// File is an open file, such as an *os.File.
type File interface{ Fd() uintptr }

// Cmd is one command to run. It is not changed by Run and may be used again.
type Cmd struct {
	// Bash is the path of bash. If it is empty, bash is looked for on PATH.
	Bash string

	// Script is bash source, at most MaxScript bytes and without NUL. It runs
	// with errexit, nounset and pipefail, and without any startup file, save
	// for the one that BASH_ENV names if Env sets it.
	Script string

	// Shell lets bash read its commands from Stdin in place of Script, without those
	// options. If Stdin and Stderr are terminals, it is interactive.
	Shell bool

	// Session gives the command a session of its own, whose controlling terminal is
	// Stdin, if that is a terminal. All of the session dies with the command, and not its
	// process group only: an interactive shell gives each of its jobs another. Pipeline is
	// not looked at.
	Session bool

	// Args are the script's arguments, "$@".
	Args []string

	// Dir is the working directory. It must exist; the caller makes and removes it.
	Dir string

	// DirIsReal says that Dir is what getcwd(2) calls it: absolute, clean, and without
	// symbolic links. So Run need not find out.
	DirIsReal bool

	// Env is the whole environment, "NAME=value" each; nil is this process's,
	// and of several equal names the last counts, as in os/exec.
	Env []string

	// Stdin, Stdout and Stderr are handed to the command as they are, and stay the
	// caller's to close. A nil Stdin or Stdout is /dev/null. With a nil Stderr,
	// its end is kept in Result.Stderr.
	//
	// Where the caller passes the write end of a pipe, a process that escaped
	// (see the package comment) may hold it open after Run: do not then wait
	// for end of file without a limit.
	Stdin, Stdout File
	Stderr        *os.File

	// StderrTail is how many bytes of the end of stderr are kept when Stderr is
	// nil. The memory is taken as stderr arrives; a command that writes nothing
	// there costs none.
	StderrTail int

	// Timeout is how long the command may run; 0 is without limit.
	Timeout time.Duration

	// Pipeline is what NewPipeline made of Script: it is run without bash then, unless
	// something in Env or Dir needs that. With nil, bash runs it.
	Pipeline *Pipeline

	// Credential is the user and the groups that the command runs as; nil is this
	// process's. Only root can give another. Stdout and Stderr, if they are files or
	// pipes, are given to that user, as a command may open /dev/stdout once more; that
	// the user can read Stdin, and reach Dir and the programs, is up to the caller.
	Credential *syscall.Credential

	// Cgroups limits what the command uses; nil is without limits. Nothing that the
	// command has started outlives Run then, not even what has left its process group.
	Cgroups *Cgroups
}

// Result is how a command ended and what it used.
type Result struct {
	ExitCode int            // 0 to 255; -1 when ended by a signal or never started
	Signal   syscall.Signal // what ended bash; 0 when it exited
	Direct   bool           // Cmd.Pipeline was run, and all else is as bash would have had it

	Stderr      []byte // the last Cmd.StderrTail bytes, as written; the caller's
	StderrBytes int64  // how many bytes of stderr arrived in all; 0 when Cmd.Stderr was set

	Start time.Time     // just before the command was started
	Wall  time.Duration // from Start until it had ended

	// User and Sys are the CPU time of bash, or of the pipeline's programs, and of every
	// descendant that was waited for, which leaves out what had to be killed.
	User, Sys time.Duration

	// MaxRSS is the largest resident set, in bytes, of any one process that User
	// and Sys count. The kernel starts the count of a new program at the size of
	// the program that started it, so it is never below this process's own peak.
	MaxRSS int64

	// OverMemory is the limit, in bytes, that the command was killed for needing more
	// than; else 0.
	OverMemory int64

	TimedOut bool          // killed because Timeout was over
	Timeout  time.Duration // Cmd.Timeout
}

// Run runs c and returns when it has ended, and everything in its process
// group with it. A command that fails, by exit code, signal or timeout, is not
// an error: see the Result.
//
// The error is not nil when the command could not be started, and then names
// c.Dir, or when ctx ended first; errors.Is then matches ctx.Err(), and the
// Result says what was used until then.
//
// While the command runs it costs one blocked thread, the caller's.
func Run(ctx context.Context, c Cmd) (Result, error) {
	res := Result{ExitCode: -1, Timeout: c.Timeout}
	if err := c.check(); err != nil {
		return res, err
	}
	if ctx.Err() != nil {
		return res, canceled(ctx)
	}

	stdin, stdout := c.Stdin, c.Stdout
	if stdin == nil || stdout == nil {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return res, c.startError(err)
		}
		defer null.Close()
		stdin, stdout = cmp.Or[File](stdin, null), cmp.Or[File](stdout, null)
	}
	var stderr File = c.Stderr
	var pipe *stderrPipe
	if c.Stderr == nil {
		p, err := newStderrPipe(c.StderrTail)
		if err != nil {
			return res, c.startError(err)
		}
		defer p.close()
		pipe, stderr = p, descriptor(p.w)
	}

	if c.Credential != nil {
		if err := errors.Join(give(c.Credential, int(stdout.Fd())), give(c.Credential, int(stderr.Fd()))); err != nil {
			return res, c.startError(err)
		}
	}
	var cg *cgroup
	if c.Cgroups != nil {
		var err error
		if cg, err = c.Cgroups.create(); err != nil {
			return res, fmt.Errorf("make a cgroup for the command in %s: %w", c.Dir, err)
		}
	}

	// Pdeathsig lets the kernel kill what is started here when the server is killed, but
	// it fires at the end of the thread that forked, not of the process
	// (prctl(2), go.dev/issue/27505). So this goroutine keeps its thread until all is
	// reaped. That is free: poll(2), in wait, blocks the thread anyway. Children of what is
	// started do not get the signal; those are for the Watchdog.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	res.Start = time.Now()
	g, err := c.start(&res, cg, stdin, stdout, stderr)
	if err != nil {
		cg.end()
		return res, c.startError(err)
	}
	if pipe != nil {
		pipe.started()
	}

	defer g.close()

	// From here to g.reap, the numbers of the group and its processes are theirs.
	runCtx := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		runCtx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
		defer cancel()
	}
	killed := make(chan struct{})
	unwatch := context.AfterFunc(runCtx, func() {
		g.kill()
		cg.kill()
		close(killed)
	})

	err = g.wait(pipe)
	if err != nil {
		g.kill() // or reap would wait for it
	}
	if g.byPidfd {
		err = errors.Join(err, g.reap())
	}
	res.Wall = time.Since(res.Start)
	var cause error
	if !unwatch() {
		<-killed // no kill may be under way once the numbers are free
		cause = context.Cause(runCtx)
	}
	left := g.killRest()
	if c.Session {
		killSession(g.id)
	}
	if !g.byPidfd {
		err = errors.Join(err, g.reap())
	}
	if err != nil {
		cg.end()
		return res, fmt.Errorf("wait for the command in %s: %w", c.Dir, err)
	}
	told := res.account(g, c.Pipeline, cause != nil)
	if left {
		awaitGroupGone(g.id)
	}
	res.OverMemory = cg.end()
	switch {
	case pipe != nil:
		res.Stderr, res.StderrBytes = pipe.finish(told)
	case told != "":
		_, _ = c.Stderr.WriteString(told) // bash does not look, either
	}

	switch {
	case cause == nil:
	case cause == errTimeout:
		// It may have ended by itself just before it was to be killed.
		res.TimedOut = res.Signal == syscall.SIGKILL
	default:
		return res, canceled(ctx)
	}
	return res, nil
}

// descriptor is a File of a descriptor that somebody else closes.
type descriptor int

func (d descriptor) Fd() uintptr { return uintptr(d) }

// start starts the programs of the pipeline, or bash, and says in res which.
func (c *Cmd) start(res *Result, cg *cgroup, stdin, stdout, stderr File) (*group, error) {
	sys := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c.Credential}
	if c.Session {
		sys.Setpgid, sys.Setsid = false, true // the leader of a session leads a group, too
		sys.Setctty = isTerminal(int(stdin.Fd()))
	}
	cg.place(sys)
	if c.Pipeline != nil && !c.Session {
		if programs, ok := c.Pipeline.execs(c.environ(), c.Dir, c.DirIsReal); ok {
			if g, err := start(programs, c.Dir, sys, stdin, stdout, stderr); err == nil {
				res.Direct = true
				return g, nil
			}
			// Nothing has run. Bash does, or says why it cannot.
		}
	}
	bash, err := c.bash()
	if err != nil {
		return nil, err
	}
	return start([]program{bash}, c.Dir, sys, stdin, stdout, stderr)
}

// give makes a command's user the owner of a file, pipe or terminal that is open as fd. A
// command may open it once more, as /dev/stdout. Anything else, such as /dev/null, is left
// alone.
func give(to *syscall.Credential, fd int) error {
	if to == nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFIFO && !isTerminal(fd) {
		return nil
	}
	return os.NewSyscallError("fchown", unix.Fchown(fd, int(to.Uid), int(to.Gid)))
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
		return errors.New("no working directory given") // syscall.ForkExec would take ours
	}
	return nil
}

// startError names the directory, and finds the error that is really about it:
// where chdir fails in the child, execve's path is all that start can name.
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

// account fills in what the kernel tells of a reaped group, and returns what bash would
// add to standard error. stopped says that Run has killed the group.
func (r *Result) account(g *group, p *Pipeline, stopped bool) (told string) {
	for i := range g.procs {
		u := &g.procs[i].usage
		r.User += time.Duration(u.Utime.Nano())
		r.Sys += time.Duration(u.Stime.Nano())
		r.MaxRSS = max(r.MaxRSS, u.Maxrss*1024) // getrusage(2): kilobytes
	}
	if len(g.procs) > 1 {
		if stopped && g.wasKilled() {
			r.Signal = syscall.SIGKILL // as bash was
			return ""
		}
		r.ExitCode, r.Signal, told = p.ended(g)
		return told
	}
	s := g.procs[0].status
	r.ExitCode = s.ExitStatus()
	if s.Signaled() {
		r.Signal = s.Signal()
	}
	return ""
}
