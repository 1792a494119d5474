package exec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// env is what the commands of these tests get to see.
var env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}

// run runs script in a new directory and returns its stdout.
func run(t *testing.T, script string) (string, Result) {
	t.Helper()
	return runIn(t, Cmd{Script: script, Dir: t.TempDir()})
}

// runIn runs c with what is not set filled in, and returns its stdout.
func runIn(t *testing.T, c Cmd) (string, Result) {
	t.Helper()
	out := tempFile(t)
	c.Stdout, c.Env = out, append(env, c.Env...)
	if c.StderrTail == 0 {
		c.StderrTail = 1 << 10
	}
	res, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return contents(t, out), res
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func contents(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually polls until ok, and fails only when that never happens.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// readPid returns the process id that a script wrote, with a newline, to file.
func readPid(file string) (int, bool) {
	b, _ := os.ReadFile(file)
	line, whole := strings.CutSuffix(string(b), "\n")
	pid, err := strconv.Atoi(line)
	return pid, whole && err == nil
}

func mustPid(t *testing.T, file string) int {
	t.Helper()
	pid, ok := readPid(file)
	if !ok {
		t.Fatalf("no process id in %s", file)
	}
	return pid
}

// runs says whether pid is a process that has not ended.
func runs(pid int) bool {
	state, _, ok := processState(pid)
	return ok && state != 'Z' && state != 'X'
}

// cancelOnce calls cancel as soon as the script has written each of files.
func cancelOnce(t *testing.T, cancel func(), files ...string) {
	t.Helper()
	for _, file := range files {
		eventually(t, file+" is written", func() bool { _, ok := readPid(file); return ok })
	}
	cancel()
}
