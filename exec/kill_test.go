package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

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

// Before Linux 6.9 groups are killed by their numbers.
func TestKillByNumber(t *testing.T) {
	before := canSignalGroups
	defer func() { canSignalGroups = before }()
	canSignalGroups = func() bool { return false }
	t.Run("background", TestBackgroundChildDies)
	t.Run("cancel", TestCancelKillsGrandchildren)
	t.Run("timeout", TestTimeout)
	t.Run("outside group", TestTimeoutOutsideGroup)
}

// A command that closes standard error has not ended by that, and what it leaves in the
// background has not either.
func TestStderrClosedBeforeEnd(t *testing.T) {
	dir := t.TempDir()
	out, res := runIn(t, Cmd{Script: `echo first >&2; exec 2>&-; sleep 1000 & echo $! >pid; sleep 0.05; echo end; exit 3`, Dir: dir})
	if out != "end\n" || res.ExitCode != 3 || string(res.Stderr) != "first\n" {
		t.Errorf("got %q, %+v", out, res)
	}
	if pid := mustPid(t, filepath.Join(dir, "pid")); runs(pid) {
		t.Errorf("process %d outlived Run", pid)
	}
	if _, res := runIn(t, Cmd{Script: `exec 2>&- sleep 1000`, Dir: dir, Timeout: 100 * time.Millisecond}); !res.TimedOut {
		t.Errorf("got %+v", res)
	}
}

// The output must not grow once Run has returned, because its reader hashes it then.
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
	// On a slow machine the timeout may come before bash has started the sleep.
	if pid, ok := readPid(filepath.Join(dir, "pid")); ok && runs(pid) {
		t.Errorf("process %d outlived Run", pid)
	}
	if _, res := runIn(t, Cmd{Script: "exit 4", Dir: dir, Timeout: time.Hour}); res.TimedOut || res.ExitCode != 4 {
		t.Errorf("got %+v", res)
	}
}

// A script may exec a program that leaves the process group of the script. The timeout
// ends it all the same.
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

// runHelper is the server that TestKilledServer kills.
func runHelper(dir string) {
	c := Cmd{Dir: dir, Env: env, Script: `sleep 1000 & echo $! >child; echo $$ >bash; wait`}
	if script := os.Getenv(helperEnv + "_SCRIPT"); script != "" {
		c.Script, c.Pipeline = script, NewPipeline(script, env)
	}
	res, err := Run(context.Background(), c)
	panic(fmt.Sprint(res, err)) // not reached
}

// The programs of a pipeline die with the server, too.
func TestKilledServerPipeline(t *testing.T) {
	dir := t.TempDir()
	server := osexec.Command(os.Args[0])
	server.Env = append(os.Environ(), helperEnv+"="+dir, helperEnv+"_SCRIPT=sh -c 'echo $$ >first; exec sleep 1000' | sh -c 'echo $$ >last; exec sleep 1000'")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	first, last := filepath.Join(dir, "first"), filepath.Join(dir, "last")
	cancelOnce(t, func() { server.Process.Kill() }, first, last)
	server.Wait()
	for _, file := range []string{first, last} {
		pid := mustPid(t, file)
		eventually(t, file+" dies", func() bool { return !runs(pid) })
	}
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
