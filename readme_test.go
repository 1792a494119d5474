package s4_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test"
)

// TestREADME runs the console examples of README.md, in order, on an embedded
// cluster of the real programs, and compares what they print. In expected
// output, … stands for anything within the line.
func TestREADME(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", bin+"/", "./cli/s4", "./cli/s4-s3", "./cli/s4-server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	startS3(t)
	startServers(t, filepath.Join(dir, "data"))
	t.Setenv("S4_CONF_PATH", filepath.Join(dir, "data", "s4.conf"))

	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	n := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllSubmatch(text, -1) {
		for example := range bytes.SplitSeq(block[1], []byte("\n$ ")) {
			command, want, _ := strings.Cut(strings.TrimPrefix(string(example), "$ "), "\n")
			cmd := exec.Command("bash", "-c", command)
			cmd.Dir = work
			got, err := cmd.CombinedOutput()
			if _, failed := err.(*exec.ExitError); err != nil && !failed {
				t.Fatal(err)
			}
			if !like(string(got), want) {
				t.Errorf("$ %s\n%s\nREADME.md says:\n%s", command, got, want)
			}
			n++
		}
	}
	if n < 20 {
		t.Errorf("found only %d examples", n)
	}
	for _, verb := range []string{"cp", "ls", "rm", "cat", "head", "stat", "du", "tree", "eval", "shell", "map", "map-to-n", "map-from-n", "import", "export", "jobs", "partition", "config", "health", "secret", "verify", "docs"} {
		if !bytes.Contains(text, []byte("$ s4 "+verb)) {
			t.Errorf("no example of %s", verb)
		}
	}
}

// startS3 has an S3 server in the environment, with what the examples import.
func startS3(t *testing.T) {
	t.Helper()
	s := s3test.Start(t, s3test.Fake)
	for _, kv := range s.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	s.MakeBucket(t, "inputs")
	s.MakeBucket(t, "results")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte("ann,3\nbob,5\nann,1\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.Put(t, "inputs", "trips/jan.csv.gz", packed.Bytes())
	s.Put(t, "inputs", "trips/may.csv", []byte("cid,7\nbob,2\nbob,1\n"))
	s.Put(t, "inputs", "all.csv", []byte("ann,4\nbob,8\ncid,7\n"))
	s.Put(t, "inputs", "names/a b.csv", []byte("ann,4\n"))
}

// startServers runs s4-server --nodes 3 until the test ends.
func startServers(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("s4-server", "--nodes", "3", "--dir", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("s4-server: %v\n%s", err, log.Bytes())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "export S4_CONF_PATH=") {
		t.Fatalf("s4-server printed %q, %v\n%s", line, err, log.Bytes())
	}
}

// like reports whether got matches want line by line.
func like(got, want string) bool {
	g := strings.Split(strings.TrimRight(got, "\n"), "\n")
	w := strings.Split(strings.TrimRight(want, "\n"), "\n")
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(w[i], " ")), "…", ".+")
		if ok, err := regexp.MatchString("^"+pattern+"$", g[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
