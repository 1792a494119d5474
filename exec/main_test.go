package exec

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperEnv makes the test binary be a server that runs one long command in
// the directory it names, to be killed.
const helperEnv = "S4_EXEC_TEST_HELPER"

// TestMain makes this process the parent of orphans (prctl(2),
// PR_SET_CHILD_SUBREAPER). A process that a test leaves running is then a child of
// this one at the end, and fails the run. So does a goroutine or an open pipe that is
// left. Orphans that end stay zombies until then, as below an init that does not reap.
func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		runHelper(dir)
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl:", err)
		os.Exit(1)
	}
	inherited := openPipes()
	code := m.Run()
	if left := leftovers(inherited); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		code = 1
	}
	os.Exit(code)
}

// leftovers says what the tests left behind, "" for nothing.
func leftovers(inherited string) string {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR || pid > 0 { // a zombie is fine
			continue
		}
		if err == syscall.ECHILD {
			break
		}
		return "a running child process"
	}
	// A goroutine may take a moment to be gone after its last statement.
	stacks := ""
	for range 500 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "s4/exec.(") && !strings.Contains(stacks, "s4/exec.Run") {
			stacks = ""
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if stacks != "" {
		return "a goroutine:\n" + stacks
	}
	if pipes := openPipes(); pipes != inherited {
		return "open pipes:" + pipes + ", not" + inherited
	}
	return ""
}

// openPipes names the pipes and pidfds that this process has open.
func openPipes() string {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err.Error()
	}
	pipes := ""
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && (strings.HasPrefix(to, "pipe:") || strings.Contains(to, "pidfd")) {
			pipes += " " + fd.Name() + "=" + to
		}
	}
	return pipes
}
