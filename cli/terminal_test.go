package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/node"
)

// terminal is a terminal of 40 columns, which a test looks at from the other
// side.
type terminal struct {
	*os.File // for the program
	t        *testing.T
	user     *os.File
	screen   strings.Builder // all that has come
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no /dev/ptmx")
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	t.Cleanup(func() { user.Close() })
	check(unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	check(err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	t.Cleanup(func() { tty.Close() })
	check(unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 40}))
	return &terminal{File: tty, t: t, user: user}
}

// see reads until the screen has what matches the pattern.
func (tt *terminal) see(pattern string) {
	tt.t.Helper()
	re := regexp.MustCompile(pattern)
	buf := make([]byte, 4096)
	for !re.MatchString(tt.screen.String()) {
		n, err := tt.user.Read(buf)
		tt.screen.Write(buf[:n])
		if err != nil {
			tt.t.Fatalf("%v; the terminal got %q, which does not match %s", err, tt.screen.String(), pattern)
		}
	}
}

// rows returns what a person saw last in each row, and fails the test if a
// line was too long, or was not erased before another.
func (tt *terminal) rows() []string {
	tt.t.Helper()
	const erase = "\x1b[K"
	rows := strings.Split(tt.screen.String(), "\r\n")
	for i, row := range rows {
		states := strings.Split(row, "\r")
		for _, s := range states {
			if strings.HasPrefix(s, "map ") && (!strings.HasSuffix(s, erase) || utf8.RuneCountInString(s) >= 40+len(erase)) {
				tt.t.Errorf("progress is %q", s)
			}
		}
		rows[i] = strings.ReplaceAll(states[len(states)-1], erase, "")
	}
	return rows
}

// startTerminal runs s4 with a terminal as standard error, on a cluster whose
// keys are s4://b/in/000 and 001. wait returns its exit code.
func startTerminal(t *testing.T, args ...string) (tt *terminal, dir string, interrupt func(), wait func() int) {
	t.Helper()
	tt = openTerminal(t)
	dir = t.TempDir()
	l, err := node.StartLocal(filepath.Join(dir, "cluster"), 3, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, key := range []string{"s4://b/in/000", "s4://b/in/001"} {
		if code := cli.Main(t.Context(), []string{"-c", l.Cluster.Path, "cp", "-", key}, strings.NewReader("text\n"), io.Discard, io.Discard); code != 0 {
			t.Fatalf("cp: exit code %d", code)
		}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$DIR", dir)
	}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- cli.Main(ctx, append([]string{"-c", l.Cluster.Path}, args...), nil, io.Discard, tt.File)
	}()
	wait = func() int {
		c := <-code
		tt.Write([]byte("END")) // what comes before has been read when this is seen
		tt.see("END")
		return c
	}
	t.Cleanup(cancel)
	return tt, dir, cancel, wait
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	tt, dir, _, wait := startTerminal(t, "map", "-k", "s4://b/in", "s4://b/out",
		"until test -e $DIR/go; do sleep 0.02; done; if test $filename = 000; then echo oh >&2; exit 3; fi; until test -e $DIR/on; do sleep 0.02; done; cat")
	tt.see(`\rmap 0/2 tasks\x1b\[K`)
	touch(t, dir, "go")
	tt.see(`\r\x1b\[Ks4: map s4://b/in/000: command failed: exit 3 on 127\.0\.0\.1:\d+\r\noh\r\n`)
	tt.see(`\rmap 1/2 tasks, 1 failed, 5 B in`)
	touch(t, dir, "on")
	if code := wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	rows := strings.Join(tt.rows(), "\n")
	ok, err := regexp.MatchString(`\As4: map s4://b/in/000: .*\noh\n2 tasks, 1 failed, 10 B in, 5 B out in 1 key, .*s\ns4: map s4://b/in: 1 of 2 tasks failed\nEND\z`, rows)
	if err != nil || !ok {
		t.Errorf("on the screen is %q", rows)
	}
}

func TestTerminalInterrupted(t *testing.T) {
	t.Parallel()
	tt, _, interrupt, wait := startTerminal(t, "map", "s4://b/in", "s4://b/out", "sleep 71.1")
	tt.see(`\rmap 0/2 tasks`)
	interrupt()
	if code := wait(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if rows := strings.Join(tt.rows(), "\n"); rows != "s4: map: interrupted\nEND" {
		t.Errorf("on the screen is %q", rows)
	}
}

func TestTerminalQuiet(t *testing.T) {
	t.Parallel()
	tt, _, _, wait := startTerminal(t, "map", "-q", "s4://b/in", "s4://b/out", "sleep 0.5; cat")
	if code := wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if rows := strings.Join(tt.rows(), "\n"); rows != "END" {
		t.Errorf("on the screen is %q", rows)
	}
}

func touch(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
		t.Fatal(err)
	}
}
