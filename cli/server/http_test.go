package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4"
)

func TestWebAddr(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"9464", "127.0.0.1:9464"},
		{":9464", "127.0.0.1:9464"},
		{"0", "127.0.0.1:0"},
		{"0.0.0.0:9464", "0.0.0.0:9464"},
		{"[::]:9464", "[::]:9464"},
		{"host.example:9464", "host.example:9464"},
		{"::1", ""},
		{"host.example", ""},
		{"host.example:", ""},
		{"1:2:3", ""},
		{"70000", ""},
	} {
		got, err := webAddr(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s is %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

// running is an s4-server in this process.
type running struct {
	dir  string
	url  string // of --http
	stop func() // ends it; may be called again
}

// logBuffer is where a server logs to.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runServer runs s4-server --nodes 3 --http 0 until the test ends.
func runServer(t *testing.T) *running {
	t.Helper()
	r := &running{dir: t.TempDir()}
	var logs logBuffer
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, []string{"--nodes", "3", "--dir", r.dir, "--http", "0"}, io.Discard, &logs) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d\n%s", code, &logs)
		}
	})
	t.Cleanup(r.stop)
	address := regexp.MustCompile(`"http": "(http://127\.0\.0\.1:\d+)"`)
	for end := time.Now().Add(30 * time.Second); r.url == ""; time.Sleep(10 * time.Millisecond) {
		if m := address.FindStringSubmatch(logs.String()); m != nil {
			r.url = m[1]
		} else if time.Now().After(end) {
			t.Fatalf("it does not serve:\n%s", &logs)
		}
	}
	return r
}

// get returns the status and the body at a path.
func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// scrape returns the sum over all servers of each metric, by its name and labels
// without server.
func (r *running) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	code, text := r.get(t, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	server := regexp.MustCompile(`server="\d+",?`)
	sums := make(map[string]float64)
	for line := range strings.Lines(text) {
		i := strings.LastIndexByte(line, ' ')
		if line[0] == '#' || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		name := strings.Replace(server.ReplaceAllString(line[:i], ""), ",}", "}", 1)
		sums[strings.TrimSuffix(name, "{}")] += v
	}
	return sums
}

