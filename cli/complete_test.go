package cli_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/node"
)

// told CMD ARG... = CANDIDATE... :N waits until this is what CMD tells a shell that
// completes the last ARG, but for at most 10 s: what a busy machine does not find out
// within 300 ms, CMD does not know.
func told(ts *testscript.TestScript, neg bool, args []string) {
	is := slices.Index(args, "=")
	if neg || is < 2 {
		ts.Fatalf("usage: told CMD ARG... = CANDIDATE... :N")
	}
	ask := append([]string{cobra.ShellCompNoDescRequestCmd}, args[1:is]...)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec(args[0], ask...))
		got := strings.Fields(ts.ReadFile("stdout"))
		if slices.Equal(got, args[is+1:]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("told %q, want %q", got, args[is+1:])
		}
	}
}

// TestCompletionOfHangingServer ends, and has nothing, if a server accepts and is silent.
func TestCompletionOfHangingServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conf := filepath.Join(t.TempDir(), "s4.conf")
	if err := os.WriteFile(conf, []byte(l.Addr().String()+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	code := cli.Main(t.Context(), []string{cobra.ShellCompRequestCmd, "-c", conf, "ls", "s4://b/"}, nil, &out, &errs)
	if code != 0 || out.String() != ":4\n" {
		t.Errorf("exit code %d, told %q, %q", code, out.String(), errs.String())
	}
}

// write types text.
func (tt *terminal) write(text string) {
	tt.t.Helper()
	if _, err := tt.user.WriteString(text); err != nil {
		tt.t.Fatal(err)
	}
}

// TestBash presses Tab in a real bash, which splits words at the colon of s4://.
func TestBash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := node.StartLocal(filepath.Join(dir, "data"), 2, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, key := range []string{"s4://bucket/prefix/000", "s4://bucket/prefix/sub/001", "s4://bucket/other"} {
		var errs strings.Builder
		if code := cli.Main(t.Context(), []string{"-c", l.Cluster.Path, "cp", "-", key}, strings.NewReader("x"), &errs, &errs); code != 0 {
			t.Fatal(errs.String())
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "local-file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	tty := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200}); err != nil {
		t.Fatal(err)
	}
	bash := exec.Command("bash", "--norc", "--noprofile", "-i")
	bash.Dir = dir
	bash.Env = append(os.Environ(), "S4_CONF_PATH="+l.Cluster.Path, "TERM=dumb", "PS1=> ", "HISTFILE=", "INPUTRC=/dev/null")
	bash.Stdin, bash.Stdout, bash.Stderr = tty.File, tty.File, tty.File
	bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bash.Process.Kill()
		_ = bash.Wait() // killed
	}()
	tty.write("source <(s4 completion bash); echo rea''dy\n")
	tty.see("ready")
	for _, test := range []struct{ typed, want string }{
		{"s4 conf", "s4 config "},
		{"s4 ls s4://b", "s4 ls s4://bucket/"},
		{"s4 ls s4://bucket/p", "s4 ls s4://bucket/prefix/"},
		{"s4 ls -r s4://bucket/prefix/s", "s4 ls -r s4://bucket/prefix/sub/"},
		{"s4 cp s4://bucket/ot", "s4 cp s4://bucket/other "},
		{"s4 cp loc", "s4 cp local-file "},
		{"s4 map --on-failure=k", "s4 map --on-failure=keep "},
		{"s4 cp local-file s4://bucket/prefix/0", "s4 cp local-file s4://bucket/prefix/000 "},
	} {
		// The @ comes when the Tab has been obeyed. A busy machine may need another.
		for end := time.Now().Add(20 * time.Second); ; {
			tty.screen.Reset()
			tty.write(test.typed + "\t@")
			tty.see("@")
			tty.write("\x15") // Ctrl-U
			if strings.Contains(tty.screen.String(), test.want+"@") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%q and Tab made %q, want %q", test.typed, tty.screen.String(), test.want)
			}
		}
	}
}
