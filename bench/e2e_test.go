package bench

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nathants/s4/node/nodetest"
)

// buildPrograms builds the programs into one directory and returns the
// path of s4-bench.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir+"/", "github.com/nathants/s4/cli/s4", "github.com/nathants/s4/cli/s4-s3", "github.com/nathants/s4/cli/s4-server", "github.com/nathants/s4/bench/s4-bench").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "s4-bench")
}

// nothingLeft fails the test if a file is in dir, or a process names it.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		t.Errorf("left behind: %s", d.Name())
	}
	if pids := nodetest.Processes(dir); len(pids) > 0 {
		t.Errorf("left behind: processes %v", pids)
	}
}

func TestPrograms(t *testing.T) {
	program := buildPrograms(t)
	t.Run("all", func(t *testing.T) { testAll(t, program) })
	t.Run("a peer that gives wrong bytes", func(t *testing.T) { testWrongPeer(t, program) })
	t.Run("a row that fails", func(t *testing.T) { testPartial(t, program) })
	t.Run("interrupted", func(t *testing.T) { testInterrupt(t, program, syscall.SIGINT) })
	t.Run("terminal closed", func(t *testing.T) { testInterrupt(t, program, syscall.SIGHUP) })
	t.Run("nobody reads", func(t *testing.T) { testNobodyReads(t, program) })
}

