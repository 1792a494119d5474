package nodetest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen soon. It is a guard
// against hanging and not a measurement: the machine may be busy.
const patience = 20 * time.Second

// Eventually polls until ok, and fails the test if that does not come.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// Main runs the tests of a package and then checks that no goroutine of s4 and no child
// process is left. It makes this process the reaper of orphans (prctl(2),
// PR_SET_CHILD_SUBREAPER), so that every process left by a task becomes its child.
func Main(m *testing.M) int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl:", err)
		return 1
	}
	// A program built with -race sleeps a second before it exits. Those that tests
	// start need not.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	code := m.Run()
	if left := leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		return 1
	}
	return code
}

// leftovers describes what is left, or returns "".
func leftovers() string {
	end := time.Now().Add(patience)
	for {
		left := children()
		if left == "" {
			left = strings.Join(Goroutines(), "\n\n")
		}
		if left == "" || time.Now().After(end) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func children() string {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR || pid > 0: // a zombie is fine
		case err == syscall.ECHILD:
			return ""
		default:
			return "a running child process"
		}
	}
}

// Goroutines returns the stacks of all goroutines that run code of s4, except the
// caller's and those of tests.
func Goroutines() []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i == 0 || strings.Contains(g, "testing.tRunner") || strings.Contains(g, "testing.(*F)") {
			continue
		}
		if strings.Contains(g, "s4/") || strings.Contains(g, "s4.(") {
			found = append(found, g)
		}
	}
	return found
}

// Processes returns the ids of the processes that run (zombies do not) with
// marker in an argument.
func Processes(marker string) []int {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []int
	for _, f := range list {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), marker) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Files returns the regular files below dir, by path relative to it, except the
// server's lock and its records of finished jobs.
func Files(tb testing.TB, dir string) []string {
	tb.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if d.IsDir() && (rel == "_s4/history" || rel == "_s4/committed" || rel == "_s4/shuffled") {
			return filepath.SkipDir
		}
		if !d.IsDir() && rel != "_s4/lock" && rel != "_s4/boot" {
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// Staged returns what is in the directories of running jobs and evals.
func Staged(tb testing.TB, data string) []string {
	tb.Helper()
	list, err := os.ReadDir(filepath.Join(data, "_s4", "jobs"))
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, d := range list {
		names = append(names, d.Name())
	}
	return names
}
