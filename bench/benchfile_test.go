package bench

import (
	"encoding/json"
	"errors"
	"io"
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

// The report is in its files, also if nobody reads what is printed, and one without
// results replaces none.
func TestReportFiles(t *testing.T) {
	dir := t.TempDir()
	a := app{stdout: closed{}, json: filepath.Join(dir, "r.json"), bench: filepath.Join(dir, "r.txt")}
	if err := a.write(exampleReport()); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("nobody reads: %v", err)
	}
	a.stdout = io.Discard
	if err := a.write(&Report{Setup: Setup{Rounds: 1}}); err == nil || err.Error() != "nothing was measured" {
		t.Errorf("no results: %v", err)
	}
	if r := readReport(t, a.json); len(r.Results) != 2 {
		t.Errorf("%d results", len(r.Results))
	}
	if b, err := os.ReadFile(a.bench); err != nil || !strings.Contains(string(b), "\nBenchmarkPut/") {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	a.json = "/dev/full"
	if err := a.write(exampleReport()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no space: %v", err)
	}
}

// readReport reads what --json wrote.
func readReport(t *testing.T, path string) *Report {
	t.Helper()
	var r Report
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

// closed is a writer whose reader has gone.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, syscall.EPIPE }
