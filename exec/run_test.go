package exec

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestScript(t *testing.T) {
	for _, test := range []struct {
		name, script, out string
		code              int
	}{
		{"success", `echo a; echo b`, "a\nb\n", 0},
		{"empty", ``, "", 0},
		{"exit code", `echo a; exit 3`, "a\n", 3},
		{"errexit", `echo a; false; echo b`, "a\n", 1},
		{"nounset", `echo a; echo $nope; echo b`, "a\n", 1},
		{"pipefail", `(exit 7) | cat; echo b`, "", 7},
		{"lines", "for i in 1 2 3\ndo\n\techo $i\ndone", "1\n2\n3\n", 0},
		{"leading dash", `-x a || echo "code $?"`, "code 127\n", 0},
		{"no such command", `no-such-command-here`, "", 127},
		{"syntax error", `if`, "", 2},
		{"signal of a child", `bash -c 'kill -9 $$'; echo b`, "", 128 + 9},
		{"stdin is /dev/null", `cat; echo end`, "end\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, res := run(t, test.script)
			if out != test.out || res.ExitCode != test.code || res.Signal != 0 || res.TimedOut {
				t.Errorf("got %q, %+v; want %q, code %d", out, res, test.out, test.code)
			}
		})
	}
}

func TestDirAndEnv(t *testing.T) {
	dir := t.TempDir()
	out, _ := runIn(t, Cmd{Script: `pwd -P; echo "$A"; touch made`, Dir: dir, Env: []string{"A=x y"}})
	if want, _ := filepath.EvalSymlinks(dir); out != want+"\nx y\n" {
		t.Errorf("got %q, want %q", out, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err != nil {
		t.Error(err)
	}
}

// A command runs without PATH if the caller has found bash before. Bash calls itself
// "bash" in its messages then, too, and not by its path.
func TestFindBash(t *testing.T) {
	bash := FindBash()
	if !filepath.IsAbs(bash) {
		t.Fatalf("%q", bash)
	}
	t.Setenv("PATH", t.TempDir())
	if path := FindBash(); path != "" {
		t.Errorf("found %q", path)
	}
	_, res := runIn(t, Cmd{Bash: bash, Script: "nosuchthing", Dir: t.TempDir()})
	if got := string(res.Stderr); res.ExitCode != 127 || !strings.HasPrefix(got, "bash: line 1: nosuchthing:") {
		t.Errorf("exit code %d, %q", res.ExitCode, got)
	}
	if _, err := Run(t.Context(), Cmd{Script: "true", Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), `"bash"`) {
		t.Errorf("without bash: %v", err)
	}
}

// Under these conditions bash -c would read ~/.bashrc.
func TestNoStartupFile(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte("echo BASHRC\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, res := runIn(t, Cmd{Script: "echo hi", Dir: home, Env: []string{"HOME=" + home, "SSH_CLIENT=x", "SHLVL=0"}})
	if out != "hi\n" || res.ExitCode != 0 {
		t.Errorf("got %q, %+v", out, res)
	}
}

// Each command must find stdin where the one before it left it, and our file
// must move with it: it is the same open file.
func TestStdinIsTheFile(t *testing.T) {
	in := tempFile(t)
	if _, err := in.WriteString("one\ntwo\nthree\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, _ := runIn(t, Cmd{Script: `read a; echo "got $a"; cat`, Dir: dir, Stdin: in})
	if out != "got one\ntwo\nthree\n" {
		t.Errorf("got %q", out)
	}
	if at, err := in.Seek(0, io.SeekCurrent); err != nil || at != 14 {
		t.Errorf("offset %d, %v; want 14", at, err)
	}
	if _, err := in.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	out, _ = runIn(t, Cmd{Script: `readlink /proc/self/fd/0; cat`, Dir: dir, Stdin: in})
	if out != in.Name()+"\ntwo\nthree\n" {
		t.Errorf("got %q", out)
	}
}

func TestStdoutIsTheFile(t *testing.T) {
	out := tempFile(t)
	res, err := Run(t.Context(), Cmd{Script: `readlink /proc/self/fd/1; readlink /proc/self/fd/2 >&2`, Dir: t.TempDir(), Env: env, Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, out); got != out.Name()+"\n"+out.Name()+"\n" {
		t.Errorf("got %q", got)
	}
	if res.Stderr != nil || res.StderrBytes != 0 {
		t.Errorf("stderr was the caller's, got %+v", res)
	}
	if _, err := out.WriteString("still open"); err != nil {
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		_, res := run(t, "kill -"+strconv.Itoa(int(sig))+" $$; sleep 1000")
		if res.ExitCode != -1 || res.Signal != sig || res.TimedOut {
			t.Errorf("%v: got %+v", sig, res)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	long := ": " + strings.Repeat("x", MaxScript-2)
	for _, test := range []struct {
		name string
		cmd  Cmd
		is   error
		says string
	}{
		{"long script", Cmd{Script: long + "x", Dir: dir}, ErrScriptTooLong, "131072 bytes"},
		{"NUL", Cmd{Script: "echo\x00", Dir: dir}, nil, "NUL"},
		{"no dir", Cmd{Script: "true"}, nil, "directory"},
		{"missing dir", Cmd{Script: "true", Dir: missing}, fs.ErrNotExist, missing},
		{"missing dir, own stderr", Cmd{Script: "true", Dir: missing, Stderr: os.Stderr}, fs.ErrNotExist, missing},
		{"file for dir", Cmd{Script: "true", Dir: file}, syscall.ENOTDIR, file},
		{"environment too long", Cmd{Script: "true", Dir: dir, Env: []string{"A=" + long}}, syscall.E2BIG, dir},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, err := Run(t.Context(), test.cmd)
			if err == nil || !strings.Contains(err.Error(), test.says) || (test.is != nil && !errors.Is(err, test.is)) {
				t.Errorf("got error %v", err)
			}
			if !res.Start.IsZero() && res.Wall != 0 {
				t.Errorf("something was run: %+v", res)
			}
		})
	}
	if _, res := runIn(t, Cmd{Script: long, Dir: dir}); res.ExitCode != 0 {
		t.Errorf("the longest script: got %+v", res)
	}
}

func TestUsage(t *testing.T) {
	before := time.Now()
	_, res := run(t, `for ((i = 0; i < 30000; i++)); do :; done; head -c 1M /dev/zero | cat >/dev/null`)
	if res.User+res.Sys <= 0 || res.Wall <= 0 || res.MaxRSS < 1<<20 || res.MaxRSS > 1<<40 {
		t.Errorf("got %+v", res)
	}
	if res.Start.Before(before) || res.Start.After(time.Now()) {
		t.Errorf("started at %v", res.Start)
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Without a shell, too.
	direct := func(script string) Cmd {
		return Cmd{Script: script, Dir: dir, Env: env, StderrTail: 9, Pipeline: NewPipeline(script, env)}
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			switch i % 5 {
			case 0:
				res, err := Run(ctx, Cmd{Script: `echo x >&2; exit ` + strconv.Itoa(i), Dir: dir, Env: env, StderrTail: 9})
				if err == nil && (res.ExitCode != i || string(res.Stderr) != "x\n") {
					t.Errorf("%d: got %+v", i, res)
				}
			case 3:
				res, err := Run(ctx, direct("cat | sh -c 'cat; echo x >&2; exit "+strconv.Itoa(i)+"' | cat"))
				if err == nil && (res.ExitCode != i || string(res.Stderr) != "x\n" || !res.Direct) {
					t.Errorf("%d: got %+v", i, res)
				}
			case 4:
				if res, err := Run(ctx, direct("sleep 1000 | cat | sleep 1000")); !errors.Is(err, context.Canceled) {
					t.Errorf("%d: got %+v, error %v", i, res, err)
				}
			case 1:
				if _, err := Run(ctx, Cmd{Script: "sleep 1000", Dir: dir, Env: env}); !errors.Is(err, context.Canceled) {
					t.Errorf("%d: got error %v", i, err)
				}
			case 2:
				res, err := Run(context.Background(), Cmd{Script: "sleep 1000", Dir: dir, Env: env, Timeout: 30 * time.Millisecond})
				if err != nil || !res.TimedOut {
					t.Errorf("%d: got %+v, %v", i, res, err)
				}
				if i > 36 {
					cancel()
				}
			}
		})
	}
	wg.Wait()
}
