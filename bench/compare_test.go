package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// compareReport is a report of rows with times of s4; the yardstick takes 1 s
// each.
func compareReport(rows map[string][]float64) *Report {
	r := exampleReport()
	r.Results, r.LeftOut = nil, nil
	for _, name := range []string{"faster", "same", "few", "gone", "larger", "new"} {
		walls, ok := rows[name]
		if !ok {
			continue
		}
		one := make([]float64, len(walls))
		for i := range one {
			one[i] = 1
		}
		row := Row{Name: name, Work: name + " {size}", Targets: []Target{AtMost(2, Time)}}
		r.Results = append(r.Results, newResult("put", row, r.Setup, []string{"s4", "bare"}, [][]Sample{wallSamples(walls...), wallSamples(one...)}))
	}
	return r
}

func TestWriteComparison(t *testing.T) {
	old := compareReport(map[string][]float64{
		"faster": {2.0, 2.1, 2.2, 2.3, 2.4},
		"same":   {1.0, 1.1, 1.2, 1.3, 1.4},
		"few":    {3, 3},
		"gone":   {1},
		"larger": {1},
	})
	r := compareReport(map[string][]float64{
		"faster": {1.0, 1.1, 1.15, 1.2, 1.3},
		"same":   {1.05, 1.15, 1.25, 1.35, 0.9},
		"few":    {1, 1},
		"larger": {1},
		"new":    {1},
	})
	r.Results[3].Work = "larger 2 GiB"
	r.Date = r.Date.Add(48 * time.Hour)
	var b strings.Builder
	if err := r.compare(old).write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
compared with 2026-11-22 01:02, s4 version 0.1.0

work          old s  new s  change                 old ratio  new ratio  change
faster 1 GiB  2.200  1.150  -47.73% (p=0.008 n=5)  2.200      1.150      -47.73% (p=0.008 n=5)
same 1 GiB    1.200  1.150  ~ (p=0.690 n=5)        1.200      1.150      ~ (p=0.690 n=5)
few 1 GiB     3.000  1.000  ~ (p=0.333 n=2)        3.000      1.000      ~ (p=0.333 n=2)

Medians of s4. The ratio is s4 to the yardstick, by the metric of the row's first
target, round by round; ~ is a change that chance explains (Mann-Whitney U, 5%).
note: need >= 4 samples to detect a difference at alpha level 0.05
note: larger 2 GiB was larger 1 GiB
note: new 1 GiB is new
note: gone 1 GiB was not done now
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := r.WriteHTML(&b, old); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	for _, want := range []string{
		"<p>Compared with 2026-11-22 01:02, s4 version 0.1.0.</p>",
		`<td class="n">2.200</td><td class="n">1.150</td><td><strong>-47.73% (p=0.008 n=5)</strong></td>`,
		`<td><span class="soft">~ (p=0.690 n=5)</span></td>`,
		"<li>gone 1 GiB was not done now</li>",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

// Another machine or cluster is worth a warning and no refusal.
func TestCompareMachines(t *testing.T) {
	old, r := exampleReport(), exampleReport()
	var b strings.Builder
	if err := r.compare(old).write(&b); err != nil || strings.Contains(b.String(), "warning") {
		t.Errorf("the same machine: %v\n%s", err, b.String())
	}
	old.Machine.CPU, old.Machine.Load, old.Setup.Servers = "Slide Rule", 7, 5
	b.Reset()
	if err := r.compare(old).write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"warning: another machine: CPU was Slide Rule, is Abacus\n", "warning: another cluster: 5 servers then, 3 now\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// What --from, --compare and --html do together, and what they refuse.
func TestReportFlags(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := writeFile(path("r.json"), exampleReport().WriteJSON); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("newer.json"), []byte(`{"version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	if code := Main(t.Context(), []string{"--from", path("r.json"), "--compare", path("r.json"), "--html", path("r.html")}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if text := stdout.String(); !strings.Contains(text, "Abacus, 2 cores") || !strings.Contains(text, "\ncompared with ") {
		t.Errorf("printed\n%s", text)
	}
	if b, err := os.ReadFile(path("r.html")); err != nil || !strings.HasSuffix(string(b), "</html>\n") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	// Whoever read it has gone, but a file is a file.
	if code := Main(t.Context(), []string{"--from", path("r.json"), "--json", path("again.json")}, closed{}, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if _, err := readReport(path("again.json")); err != nil {
		t.Error(err)
	}
	// Nor goes it unsaid on Ctrl-C that a file is not whole.
	stopped, stop := context.WithCancel(t.Context())
	stop()
	stderr.Reset()
	if code := Main(stopped, []string{"--from", path("r.json"), "--json", "/dev/full"}, &stdout, &stderr); code != exitInterrupted || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	// A report without results replaces none.
	none := exampleReport()
	none.Results = nil
	if err := writeFile(path("none_.json"), none.WriteJSON); err != nil {
		t.Fatal(err)
	}
	if code := Main(t.Context(), []string{"--from", path("none_.json"), "--json", path("again.json"), "--html", path("r.html")}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if r, err := readReport(path("again.json")); err != nil || len(r.Results) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.WriteFile(path("no.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--from", path("no.json")}, exitFailed, "no.json: it is no report of s4-bench\n"},
		{[]string{"--from", path("r.html")}, exitFailed, "r.html: it is no report of s4-bench: "},
		{[]string{"--from", path("r.json"), "--size", "1M"}, exitUsage, "--size: --from runs nothing"},
		{[]string{"put", "--json", path("x"), "--html", dir + "/./x"}, exitUsage, "--json and --html are the same file"},
		{[]string{"put", "--compare", path("newer.json")}, exitFailed, "it is a report of version 99"},
		{[]string{"put", "--compare", path("none.json")}, exitFailed, "no such file"},
		{[]string{"--from", path("newer.json")}, exitFailed, "it is a report of version 99"},
		{[]string{"put", "--from", path("r.json")}, exitUsage, "--from runs nothing"},
	} {
		stdout.Reset()
		stderr.Reset()
		if code := Main(t.Context(), tt.args, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d, %q, %q", tt.args[:2], code, stderr.String(), stdout.String())
		}
	}
}

// closed is a writer whose reader has gone.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, syscall.EPIPE }
