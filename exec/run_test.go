package exec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

func TestStderrAsWritten(t *testing.T) {
	want := "100%s %n %d %%\n\x00\xff\xfe\r\n\x1b[0m no newline"
	_, res := run(t, `printf '100%%s %%n %%d %%%%\n\0\xff\xfe\r\n\x1b[0m no newline' >&2`)
	if string(res.Stderr) != want || res.StderrBytes != int64(len(want)) {
		t.Errorf("got %q, %d bytes", res.Stderr, res.StderrBytes)
	}
}

func TestStderrTail(t *testing.T) {
	for _, test := range []struct {
		keep int
		want string
	}{{4, "6789"}, {10, "0123456789"}, {11, "0123456789"}, {-1, ""}} {
		_, res := runIn(t, Cmd{Script: `printf 01234 >&2; printf 56789 >&2`, Dir: t.TempDir(), StderrTail: test.keep})
		if string(res.Stderr) != test.want || res.StderrBytes != 10 {
			t.Errorf("keep %d: got %q, %d bytes", test.keep, res.Stderr, res.StderrBytes)
		}
	}
}

func TestStderrFlood(t *testing.T) {
	const size, keep = 64 << 20, 4 << 10
	dir := t.TempDir()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := Run(t.Context(), Cmd{Script: `head -c 67108864 /dev/zero >&2; printf end >&2`, Dir: dir, Env: env, StderrTail: keep})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != 0 || res.StderrBytes != size+3 {
		t.Errorf("code %d, %d bytes", res.ExitCode, res.StderrBytes)
	}
	if want := string(make([]byte, keep-3)) + "end"; string(res.Stderr) != want {
		t.Errorf("got %d bytes, ending in %q", len(res.Stderr), res.Stderr[max(0, len(res.Stderr)-10):])
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("allocated %d bytes for a %d byte tail", used, keep)
	}
}

// All that was written before the end must arrive, however late it is read.
func TestStderrComplete(t *testing.T) {
	dir := t.TempDir()
	for range 20 {
		_, res := runIn(t, Cmd{Script: `head -c 60000 /dev/zero >&2; printf end >&2; kill -9 $$`, Dir: dir})
		if res.StderrBytes != 60003 || !bytes.HasSuffix(res.Stderr, []byte("end")) {
			t.Fatalf("got %d bytes", res.StderrBytes)
		}
	}
}

func TestBackgroundChildDies(t *testing.T) {
	for name, script := range map[string]string{
		"exit":    `sleep 1000 & echo $! >pid`,
		"failure": `sleep 1000 & echo $! >pid; false`,
		"signal":  `sleep 1000 & echo $! >pid; kill -9 $$`,
		"nohup":   `nohup bash -c 'trap "" TERM HUP INT; sleep 1000; true' >/dev/null 2>&1 & echo $! >pid`,
		"stopped": `sleep 1000 & echo $! >pid; kill -STOP $!`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			runIn(t, Cmd{Script: script, Dir: dir})
			if pid := mustPid(t, filepath.Join(dir, "pid")); runs(pid) {
				t.Errorf("process %d outlived Run", pid)
			}
		})
	}
}

// The output must not grow after Run: its reader hashes it then.
func TestOutputIsFinal(t *testing.T) {
	dir := t.TempDir()
	for range 10 {
		out := tempFile(t)
		_, err := Run(t.Context(), Cmd{Script: `cat /dev/zero | head -c 1G & sleep 0.02`, Dir: dir, Env: env, Stdout: out})
		if err != nil {
			t.Fatal(err)
		}
		first, err := out.Stat()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		if second, err := out.Stat(); err != nil || first.Size() != second.Size() {
			t.Fatalf("grew from %d to %d bytes after Run (%v)", first.Size(), second.Size(), err)
		}
		out.Truncate(0)
	}
}

// cancelOnce calls cancel as soon as the script has written each of files.
func cancelOnce(t *testing.T, cancel func(), files ...string) {
	t.Helper()
	for _, file := range files {
		eventually(t, file+" is written", func() bool { _, ok := readPid(file); return ok })
	}
	cancel()
}