// memoryDir is t.TempDir in memory, if there is such a file system: thousands of
// files are made.
func memoryDir(t *testing.T) string {
	t.Helper()
	if err := roomInMemory(0); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memoryFS, "s4-bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// runProgram runs one round of s4-bench and returns its report, which is in its
// table, too.
func runProgram(t *testing.T, program string, args ...string) *Report {
	t.Helper()
	dir, report := memoryDir(t), filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command(program, append(args, "--rounds", "1", "--dir", dir, "--json", report)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	nothingLeft(t, dir)
	r := readReport(t, report)
	for _, res := range r.Results {
		for _, v := range res.Verdicts {
			if v.Unknown != "" || v.Target.Kind == OfRatio && (v.Ratio <= 0 || len(v.Rounds) != 1) {
				t.Errorf("%s: %+v", res.Row, v)
			}
		}
		if !strings.Contains(stdout.String(), "\n"+res.Work+" ") {
			t.Errorf("%s is not in the table:\n%s", res.Row, stdout.String())
		}
	}
	for _, s := range r.Series {
		if !strings.Contains(stdout.String(), "  "+s.Name) {
			t.Errorf("%s is not printed:\n%s", s.Name, stdout.String())
		}
	}
	return r
}

// All workloads do what they are to do, at sizes that take no time.
func testAll(t *testing.T, program string) {
	o := Options{Size: 1 << 20, Scale: 0.003, All: true}
	r := runProgram(t, program, "all", "scaling", "lz4", "s3", "--size", "1M", "--scale", "0.003",
		"--peer", `cp=case {op} in rm) rm -f {src};; *) cp {src} {dst};; esac`)
	found := make(map[string]Result)
	for _, res := range r.Results {
		found[res.Workload+"/"+res.Row] = res
	}
	without := func(workload string) bool {
		return slices.ContainsFunc(r.LeftOut, func(l LeftOut) bool { return strings.HasPrefix(l.What, workload+": ") })
	}
	noLinks := without("lz4") // they need privileges that a test may not have
	for _, w := range workloads(o) {
		for _, row := range w.Rows {
			if w.Name == "lz4" && noLinks || w.Name == "s3" && without("s3") { // whose yardsticks are no part of Go
				continue
			}
			checkResult(t, w.Name, row, found[w.Name+"/"+row.Name])
			if always := strings.TrimSuffix(row.Name, "auto") + "always"; w.Name == "lz4" && found["lz4/"+always].Row != always {
				t.Errorf("%s is not there", always)
			}
		}
	}
	checkScaling(t, r, noLinks)
}

// checkResult looks for what every row must have: servers that are seen, but those of a peer.
func checkResult(t *testing.T, workload string, row Row, res Result) {
	t.Helper()
	if res.Work != row.Work || len(res.Sides) < 2 || len(res.Verdicts) != len(row.Targets) {
		t.Errorf("%s/%s: %+v", workload, row.Name, res)
		return
	}
	if peers := map[string]int{"put-file": 1, "get-file": 1}[row.Name]; row.Needs.Source && len(res.Peers) != peers {
		t.Errorf("%s has %d peers", row.Name, len(res.Peers))
	}
	for i, s := range res.Sides {
		one := s.Samples[0]
		if one.Wall <= 0 || one.Keys < 1 || one.ClientPeak <= 0 || row.Needs.Source && one.Bytes != 1<<20 {
			t.Errorf("%s/%s: %s: %+v", workload, row.Name, s.Name, one)
		}
		servers := map[string]int{"s4": 3, "s4, auto": 3, "bare": 1, "s4, 1 servers": 1}[s.Name]
		if n := len(one.ServerPeaks); (i == 0 || s.Name == "bare") && (n != servers || one.ServerCPU <= 0 && row.Needs.Source) {
			t.Errorf("%s/%s: %s: %d servers, %v s", workload, row.Name, s.Name, n, one.ServerCPU)
		}
	}
}

func checkScaling(t *testing.T, r *Report, noLinks bool) {
	t.Helper()
	points := map[string]int{"keys": 4, "bytes of a key": 5, "servers": 5, "servers in one process": 1, "clients": 7}
	seen := make(map[string]bool)
	for _, s := range r.Series {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if len(s.Points) != points[s.XLabel] {
			t.Errorf("%s has %d points, want %d", s.Name, len(s.Points), points[s.XLabel])
		}
		for i, p := range s.Points {
			if p.Y <= 0 || p.Min > p.Y || p.Max < p.Y || i > 0 && p.X <= s.Points[i-1].X {
				t.Errorf("%s: %+v", s.Name, p)
			}
		}
	}
	want := 22
	if noLinks {
		want -= 3
	}
	if len(r.Series) != want {
		t.Errorf("%d series, want %d", len(r.Series), want)
	}
}

func testWrongPeer(t *testing.T, program string) {
	dir := t.TempDir()
	peer := `bad=case {op} in put) cp {src} {dst};; get) head -c 9 {src} >{dst};; rm) rm -f {src};; esac`
	out, err := exec.Command(program, "put", "--size", "1M", "--rounds", "1", "--dir", dir, "--peer", peer).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "bad: wrong result: ") {
		t.Errorf("%v\n%s", err, out)
	}
	nothingLeft(t, dir)
}

// What was complete before a row failed is reported.
func testPartial(t *testing.T, program string) {
	dir, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	// Of the row of puts it gives back what it was given, of that of gets nothing.
	peer := `bad=case {op},{dst} in get,*peer-get*) exit 7;; rm,*) rm -f {src};; *) cp {src} {dst};; esac`
	var stdout, stderr strings.Builder
	cmd := exec.Command(program, "put", "get", "--size", "1M", "--rounds", "1", "--dir", dir, "--json", report, "--peer", peer)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(stderr.String(), "bad: ") {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	r := readReport(t, report)
	if len(r.Results) == 0 || len(r.LeftOut) == 0 || !strings.Contains(stdout.String(), r.Results[0].Work) {
		t.Errorf("%d rows, left out %+v\n%s", len(r.Results), r.LeftOut, stdout.String())
	}
	nothingLeft(t, dir)
}

func testInterrupt(t *testing.T, program string, sig os.Signal) {
	dir := t.TempDir()
	cmd := exec.Command(program, "put", "--size", "16M", "--rounds", "1000000", "--dir", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "a round has begun", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "s4-bench-*", "cluster-*", "*", "bench"))
		return len(found) > 0
	})
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.HasSuffix(stderr.String(), "s4-bench: interrupted\n") {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	nothingLeft(t, dir)
}

// testNobodyReads ends the reader of all that is printed, as head does.
func testNobodyReads(t *testing.T, program string) {
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "put", "--size", "1M", "--rounds", "1", "--dir", dir)
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(r.Close(), cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	nothingLeft(t, dir)
}
