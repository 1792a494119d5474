package exec

import (
	"fmt"
	"strings"
	"syscall"
)

// ExitText says in a few words how a command ended, for error lines: "exit 3",
// "timed out after 5s", "killed: used more than 2 GiB", "killed by signal 15 (terminated)", or, where the number
// tells more than it says, "exit 137, SIGKILL: …".
func ExitText(r Result) string {
	switch {
	case r.TimedOut:
		return fmt.Sprintf("timed out after %v", r.Timeout)
	case r.OverMemory > 0 && (r.Signal != 0 || r.ExitCode != 0):
		return "killed: used more than " + sizeText(r.OverMemory)
	case r.Signal != 0:
		text := fmt.Sprintf("killed by signal %d", int(r.Signal))
		// Signals without a name, the real-time ones, print as "signal 40".
		if name := r.Signal.String(); !strings.HasPrefix(name, "signal ") {
			text += " (" + name + ")"
		}
		if r.Signal == syscall.SIGKILL {
			text += ", " + likelyMemory
		}
		return text
	}
	text := fmt.Sprintf("exit %d", r.ExitCode)
	if why := signalExit(r.ExitCode); why != "" {
		text += ", " + why
	}
	return text
}

// sizeText writes a number of bytes in the largest unit that it is a multiple of.
func sizeText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1e12, "TB"}, {1 << 30, "GiB"}, {1e9, "GB"}, {1 << 20, "MiB"}, {1e6, "MB"}, {1 << 10, "KiB"}, {1e3, "kB"}} {
		if n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// likelyMemory is what most often sends SIGKILL on a server that runs commands.
const likelyMemory = "most likely out of memory"

// signalExit explains the exit code that bash makes of a command that a signal
// ended: 128 plus the signal's number (bash(1), "EXIT STATUS"). It is "" for
// others.
func signalExit(code int) string {
	switch syscall.Signal(code - 128) {
	case syscall.SIGPIPE:
		return "SIGPIPE: a command in a pipe stopped reading, as head does, and pipefail is on"
	case syscall.SIGKILL:
		return "SIGKILL: a command was killed, " + likelyMemory
	case syscall.SIGTERM:
		return "SIGTERM: a command was told to end"
	case syscall.SIGABRT:
		return "SIGABRT: a command gave up by itself, as at a failed assertion"
	case syscall.SIGSEGV:
		return "SIGSEGV: a command crashed"
	case syscall.SIGBUS:
		return "SIGBUS: a command crashed, or a file it had mapped was cut short"
	case syscall.SIGFPE:
		return "SIGFPE: a command divided by zero"
	case syscall.SIGILL:
		return "SIGILL: a command was built for another CPU, or crashed"
	}
	return ""
}