func TestCancelKillsGrandchildren(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("job 7 failed")
	child, grand := filepath.Join(dir, "child"), filepath.Join(dir, "grand")
	var (
		wg  sync.WaitGroup
		res Result
		err error
	)
	wg.Go(func() {
		res, err = Run(ctx, Cmd{Dir: dir, Env: env, StderrTail: 100, Script: `
			printf before >&2
			bash -c 'echo $$ >child; trap "" TERM INT; (echo $BASHPID >grand; sleep 1000; true); true'
			echo after >&2`})
	})
	cancelOnce(t, func() { cancel(cause) }, child, grand)
	wg.Wait()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("got error %v", err)
	}
	if res.Signal != syscall.SIGKILL || res.TimedOut || string(res.Stderr) != "before" || res.Wall <= 0 {
		t.Errorf("got %+v", res)
	}
	for _, file := range []string{child, grand} {
		if pid := mustPid(t, file); runs(pid) {
			t.Errorf("%s, process %d, outlived Run", file, pid)
		}
	}
}

func TestCanceledBeforeStart(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Cmd{Script: "touch made", Dir: dir, Env: env}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("the command was run")
	}
}

func TestContextDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	res, err := Run(ctx, Cmd{Script: "sleep 1000", Dir: t.TempDir(), Env: env, Timeout: time.Hour})
	if !errors.Is(err, context.DeadlineExceeded) || res.TimedOut {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	_, res := runIn(t, Cmd{Script: "sleep 1000 & echo $! >pid; wait", Dir: dir, Timeout: 200 * time.Millisecond})
	if !res.TimedOut || res.Signal != syscall.SIGKILL || res.ExitCode != -1 {
		t.Errorf("got %+v", res)
	}
	if got := ExitText(res); got != "timed out after 200ms" {
		t.Errorf("got %q", got)
	}
	// On a machine so slow that bash did not get there, there is no sleep.
	if pid, ok := readPid(filepath.Join(dir, "pid")); ok && runs(pid) {
		t.Errorf("process %d outlived Run", pid)
	}
	if _, res := runIn(t, Cmd{Script: "exit 4", Dir: dir, Timeout: time.Hour}); res.TimedOut || res.ExitCode != 4 {
		t.Errorf("got %+v", res)
	}
}

// A script may exec a program that is no longer in the group that it leads.
func TestTimeoutOutsideGroup(t *testing.T) {
	if _, err := osexec.LookPath("python3"); err != nil {
		t.Skip("no python3 to call setpgid with")
	}
	_, res := runIn(t, Cmd{Dir: t.TempDir(), Timeout: time.Second, Script: `
		sleep 1000 &
		exec python3 -c 'import os, time; os.setpgid(0, os.getpgid(os.getppid())); time.sleep(1000)'`})
	if !res.TimedOut {
		t.Errorf("got %+v, %s", res, res.Stderr)
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
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			switch i % 3 {
			case 0:
				res, err := Run(ctx, Cmd{Script: `echo x >&2; exit ` + strconv.Itoa(i), Dir: dir, Env: env, StderrTail: 9})
				if err == nil && (res.ExitCode != i || string(res.Stderr) != "x\n") {
					t.Errorf("%d: got %+v", i, res)
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
				if i > 20 {
					cancel()
				}
			}
		})
	}
	wg.Wait()
}

// runHelper is the server that TestKilledServer kills.
func runHelper(dir string) {
	_, err := Run(context.Background(), Cmd{Dir: dir, Env: env, Script: `sleep 1000 & echo $! >child; echo $$ >bash; wait`})
	panic(err) // not reached
}

// When the server is killed, bash dies by Pdeathsig and the sweep finds the rest.
func TestKilledServer(t *testing.T) {
	dir := t.TempDir()
	server := osexec.Command(os.Args[0])
	server.Env = append(os.Environ(), helperEnv+"="+dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	cancelOnce(t, func() { server.Process.Kill() }, filepath.Join(dir, "child"), filepath.Join(dir, "bash"))
	server.Wait()
	bash := mustPid(t, filepath.Join(dir, "bash"))
	eventually(t, "bash dies", func() bool { return !runs(bash) })
	if n, err := KillBelow(dir); n != 1 || err != nil {
		t.Errorf("KillBelow: %d, %v; want the sleep", n, err)
	}
	if pid := mustPid(t, filepath.Join(dir, "child")); runs(pid) {
		t.Error("the sleep still runs")
	}
}

func BenchmarkRun(b *testing.B) {
	c := Cmd{Script: "true", Dir: b.TempDir(), Env: env, StderrTail: 4 << 10}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBare is what os/exec alone takes, to compare BenchmarkRun with.
func BenchmarkBare(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cmd := osexec.Command("bash", "--norc", "-e", "-u", "-o", "pipefail", "-c", "--", "true")
		cmd.Env = env
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
