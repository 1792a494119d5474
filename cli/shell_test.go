package cli_test

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/node"
)

// shellUser has a terminal on which s4 shell runs.
type shellUser struct {
	*terminal
	cluster *node.Local
	before  *unix.Termios
	code    chan any // the exit code, or what it panicked with
}

// startShell runs s4 with a terminal for all three standard streams, but for what stdout
// replaces, on a cluster with the key s4://b/in/000. The argument $ID is a job's.
func startShell(ctx context.Context, t *testing.T, stdout io.Writer, args ...string) *shellUser {
	t.Helper()
	u := &shellUser{terminal: openTerminal(t), code: make(chan any, 1)}
	var err error
	if u.cluster, err = node.StartLocal(filepath.Join(t.TempDir(), "cluster"), 3, 0, node.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.cluster.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	conf := u.cluster.Cluster.Path
	if code := cli.Main(t.Context(), []string{"-c", conf, "cp", "-", "s4://b/in/000"}, strings.NewReader("text\n"), io.Discard, io.Discard); code != 0 {
		t.Fatalf("cp: exit code %d", code)
	}
	if i := slices.Index(args, "$ID"); i >= 0 {
		client := s4.NewClient(u.cluster.Cluster, nil)
		defer client.Close()
		job, err := client.Map(t.Context(), "s4://b/in", "s4://b/out", "tr a-z A-Z", nil)
		if err != nil {
			t.Fatal(err)
		}
		args[i] = job.ID
	}
	if u.before, err = unix.IoctlGetTermios(int(u.Fd()), unix.TCGETS); err != nil {
		t.Fatal(err)
	}
	if stdout == nil {
		stdout = u.File
	}
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				u.code <- r
			}
		}()
		u.code <- cli.Main(ctx, append([]string{"-c", conf}, args...), u.File, stdout, u.File)
	}()
	return u
}

func (u *shellUser) typed(text string) {
	u.t.Helper()
	if _, err := u.user.WriteString(text); err != nil {
		u.t.Error(err)
	}
}

// ends waits for the end of s4, and looks at the terminal's settings.
func (u *shellUser) ends(code any) {
	u.t.Helper()
	if got := <-u.code; got != code {
		u.t.Errorf("exit code %v, want %v; on the screen is %q", got, code, u.screen.String())
	}
	after, err := unix.IoctlGetTermios(int(u.Fd()), unix.TCGETS)
	if err != nil || *after != *u.before {
		u.t.Fatalf("the terminal is %+v, was %+v (%v)", after, u.before, err)
	}
}

func TestShellOnTerminal(t *testing.T) {
	u := startShell(t.Context(), t, nil, "shell", "s4://b/in/000")
	u.see(`\[s4://b/in/000 shell-\d+\]`)
	u.typed("cat $S4_FILE; stty size\r")
	u.see("text\r\n24 40\r\n")
	if err := unix.IoctlSetWinsize(int(u.user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 50}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGWINCH); err != nil { // it is not our controlling terminal
		t.Fatal(err)
	}
	u.typed("until [ \"$(stty size)\" = '30 50' ]; do sleep 0.01; done; echo now $((30 + 50))\r")
	u.see("now 80")
	u.typed("bash -c 'echo sleeping $((1)); exec sleep 71.2'\r")
	u.see("sleeping 1")
	u.typed("\x03")
	u.typed("exit $((100 + $?))\r") // 128 and SIGINT
	u.ends(230)
}

func TestShellEscape(t *testing.T) {
	t.Parallel()
	u := startShell(t.Context(), t, nil, "shell", "--server", "1")
	u.see(`\[server 1 shell-\d+\]`)
	u.typed("bash -c 'trap \"\" HUP INT TERM; echo sleeping $((1)); sleep 71.3; :'\r")
	u.see("sleeping 1")
	u.typed("\x03\r~.")
	u.ends(1)
	u.see(`\r\ns4: shell 1: disconnected, and the shell is ended\r\n`)
}

// A shell on this machine is as one on a server.
func TestReplayShellOnTerminal(t *testing.T) {
	t.Parallel()
	u := startShell(t.Context(), t, nil, "jobs", "replay", "--shell", "$ID", "s4://b/in/000")
	u.see(`\[replay s4://b/in/000 work\]`)
	u.typed("stty size; bash -euo pipefail $S4_COMMAND <$S4_INPUT\r")
	u.see("24 40\r\nTEXT\r\n")
	u.typed("sleep 71.4 & bash -c 'echo sleeping $((1)); exec sleep 71.4'\r")
	u.see("sleeping 1")
	u.typed("\x03")
	u.typed("exit $((100 + $?))\r") // 128 and SIGINT
	u.ends(230)
}

// However a shell ends, the terminal is as before.
func TestShellTerminalRestored(t *testing.T) {
	t.Parallel()
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		u := startShell(ctx, t, nil, "shell", "s4://b/in/000")
		u.see(`shell-\d+\]`)
		cancel()
		u.ends(130)
		u.see("s4: shell: interrupted")
	})
	t.Run("server lost", func(t *testing.T) {
		t.Parallel()
		u := startShell(t.Context(), t, nil, "shell", "s4://b/in/000")
		u.see(`shell-\d+\]`)
		if err := u.cluster.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		u.ends(1)
		u.see(`\r\ns4: shell s4://b/in/000: the server is stopping on `)
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		u := startShell(t.Context(), t, panics{}, "shell", "s4://b/in/000")
		u.ends("no more paper")
	})
	t.Run("no such key", func(t *testing.T) {
		t.Parallel()
		u := startShell(t.Context(), t, nil, "shell", "s4://b/none")
		u.ends(1)
		u.see("no such key")
	})
}

type panics struct{}

func (panics) Write([]byte) (int, error) { panic("no more paper") }
