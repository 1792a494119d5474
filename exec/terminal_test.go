package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// screen is a terminal whose user is a test.
type screen struct {
	*Terminal
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder // guarded by mu
	end  chan error      // why no more comes
}

func openScreen(t *testing.T) *screen {
	t.Helper()
	term, err := OpenTerminal(80, 24)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{Terminal: term, t: t, end: make(chan error, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := term.Master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				s.end <- err
				return
			}
		}
	}()
	t.Cleanup(func() { term.Close() })
	return s
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := s.Master.WriteString(text); err != nil {
		s.t.Error(err)
	}
}

func (s *screen) see(text string) {
	s.t.Helper()
	eventually(s.t, text+" is on the screen", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(s.text.String(), text)
	})
}

// shell starts an interactive shell; wait returns how it ended.
func (s *screen) shell(ctx context.Context, dir string) (wait func() (Result, error)) {
	type ended struct {
		res Result
		err error
	}
	done := make(chan ended, 1)
	go func() {
		res, err := Run(ctx, Cmd{Shell: true, Session: true, Dir: dir, Env: append(env, "PS1=ready>", "HISTFILE="),
			Stdin: s.Slave, Stdout: s.Slave, Stderr: s.Slave})
		done <- ended{res, err}
	}()
	return func() (Result, error) {
		e := <-done
		s.Slave.Close()
		return e.res, e.err
	}
}

// An interactive shell has a terminal of its own with job control, and all of its jobs
// die with it.
func TestShellOnTerminal(t *testing.T) {
	s, dir := openScreen(t), t.TempDir()
	wait := s.shell(t.Context(), dir)
	s.see("ready>")
	s.typed("stty size\n")
	s.see("24 80")
	if err := s.Resize(100, 30); err != nil {
		t.Error(err)
	}
	s.typed("stty size\n")
	s.see("30 100")
	s.typed("false; echo goes on | tr a-z A-Z\n") // no errexit
	s.see("GOES ON")
	s.typed("sleep 1000 & echo $! >first; nohup sleep 1000 >/dev/null & disown; echo $! >second; (set -m; sleep 1000 & echo $! >third)\n")
	eventually(t, "the jobs run", func() bool { _, ok := readPid(filepath.Join(dir, "third")); return ok })
	s.typed("bash -c 'echo in the $((1))st place; exec sleep 1000'\n")
	s.see("in the 1st place")
	s.typed("\x03")
	s.typed("echo code $((100 + $?))\n")
	s.see("code 230") // 128 and SIGINT
	s.typed("exit 7\n")
	res, err := wait()
	if err != nil || res.ExitCode != 7 {
		t.Errorf("got %+v, %v", res, err)
	}
	for _, file := range []string{"first", "second", "third"} {
		if pid := mustPid(t, filepath.Join(dir, file)); runs(pid) {
			t.Errorf("the %s job outlived the shell", file)
		}
	}
	if err := <-s.end; !errors.Is(err, syscall.EIO) {
		t.Errorf("the terminal ended with %v", err)
	}
}

func TestShellCanceled(t *testing.T) {
	s, dir := openScreen(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	wait := s.shell(ctx, dir)
	s.typed("trap '' HUP TERM INT; sleep 1000 & echo $! >background; bash -c 'echo $$ >foreground; sleep 1000'\n")
	cancelOnce(t, cancel, filepath.Join(dir, "background"), filepath.Join(dir, "foreground"))
	if _, err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, file := range []string{"background", "foreground"} {
		if pid := mustPid(t, filepath.Join(dir, file)); runs(pid) {
			t.Errorf("the %s job outlived the shell", file)
		}
	}
	if err := <-s.end; !errors.Is(err, syscall.EIO) {
		t.Errorf("the terminal ended with %v", err)
	}
}

// Without a terminal, bash reads a script from standard input.
func TestShellFromPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	go func() {
		_, _ = w.WriteString("false\necho $-; set -m; sleep 1000 & echo $! >pid\nread -r line\nthis is input\necho \"$line\"; exit 3\n")
		w.Close()
	}()
	out, res := runIn(t, Cmd{Shell: true, Session: true, Dir: dir, Stdin: r})
	if !strings.HasSuffix(out, "\nthis is input\n") || strings.ContainsAny(strings.Split(out, "\n")[0], "eui") || res.ExitCode != 3 {
		t.Errorf("got %q, %+v", out, res)
	}
	if pid := mustPid(t, filepath.Join(dir, "pid")); runs(pid) {
		t.Error("a job with a group of its own outlived Run")
	}
}
