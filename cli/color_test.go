package cli_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/node"
)

var escape = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// TestColor prints to a pipe and to a terminal: what a pipe gets has no color, whatever
// the flags of the verb, unless that is asked for, and colors add nothing else.
func TestColor(t *testing.T) {
	dir := t.TempDir()
	l, err := node.StartLocal(filepath.Join(dir, "cluster"), 2, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	run := func(out io.Writer, stdin string, args ...string) {
		t.Helper()
		var errs strings.Builder
		cli.Main(t.Context(), append([]string{"-c", l.Cluster.Path}, args...), strings.NewReader(stdin), out, &errs)
	}
	run(io.Discard, "text\n", "cp", "-", "s4://b/in/000")
	run(io.Discard, "text\n", "cp", "-", "s4://b/in/001")
	run(io.Discard, "text\n", "cp", "-", "s4://b/k")
	run(io.Discard, "", "map", "--keep-going", "s4://b/in", "s4://b/out", "[ $filename = 000 ]")
	var id strings.Builder
	run(&id, "", "jobs")
	job := id.String()[:16]
	now := regexp.MustCompile(`uptime=\S+|free=\S+`) // what changes from one run to the next
	for _, verb := range []struct {
		args    []string
		painted string
	}{
		{[]string{"ls"}, "\x1b[1;34mb\x1b[0m"},
		{[]string{"ls", "s4://b/"}, "PRE \x1b[1;34min/\x1b[0m\n"},
		{[]string{"ls", "-1", "--full-path", "s4://b/"}, "\x1b[1;34ms4://b/in/\x1b[0m\n"},
		{[]string{"health"}, "\x1b[32mhealthy\x1b[0m 127.0.0.1:"},
		{[]string{"jobs"}, "  \x1b[31mpartly\x1b[0m  map  "},
		{[]string{"jobs", "show", job}, "\nstate     \x1b[31mpartly\x1b[0m\n"},
		{[]string{"jobs", "show", job}, "\n\x1b[31mfailed\x1b[0m  s4://b/in/001  "},
		{[]string{"jobs", "show", "--traffic", job}, "\nstate     \x1b[31mpartly\x1b[0m\n"},
	} {
		name := strings.Join(verb.args, " ")
		piped := func(more ...string) string {
			var out bytes.Buffer
			run(&out, "", append(verb.args, more...)...)
			return now.ReplaceAllString(out.String(), "")
		}
		tty := func(more ...string) string {
			tt := openTerminal(t)
			run(tt.File, "", append(verb.args, more...)...)
			tt.Write([]byte("END"))
			tt.see("END")
			return now.ReplaceAllString(strings.ReplaceAll(strings.TrimSuffix(tt.screen.String(), "END"), "\r\n", "\n"), "")
		}
		plain := piped()
		if plain == "" || strings.Contains(plain, "\x1b") {
			t.Errorf("%s: a pipe gets %q", name, plain)
		}
		always := piped("--color", "always")
		if !strings.Contains(always, verb.painted) || escape.ReplaceAllString(always, "") != plain {
			t.Errorf("%s --color always: %q, want %q in it, and without colors %q", name, always, verb.painted, plain)
		}
		if got := piped("--color", "always", "--json"); strings.Contains(got, "\x1b") {
			t.Errorf("%s --json: %q", name, got)
		}
		if got := tty(); got != always {
			t.Errorf("%s: a terminal gets %q, want %q", name, got, always)
		}
		if got := tty("--color", "never"); got != plain {
			t.Errorf("%s --color never: a terminal gets %q, want %q", name, got, plain)
		}
		for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
			key, value, _ := strings.Cut(env, "=")
			t.Run(name+" "+key, func(t *testing.T) {
				t.Setenv(key, value)
				if got := tty(); got != plain {
					t.Errorf("a terminal gets %q, want %q", got, plain)
				}
				if got := piped("--color", "always"); got != always {
					t.Errorf("with --color always it prints %q, want %q", got, always)
				}
			})
		}
	}
}