// What clients do shows in the metrics of a live server.
func TestMetrics(t *testing.T) {
	r := runServer(t)
	cluster, err := s4.LoadCluster(filepath.Join(r.dir, "s4.conf"))
	if err != nil {
		t.Fatal(err)
	}
	c := s4.NewClient(cluster, nil)
	defer c.Close()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const text = "b\na\nc\n"
	for _, name := range []string{"000", "001", "002"} {
		check(c.Put(ctx, "s4://m/in/"+name, strings.NewReader(text), int64(len(text))))
	}
	_, err = c.Get(ctx, "s4://m/in/000", io.Discard)
	check(err)
	if _, err := c.Get(ctx, "s4://m/in/none", io.Discard); !errors.Is(err, s4.ErrNotFound) {
		t.Fatal(err)
	}
	_, err = c.Map(ctx, "s4://m/in/", "s4://m/sorted/", "sort", nil)
	check(err)
	_, err = c.MapToN(ctx, "s4://m/in/", "s4://m/parts/", `cat >000; cp 000 001; cp 000 002; ls`, nil)
	check(err)
	if _, err := c.Map(ctx, "s4://m/in/", "s4://m/failed/", "exit 3", &s4.JobOptions{KeepGoing: true}); err == nil {
		t.Fatal("exit 3 is no error")
	}
	// A command of a key whose bytes are damaged on the disk.
	damaged, err := filepath.Glob(filepath.Join(r.dir, "*", "m", "in", "001"))
	if err != nil || len(damaged) != 1 {
		t.Fatal(damaged, err)
	}
	check(os.Chmod(damaged[0], 0o644))
	check(os.WriteFile(damaged[0], []byte("b\na\nX\n"), 0o644))
	if _, err := c.Map(ctx, "s4://m/in/", "s4://m/damaged/", "cat", &s4.JobOptions{KeepGoing: true}); !errors.Is(err, s4.ErrTaskFailed) {
		t.Fatal(err)
	}

	got := r.scrape(t)
	for name, want := range map[string]float64{
		`s4_keys`:      3 + 3 + 9 + 2,
		`s4_key_bytes`: (3 + 3 + 9 + 2) * float64(len(text)),
		`s4_requests_total{outcome="ok",verb="put"}`:               3,
		`s4_requests_total{outcome="ok",verb="get"}`:               1,
		`s4_requests_total{outcome="not-found",verb="get"}`:        1,
		`s4_requests_total{outcome="ok",verb="push"}`:              6, // 3 of 9 stay where they are
		`s4_requests_total{outcome="ok",verb="eval"}`:              0,
		`s4_request_duration_seconds_count{verb="put"}`:            3,
		`s4_request_duration_seconds_count{verb="get"}`:            2,
		`s4_request_duration_seconds_bucket{verb="get",le="+Inf"}`: 2,
		`s4_received_bytes_total`:                                  (3 + 6) * float64(len(text)),
		`s4_shuffle_bytes_total{peer="0"}`:                         2 * float64(len(text)),
		`s4_shuffle_bytes_total{peer="1"}`:                         2 * float64(len(text)),
		`s4_shuffle_bytes_total{peer="2"}`:                         2 * float64(len(text)),
		`s4_tasks_total{kind="map",outcome="done"}`:                3 + 2,
		`s4_tasks_total{kind="map",outcome="failed"}`:              3 + 1,
		`s4_tasks_total{kind="map-to-n",outcome="done"}`:           3,
		`s4_task_duration_seconds_count{kind="map"}`:               3 + 3 + 2, // of the damaged one, none ran
		`s4_task_duration_seconds_count{kind="map-to-n"}`:          3,
		`s4_jobs_ended_total{state="committed",verb="map"}`:        3 * 3,
		`s4_jobs_ended_total{state="committed",verb="map-to-n"}`:   3,
		`s4_corrupt_keys_seen_total`:                               1,
		`s4_jobs{state="active"}`:                                  0,
		`s4_staged_bytes{state="active"}`:                          0,
		`s4_tasks_running`:                                         0,
		`s4_tasks_queued`:                                          0,
		`s4_build_info{version="` + s4.Release + `"}`:              1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if sent := got[`s4_sent_bytes_total{method="sendfile"}`] + got[`s4_sent_bytes_total{method="copy"}`]; sent != (1+6)*float64(len(text)) {
		t.Errorf("%v bytes sent, want 7 x %d", sent, len(text))
	}
	for _, name := range []string{"s4_connections", "s4_task_slots", "s4_disk_free_bytes", "s4_disk_size_bytes", "go_goroutines", "process_cpu_seconds_total"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if code, text := r.get(t, "/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(text, "node.(*Node).Serve") {
		t.Errorf("profile of goroutines: status %d\n%s", code, text)
	}
	if code, _ := r.get(t, "/"); code != http.StatusNotFound {
		t.Errorf("/: status %d", code)
	}
}

// /healthz says what s4 health says, and the port is closed when the server has ended.
func TestHealthz(t *testing.T) {
	r := runServer(t)
	if code, text := r.get(t, "/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("status %d, %q", code, text)
	}
	if err := os.Rename(filepath.Join(r.dir, "1"), filepath.Join(r.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if code, text := r.get(t, "/healthz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(text, "server 1: storage: the data directory ") || strings.Count(text, "\n") != 1 {
		t.Errorf("without a data directory: status %d, %q", code, text)
	}
	if err := os.Rename(filepath.Join(r.dir, "away"), filepath.Join(r.dir, "1")); err != nil {
		t.Fatal(err)
	}
	if code, text := r.get(t, "/healthz"); code != http.StatusOK {
		t.Errorf("with it again: status %d, %q", code, text)
	}
	// A profile that would take minutes does not hold it up.
	began := make(chan struct{})
	profile := make(chan error, 1)
	go func() {
		resp, err := http.Get(r.url + "/debug/pprof/trace?seconds=200") // its header comes at once
		close(began)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		profile <- err
	}()
	<-began
	r.stop()
	<-profile // however it ends
	if _, err := http.Get(r.url + "/healthz"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the server has ended, and HTTP goes on: %v", err)
	}
}

// An address of --http that is in use is an error before anything is served.
func TestWebInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	for _, tt := range []struct {
		http string
		code int
		want string
	}{
		{addr, exitFailed, "s4-server: cannot listen on " + addr + ": address already in use (choose another --http)\n"},
		{"nowhere", exitUsage, "s4-server: --http nowhere: a port, or HOST:PORT (see 's4-server --help')\n"},
	} {
		var stderr logBuffer
		dir := filepath.Join(t.TempDir(), "data")
		code := Main(t.Context(), []string{"--nodes", "1", "--dir", dir, "--http", tt.http}, io.Discard, &stderr)
		if code != tt.code || stderr.String() != tt.want {
			t.Errorf("--http %s: exit code %d, %q; want %d, %q", tt.http, code, &stderr, tt.code, tt.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("--http %s: the data directory was made", tt.http)
		}
	}
}
