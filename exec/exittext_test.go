package exec

import (
	"syscall"
	"testing"
	"time"
)

func TestExitText(t *testing.T) {
	for want, r := range map[string]Result{
		"exit 0":                           {},
		"exit 3":                           {ExitCode: 3},
		"killed by signal 9 (killed)":      {ExitCode: -1, Signal: syscall.SIGKILL},
		"killed by signal 40":              {ExitCode: -1, Signal: 40},
		"timed out after 5s":               {ExitCode: -1, Signal: syscall.SIGKILL, TimedOut: true, Timeout: 5 * time.Second},
		"killed by signal 15 (terminated)": {ExitCode: -1, Signal: syscall.SIGTERM, Timeout: time.Second},
	} {
		if got := ExitText(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
