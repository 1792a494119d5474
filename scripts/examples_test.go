package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// examples are the directories below scripts/examples, and a text that comes out of the
// job of each, beside that its result is right.
var examples = []struct{ name, prints string }{
	{"columnar", `"bytes_pushed":0`},
	{"dedup", "1000 lines, "},
	{"index", "fafa d0"},
	{"join", `"outdir":"s4://shop/joined"` + "\t" + `"bytes_pushed":0`},
	{"python", `"path": "/pay"`},
	{"sort", " 011\n"},
	{"taxi", "  suspended  map "},
	{"topk", "/item/0 "},
}

// exampleTree returns a copy of scripts/examples beside the programs under test, as in
// a checkout after make build, with an s4 that is a script of that text, if it has one.
func exampleTree(t *testing.T, s4 string) string {
	t.Helper()
	tree := t.TempDir()
	dir := filepath.Join(tree, "scripts", "examples")
	if err := os.CopyFS(dir, os.DirFS(script("examples"))); err != nil {
		t.Fatal(err)
	}
	if s4 == "" {
		if err := os.Symlink(bin, filepath.Join(tree, "bin")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := os.Mkdir(filepath.Join(tree, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(bin, "s4-server"), filepath.Join(tree, "bin", "s4-server")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "bin", "s4"), []byte("#!/usr/bin/env bash\n"+s4), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// exampleEnv is the environment of run.sh: temporary files in tmp, and the system's own
// programs first, as a python3 that only looks for another one takes longer than all else.
func exampleEnv(tmp string) []string {
	return []string{"TMPDIR=" + tmp, "PATH=/usr/bin:" + os.Getenv("PATH")}
}

// wantNothing fails the test unless run.sh has left tmp empty, and no process there.
func wantNothing(t *testing.T, tmp string) {
	t.Helper()
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("run.sh has left %v, %v", left, err)
	}
	working, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range working {
		if dir, err := os.Readlink(path); err == nil && strings.HasPrefix(dir, tmp+"/") { // else gone, or another user's
			t.Errorf("run.sh has left %s in %s", filepath.Dir(path), dir)
		}
	}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	dir := exampleTree(t, "")
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"1000"}
			var picture string
			if e.name == "python" {
				if _, err := exec.LookPath("python3"); err != nil {
					t.Skipf("the example needs python3: %v", err)
				}
				picture = filepath.Join(t.TempDir(), "latency.png")
				args = append(args, picture)
			}
			tmp := t.TempDir()
			r := run(t, exampleEnv(tmp), filepath.Join(dir, e.name, "run.sh"), args...).want(t, 0, "the same with s4 and without")
			if !strings.Contains(r.out, e.prints) { // stderr has the text of run.sh
				t.Errorf("nothing said of %q\n%s", e.prints, r.out)
			}
			wantNothing(t, tmp)
			if _, err := exec.LookPath("gnuplot"); err == nil && picture != "" {
				if b, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(b), "\x89PNG") {
					t.Errorf("the picture is no PNG: %v", err)
				}
			}
		})
	}
}

// An s4 that prints another digit than a key has is found out. make soak has every
// example look for it.
func TestExamplesCompare(t *testing.T) {
	t.Parallel()
	dir := exampleTree(t, `case $1 in
cat) "`+bin+`/s4" "$@" | tr 1 2 ;;
*) exec "`+bin+`/s4" "$@" ;;
esac
`)
	for _, e := range examples {
		if e.name != "topk" && os.Getenv("S4_TEST_BIG") == "" {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			r := run(t, exampleEnv(tmp), filepath.Join(dir, e.name, "run.sh"), "1000").want(t, 1)
			if !strings.Contains(r.errOut, "the results with s4 and without differ") {
				t.Errorf("run.sh failed for another reason:\n%s", r.errOut)
			}
			wantNothing(t, tmp)
		})
	}
}

// What the page of an example shows as a command is in its run.sh, and every example is
// in the table of all.
func TestExamplesPages(t *testing.T) {
	table, err := os.ReadFile(script("examples/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(script("examples/*/README.md"))
	if err != nil || len(pages) != len(examples) {
		t.Errorf("%d pages, %d examples, %v", len(pages), len(examples), err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for _, e := range examples {
		dir := script("examples/" + e.name)
		page, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		job, err := os.ReadFile(filepath.Join(dir, "run.sh"))
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllSubmatch(page, -1)
		if len(blocks) < 2 {
			t.Errorf("%s: %d commands on its page", e.name, len(blocks))
		}
		for _, b := range blocks {
			if !strings.Contains(string(job), string(b[1])) {
				t.Errorf("%s: not in run.sh:\n%s", e.name, b[1])
			}
		}
		if !strings.Contains(string(table), "["+e.name+"]("+e.name+"/README.md)") {
			t.Errorf("%s is not in the table of all examples", e.name)
		}
	}
}

func TestExamplesUsage(t *testing.T) {
	dir := exampleTree(t, "")
	for _, e := range examples {
		job := filepath.Join(dir, e.name, "run.sh")
		run(t, nil, job, "--help").want(t, 0, "Usage: scripts/examples/"+e.name+"/run.sh [ROWS")
		run(t, nil, job, "many").want(t, 2, "ROWS is a number")
	}
	if err := os.Remove(filepath.Join(dir, "..", "..", "bin")); err != nil {
		t.Fatal(err)
	}
	run(t, nil, filepath.Join(dir, "topk", "run.sh")).want(t, 1, "run make build first")
}

// Ctrl-C in the middle leaves nothing behind.
func TestExamplesInterrupted(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	cmd := exec.Command(filepath.Join(exampleTree(t, ""), "sort", "run.sh"), "100000000") // for minutes
	cmd.Env = append(os.Environ(), exampleEnv(tmp)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "records are made", func() bool {
		made, err := filepath.Glob(filepath.Join(tmp, "*", "records"))
		return err == nil && len(made) == 1
	})
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("run.sh has ended as if all were done")
	}
	wantNothing(t, tmp)
}
