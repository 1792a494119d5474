package exec

import (
	"fmt"
	"strings"
)

// ExitText says in a few words how a command ended, for error lines: "exit 3",
// "killed by signal 9 (killed)" or "timed out after 5s".
func ExitText(r Result) string {
	switch {
	case r.TimedOut:
		return fmt.Sprintf("timed out after %v", r.Timeout)
	case r.Signal != 0:
		text := fmt.Sprintf("killed by signal %d", int(r.Signal))
		// Signals without a name, the real-time ones, print as "signal 40".
		if name := r.Signal.String(); !strings.HasPrefix(name, "signal ") {
			text += " (" + name + ")"
		}
		return text
	}
	return fmt.Sprintf("exit %d", r.ExitCode)
}
