package cli

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// TestLongJob runs jobs that fail after longer, or shorter, than it takes to be told what
// --on-failure keep had saved.
func TestLongJob(t *testing.T) {
	t.Parallel()
	l, err := node.StartLocal(t.TempDir(), 1, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	run := func(longJob time.Duration, args ...string) (int, string) {
		var errs strings.Builder
		a := &app{stdin: strings.NewReader("x"), stdout: io.Discard, stderr: &errs, longJob: longJob}
		return a.main(t.Context(), append([]string{"-c", l.Cluster.Path}, args...)), errs.String()
	}
	for _, key := range []string{"s4://b/in/000", "s4://b/in/001", "s4://b/in/002"} {
		if code, text := run(0, "cp", "-", key); code != 0 {
			t.Fatal(text)
		}
	}
	// The task that fails waits for the others to be counted.
	const cmd = "test $filename != 001 || { until ls $TMPDIR/../stage/b/out/002 $TMPDIR/../stage/b/out/000; do sleep 0.05; done >/dev/null 2>&1; sleep 0.5; exit 3; }; cat"
	const failed = `^s4: map s4://b/in/001: command failed: exit 3 on \S+`
	for _, test := range []struct {
		name    string
		longJob time.Duration
		args    []string
		want    string
	}{
		{"long", 0, nil, failed + ` \([12] of 3 tasks had ended: --on-failure keep would have kept them\)\n$`},
		{"short", time.Hour, nil, failed + `\n$`},
		{"long and kept", 0, []string{"--on-failure", "keep"}, failed + ` \(kept: s4 jobs resume [0-9a-f]{16}\)\n$`},
		{"long and published", 0, []string{"-k", "-q"}, failed + `\ns4: map s4://b/in: 1 of 3 tasks failed\n$`},
	} {
		code, text := run(test.longJob, append([]string{"map", "s4://b/in", "s4://b/out", cmd}, test.args...)...)
		if code != exitFailed || !regexp.MustCompile(test.want).MatchString(text) {
			t.Errorf("%s: exit code %d, %q, want %s", test.name, code, text, test.want)
		}
	}
}

func TestAdvise(t *testing.T) {
	for _, test := range []struct{ reason, advice, want string }{
		{"it failed", "", "it failed"},
		{"it failed", "kept: s4 jobs resume 1", "it failed (kept: s4 jobs resume 1)"},
		{"it failed (see 's4 health')", "kept: s4 jobs resume 1", "it failed (see 's4 health'; kept: s4 jobs resume 1)"},
	} {
		a := &app{advice: test.advice}
		if got := a.advise(test.reason); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	a := &app{longJob: longJob}
	a.adviseOn("1", s4.JobFailed, false, s4.JobProgress{Tasks: 3}, 6*time.Minute)
	if a.advice != "" {
		t.Errorf("of a job without a task that ended: %q", a.advice)
	}
}
