package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// escape is a script that leaves a process outside its group, which holds
// stderr and has written its number to the file pid.
var escape = map[string]string{
	"setsid":      `setsid bash -c 'echo $$ >pid; exec sleep 1000' & while [ ! -s pid ]; do sleep 0.005; done; printf said >&2`,
	"job control": `set -m; sleep 1000 & echo $! >pid; printf said >&2`,
	"flood":       `setsid bash -c 'echo $$ >pid; exec cat /dev/zero >&2' & while [ ! -s pid ]; do sleep 0.005; done`,
}

func TestEscapedChild(t *testing.T) {
	for name, script := range escape {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, res := runIn(t, Cmd{Script: script, Dir: dir}) // does not hang
			if res.ExitCode != 0 || (name != "flood" && string(res.Stderr) != "said") {
				t.Errorf("got %+v", res)
			}
			pid := mustPid(t, filepath.Join(dir, "pid"))
			if name != "flood" && !runs(pid) { // that gets a SIGPIPE from the closed pipe
				t.Error("it did not escape, the test is void")
			}
			n, err := KillBelow(dir)
			if err != nil || (name != "flood" && n != 1) {
				t.Errorf("KillBelow: %d, %v; want 1", n, err)
			}
			if runs(pid) {
				t.Errorf("process %d still runs", pid)
			}
		})
	}
}

func TestKillBelow(t *testing.T) {
	// Three directories side by side of which only the first, by way of a
	// symbolic link, is swept. The second's name looks like what the kernel
	// shows for the first when that is removed.
	parent := t.TempDir()
	dir := filepath.Join(parent, "a b")
	link := filepath.Join(parent, "link")
	sub := filepath.Join(dir, "sub (x)")
	others := []string{dir + " (deleted)", dir + "c"}
	for _, d := range append(others, sub) {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}

	pids := map[string][]int{}
	for _, d := range append(others, dir, sub) {
		runIn(t, Cmd{Script: escape["setsid"], Dir: d})
		pids[d] = append(pids[d], mustPid(t, filepath.Join(d, "pid")))
		if err := os.Remove(filepath.Join(d, "pid")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(sub); err != nil {
		t.Fatal(err)
	}

	sweep := func(dir string, want int) {
		t.Helper()
		if n, err := KillBelow(dir); n != want || err != nil {
			t.Errorf("KillBelow(%q): %d, %v; want %d", dir, n, err, want)
		}
	}
	check := func(dir string, want bool) {
		t.Helper()
		for _, pid := range pids[dir] {
			if !want {
				// A process that is killed leaves its directory a moment
				// before it is dead.
				eventually(t, "its death", func() bool { return !runs(pid) })
			} else if !runs(pid) {
				t.Errorf("in %q: dead", dir)
			}
		}
	}
	sweep(link, 2)
	sweep(link, 0)
	check(dir, false)
	check(sub, false)
	for _, d := range others {
		check(d, true)
	}

	// Processes are still found by the former name when their directory, or all of the
	// path to it, has been removed.
	if err := os.RemoveAll(others[1]); err != nil {
		t.Fatal(err)
	}
	sweep(others[1], 1)
	check(others[1], false)
	check(others[0], true)
	sweep(parent, 1)
	check(others[0], false)
}

func TestKillBelowSparesUs(t *testing.T) {
	t.Chdir(t.TempDir())
	if n, err := KillBelow("."); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestKillBelowRefuses(t *testing.T) {
	for _, dir := range []string{"", "/", "//", "/..", "/proc/self/root"} {
		if n, err := KillBelow(dir); n != 0 || err == nil {
			t.Errorf("%q: %d, %v", dir, n, err)
		}
	}
	if n, err := KillBelow(filepath.Join(t.TempDir(), "never", "was")); n != 0 || err != nil {
		t.Errorf("absent: %d, %v", n, err)
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		dir, root string
		want      bool
	}{
		{"/a/b", "/a/b", true},
		{"/a/b/c", "/a/b", true},
		{"/a/bc", "/a/b", false},
		{"/a", "/a/b", false},
		{"(unreachable)/a/b", "/a/b", false},
		{strings.Repeat("/x", 9), "/x", true},
	} {
		if got := below(test.dir, test.root); got != test.want {
			t.Errorf("below(%q, %q) = %v", test.dir, test.root, got)
		}
	}
}
