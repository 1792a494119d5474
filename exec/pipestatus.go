package exec

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ended says how bash ends when it has waited for a pipeline: with the exit code of the
// last program that failed, for pipefail is on, or by a signal. told is what it writes to
// standard error then.
func (p *Pipeline) ended(g *group) (exit int, sig syscall.Signal, told string) {
	switch s, all := g.oneSignal(); {
	case !all:
	case s == syscall.SIGTERM, s == syscall.SIGINT, s == syscall.SIGHUP, s == syscall.SIGQUIT:
		// These are sent. Most likely it was to the process group, as in kill 0, and so
		// to bash as well.
		return -1, s, ""
	}
	var b strings.Builder
	for i := range g.procs {
		if err := g.procs[i].err; err != nil {
			fmt.Fprintf(&b, "bash: line %d: %s: %s\n", p.line, p.programs[i], errnoText(err))
		}
	}
	var last syscall.WaitStatus
	for i := range g.procs {
		if s := g.procs[i].status; s != 0 {
			last = s
		}
	}
	if !last.Signaled() {
		return last.ExitStatus(), 0, b.String()
	}
	switch s := last.Signal(); s {
	case syscall.SIGINT, syscall.SIGPIPE:
	case syscall.SIGTERM:
		b.WriteString(statusText(last) + coreText(last, " ", "") + "\n")
	default:
		p.list(&b, g)
	}
	return 128 + int(last.Signal()), 0, b.String()
}

// oneSignal returns the signal that has ended all programs, if it is the same.
func (g *group) oneSignal() (sig syscall.Signal, all bool) {
	for i := range g.procs {
		s := g.procs[i].status
		if !s.Signaled() || i > 0 && s.Signal() != sig {
			return 0, false
		}
		sig = s.Signal()
	}
	return sig, true
}

// list writes how each program has ended, as bash does if a signal has ended one
// (print_pipeline in bash's jobs.c).
func (p *Pipeline) list(b *strings.Builder, g *group) {
	const column = 24 // LONGEST_SIGNAL_DESC
	fmt.Fprintf(b, "bash: line %d: ", p.line)
	for i := range g.procs {
		s, text, pipe, width := g.procs[i].status, "", "", column
		if i > 0 {
			b.WriteString("     ")
			pipe = "| "
		}
		if i == 0 || s != g.procs[0].status {
			text = statusText(s)
		} else {
			width -= len(pipe)
		}
		fmt.Fprintf(b, "%5d %-*s%s%s%s\n", g.procs[i].pid, width, text, coreText(s, "", " "), pipe, p.commands[i].source)
	}
}

// statusText is what bash calls a status.
func statusText(s syscall.WaitStatus) string {
	switch {
	case s.Signaled():
		return signalText(s.Signal())
	case s.ExitStatus() != 0:
		return fmt.Sprintf("Exit %d", s.ExitStatus())
	}
	return "Done"
}

func coreText(s syscall.WaitStatus, before, after string) string {
	if s.CoreDump() {
		return before + "(core dumped)" + after
	}
	return ""
}

// signalText is what strsignal(3) returns in the C locale.
func signalText(sig syscall.Signal) string {
	const firstRealTime = 34 // SIGRTMIN of glibc
	names := [...]string{
		syscall.SIGHUP:    "Hangup",
		syscall.SIGINT:    "Interrupt",
		syscall.SIGQUIT:   "Quit",
		syscall.SIGILL:    "Illegal instruction",
		syscall.SIGTRAP:   "Trace/breakpoint trap",
		syscall.SIGABRT:   "Aborted",
		syscall.SIGBUS:    "Bus error",
		syscall.SIGFPE:    "Floating point exception",
		syscall.SIGKILL:   "Killed",
		syscall.SIGUSR1:   "User defined signal 1",
		syscall.SIGSEGV:   "Segmentation fault",
		syscall.SIGUSR2:   "User defined signal 2",
		syscall.SIGPIPE:   "Broken pipe",
		syscall.SIGALRM:   "Alarm clock",
		syscall.SIGTERM:   "Terminated",
		syscall.SIGSTKFLT: "Stack fault",
		syscall.SIGXCPU:   "CPU time limit exceeded",
		syscall.SIGXFSZ:   "File size limit exceeded",
		syscall.SIGVTALRM: "Virtual timer expired",
		syscall.SIGPROF:   "Profiling timer expired",
		syscall.SIGIO:     "I/O possible",
		syscall.SIGPWR:    "Power failure",
		syscall.SIGSYS:    "Bad system call",
	}
	switch {
	case sig >= firstRealTime:
		return fmt.Sprintf("Real-time signal %d", int(sig)-firstRealTime)
	case int(sig) < len(names) && names[sig] != "":
		return names[sig]
	}
	return fmt.Sprintf("Unknown signal %d", int(sig))
}

// errnoText is what strerror(3) returns in the C locale.
func errnoText(err error) string {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
