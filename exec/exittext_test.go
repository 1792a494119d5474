package exec

import (
	"syscall"
	"testing"
	"time"
)

func TestExitText(t *testing.T) {
	for want, r := range map[string]Result{
		"exit 0": {},
		"exit 3": {ExitCode: 3},
		"killed by signal 9 (killed), most likely out of memory":                                   {ExitCode: -1, Signal: syscall.SIGKILL},
		"exit 137, SIGKILL: a command was killed, most likely out of memory":                       {ExitCode: 137},
		"exit 139, SIGSEGV: a command crashed":                                                     {ExitCode: 139},
		"exit 134, SIGABRT: a command gave up by itself, as at a failed assertion":                 {ExitCode: 134},
		"exit 143, SIGTERM: a command was told to end":                                             {ExitCode: 143},
		"exit 141, SIGPIPE: a command in a pipe stopped reading, as head does, and pipefail is on": {ExitCode: 141},
		"exit 128":                         {ExitCode: 128},
		"exit 168":                         {ExitCode: 168},
		"exit 255":                         {ExitCode: 255},
		"killed by signal 40":              {ExitCode: -1, Signal: 40},
		"timed out after 5s":               {ExitCode: -1, Signal: syscall.SIGKILL, TimedOut: true, Timeout: 5 * time.Second},
		"killed: used more than 2 GiB":     {ExitCode: -1, Signal: syscall.SIGKILL, OverMemory: 2 << 30},
		"killed: used more than 1500 MB":   {ExitCode: 137, OverMemory: 1500e6},
		"killed: used more than 4097 B":    {ExitCode: 137, OverMemory: 4097},
		"killed by signal 15 (terminated)": {ExitCode: -1, Signal: syscall.SIGTERM, Timeout: time.Second},
	} {
		if got := ExitText(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
