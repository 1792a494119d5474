package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/perf/benchfmt"
)

func wallSamples(walls ...float64) (s []Sample) {
	for _, w := range walls {
		s = append(s, Sample{Wall: w, Bytes: 100})
	}
	return s
}

// benchstat's own reader understands each line.
func TestWriteBench(t *testing.T) {
	r := exampleReport()
	r.Results[0].Sides[1].Name = "s4, 10 keys"
	r.Series = []Series{{Name: "ls -r, by keys", YLabel: "µs per key", Points: []Point{{X: 100, Y: 1.5}}}}
	var b strings.Builder
	if err := r.WriteBench(&b); err != nil {
		t.Fatal(err)
	}
	const want = `cpu: Abacus
cores: 2
file-system: tmpfs
servers: 3
size: 1 GiB
scale: 1
full: false

BenchmarkPut/put-file/side=s4 1 2 sec/op 5.36870912e+08 B/s 0.75 cpu-sec/op 7.340032e+06 client-B 9.437184e+06 server-B 0.5 of-yardstick
BenchmarkPut/put-file/side=s4 1 2 sec/op 5.36870912e+08 B/s 0.75 cpu-sec/op 7.340032e+06 client-B 9.437184e+06 server-B 1 of-yardstick
BenchmarkPut/put-file/side=s4,10-keys 1 1 sec/op 1.073741824e+09 B/s 0.75 cpu-sec/op 7.340032e+06 client-B 9.437184e+06 server-B
BenchmarkPut/put-file/side=s4,10-keys 1 2 sec/op 5.36870912e+08 B/s 0.75 cpu-sec/op 7.340032e+06 client-B 9.437184e+06 server-B
BenchmarkPut/put-file/side=other 1 4 sec/op 2.68435456e+08 B/s 0.5 cpu-sec/op 7.340032e+06 client-B
BenchmarkPut/put-file/side=other 1 4 sec/op 2.68435456e+08 B/s 0.5 cpu-sec/op 7.340032e+06 client-B
BenchmarkList/list/side=s4 1 2 sec/op 2000 keys/s 1 cpu-sec/op 0 client-B
BenchmarkList/list/side=s4 1 4 sec/op 1000 keys/s 1 cpu-sec/op 0 client-B
BenchmarkList/list/side=find 1 2 sec/op 2000 keys/s 1 cpu-sec/op 0 client-B
BenchmarkList/list/side=find 1 4 sec/op 1000 keys/s 1 cpu-sec/op 0 client-B
BenchmarkCurve/ls--r,by-keys/x=100 1 1.5 µs-per-key
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	in := benchfmt.NewReader(strings.NewReader(b.String()), "report")
	lines := 0
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.Result:
			lines++
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if lines != 11 || in.Err() != nil {
		t.Errorf("%d lines, %v", lines, in.Err())
	}
}

// What --from, --json and --bench do together, and what they refuse.
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
	if code := Main(t.Context(), []string{"--from", path("r.json"), "--bench", path("r.txt")}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if text := stdout.String(); !strings.Contains(text, "Abacus, 2 cores") {
		t.Errorf("printed\n%s", text)
	}
	if b, err := os.ReadFile(path("r.txt")); err != nil || !strings.Contains(string(b), "\nBenchmarkPut/") {
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
	if code := Main(t.Context(), []string{"--from", path("none_.json"), "--json", path("again.json"), "--bench", path("r.txt")}, &stdout, &stderr); code != exitFailed {
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
		{[]string{"--from", path("r.txt")}, exitFailed, "r.txt: it is no report of s4-bench: "},
		{[]string{"--from", path("r.json"), "--size", "1M"}, exitUsage, "--size: --from runs nothing"},
		{[]string{"put", "--json", path("x"), "--bench", dir + "/./x"}, exitUsage, "--json and --bench are the same file"},
		{[]string{"--from", path("none.json")}, exitFailed, "no such file"},
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
