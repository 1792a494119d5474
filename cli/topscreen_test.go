package cli_test

import (
	"context"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/node"
)

// TestTopScreen presses keys, makes the terminal wider, and looks at what "s4 top" leaves
// behind, however it ends.
func TestTopScreen(t *testing.T) {
	l, err := node.StartLocal(filepath.Join(t.TempDir(), "cluster"), 2, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	conf := l.Cluster.Path
	if code := cli.Main(t.Context(), []string{"-c", conf, "cp", "-", "s4://b/in/000"}, strings.NewReader("text\n"), io.Discard, io.Discard); code != 0 {
		t.Fatalf("cp: exit code %d", code)
	}
	if code := cli.Main(t.Context(), []string{"-c", conf, "map", "--detach", "s4://b/in", "s4://b/out", "sleep 71.2"}, nil, io.Discard, io.Discard); code != 0 {
		t.Fatalf("map: exit code %d", code)
	}
	const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	for _, test := range []struct {
		name string
		args []string
		use  func(tt *terminal, interrupt func())
		code int
		end  string
	}{
		{"q", []string{"--interval", "0.1"}, func(tt *terminal, _ func()) {
			tt.see(`s4 top  \S+  2 servers  1 job  1 t…`)
			tt.see(`SERVER .*\r\n127\.0\.0\.1:\d+ .*\r\n127\.0\.0\.1:\d+ .*\r\n`)
			tt.user.WriteString("s")
			tt.see(`q quit  s sort by: tasks  `)
			tt.user.WriteString("\x1b[B")
			tt.see(`> [0-9a-f]{8}\x1b`)
			if err := unix.IoctlSetWinsize(int(tt.user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 160}); err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(unix.Getpid(), unix.SIGWINCH); err != nil {
				t.Fatal(err)
			}
			tt.see(`(?s)s4://b/in -> s4://b/out\x1b\[K.*RUNS FOR .*s4://b/in/000\x1b`)
			tt.user.WriteString("q")
		}, 0, leave},
		{"interrupt", []string{"--interval", "0.1"}, func(tt *terminal, interrupt func()) {
			tt.see("RUNS FOR")
			interrupt()
		}, 130, leave},
		{"rounds", []string{"--color", "never", "--interval", "0.1", "-n", "2"}, func(*terminal, func()) {}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tt := openTerminal(t)
			before, err := unix.IoctlGetTermios(int(tt.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			code := make(chan int, 1)
			go func() {
				c := cli.Main(ctx, append([]string{"-c", conf, "top"}, test.args...), tt.File, tt.File, io.Discard)
				tt.Write([]byte("END"))
				code <- c
			}()
			test.use(tt, interrupt)
			tt.see("END$")
			if c := <-code; c != test.code {
				t.Errorf("exit code %d, want %d", c, test.code)
			}
			screen := strings.TrimSuffix(tt.screen.String(), "END")
			_, rest, entered := strings.Cut(screen, enter)
			if !entered || strings.Count(rest, leave) != 1 || !strings.HasSuffix(screen, test.end) {
				t.Errorf("the terminal got %q", screen)
			}
			if _, after, _ := strings.Cut(rest, leave); test.end == "" && (!strings.HasPrefix(after, "s4 top  ") || strings.Contains(after, "\x1b") || !strings.HasSuffix(after, "\r\n")) {
				t.Errorf("the last round is %q", after)
			}
			after, err := unix.IoctlGetTermios(int(tt.Fd()), unix.TCGETS)
			if err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("the terminal was %+v, and is %+v, %v", before, after, err)
			}
		})
	}
}
