package bench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"s4/node/nodetest"
)

// buildPrograms builds the three programs into one directory and returns the
// path of s4-bench.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir+"/", "s4/cli/s4", "s4/cli/s4-server", "s4/bench/s4-bench").CombinedOutput()
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
	t.Run("put and get", func(t *testing.T) { testPutGet(t, program) })
	t.Run("a peer that gives wrong bytes", func(t *testing.T) { testWrongPeer(t, program) })
	t.Run("interrupted", func(t *testing.T) { testInterrupt(t, program) })
}

func testPutGet(t *testing.T, program string) {
	dir, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	peer := `cp=case {op} in rm) rm -f {src};; *) cp {src} {dst};; esac`
	cmd := exec.Command(program, "put", "get", "--size", "1M", "--rounds", "1", "--dir", dir, "--json", report, "--peer", peer)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	nothingLeft(t, dir)
	f, err := os.Open(report)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ReadReport(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{"put-file": 3, "put-pipe": 2, "get-file": 3, "get-null": 2}
	for _, res := range r.Results {
		if len(res.Sides) != rows[res.Row] {
			t.Errorf("%s has %d sides, want %d", res.Row, len(res.Sides), rows[res.Row])
		}
		delete(rows, res.Row)
		for i, s := range res.Sides {
			checkSide(t, res.Row, i, s)
		}
		for _, v := range res.Verdicts {
			if v.Unknown != "" || v.Ratio <= 0 || len(v.Rounds) != 1 {
				t.Errorf("%s: %+v", res.Row, v)
			}
		}
		if !strings.Contains(stdout.String(), "\n"+res.Work+" ") {
			t.Errorf("%s is not in the table:\n%s", res.Row, stdout.String())
		}
	}
	for name := range rows {
		t.Errorf("%s is missing", name)
	}
}

// checkSide looks for what every sample must have. Side 0 is s4 and 1 its
// yardstick, whose servers are seen.
func checkSide(t *testing.T, row string, i int, s SideResult) {
	t.Helper()
	if len(s.Samples) != 1 {
		t.Errorf("%s: %s has %d samples", row, s.Name, len(s.Samples))
		return
	}
	one := s.Samples[0]
	if one.Wall <= 0 || one.ClientCPU <= 0 || one.ClientPeak <= 0 || one.Bytes != 1<<20 || one.Keys != 1 {
		t.Errorf("%s: %s: %+v", row, s.Name, one)
	}
	if want := []int{3, 1, 0}[i]; len(one.ServerPeaks) != want || (want > 0) != (one.ServerCPU > 0) {
		t.Errorf("%s: %s: want %d servers: %+v", row, s.Name, want, one)
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

func testInterrupt(t *testing.T, program string) {
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
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.HasSuffix(stderr.String(), "s4-bench: interrupted\n") {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	nothingLeft(t, dir)
}
