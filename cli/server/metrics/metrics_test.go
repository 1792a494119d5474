package metrics

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

type fixed node.Status

func (f fixed) Status() node.Status { return node.Status(f) }

// full returns the metrics of two servers that have done something.
func full() *Metrics {
	m := New("test")
	for i := range 2 {
		o := m.Observer(i)
		m.Add(i, fixed{Keys: 3, Total: 100, Free: 40, Pushed: []int64{5, 7}, Jobs: 3, SuspendedJobs: 1, Staged: 10, SuspendedStaged: 4})
		o.Request("get", wire.CodeNotFound, time.Millisecond)
		o.Request("get", wire.Code(999), time.Millisecond)
		o.Request("get", wire.Code(1000), time.Millisecond)
		o.Task(node.TaskEnd{Kind: "map", State: wire.TaskFailed, Wall: time.Second, CPU: time.Second / 2})
		o.Task(node.TaskEnd{Kind: "map", State: wire.TaskFailed})
		o.Job(wire.VerbMap, wire.JobFailed)
	}
	return m
}

// Names and help texts are as Prometheus wants them.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestValues(t *testing.T) {
	m := full()
	for want, name := range map[string]string{
		`# HELP s4_jobs Jobs that are not over: active or suspended.
# TYPE s4_jobs gauge
s4_jobs{server="0",state="active"} 2
s4_jobs{server="0",state="suspended"} 1
s4_jobs{server="1",state="active"} 2
s4_jobs{server="1",state="suspended"} 1
`: "s4_jobs",
		`# HELP s4_staged_bytes Output of jobs that is not published yet, by the job's state: active or suspended.
# TYPE s4_staged_bytes gauge
s4_staged_bytes{server="0",state="active"} 6
s4_staged_bytes{server="0",state="suspended"} 4
s4_staged_bytes{server="1",state="active"} 6
s4_staged_bytes{server="1",state="suspended"} 4
`: "s4_staged_bytes",
		`# HELP s4_shuffle_bytes_total Bytes of shuffles that arrived at other servers, by the index of the server.
# TYPE s4_shuffle_bytes_total counter
s4_shuffle_bytes_total{peer="1",server="0"} 7
s4_shuffle_bytes_total{peer="0",server="1"} 5
`: "s4_shuffle_bytes_total",
	} {
		if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), name); err != nil {
			t.Error(err)
		}
	}
	// Codes that nobody has given out must not make labels without end.
	if got := testutil.ToFloat64(m.requests.WithLabelValues("0", "get", "other")); got != 2 {
		t.Errorf("%v requests with another outcome, want 2", got)
	}
	if got := testutil.ToFloat64(m.tasks.WithLabelValues("1", "map", "failed")); got != 2 {
		t.Errorf("%v tasks have failed, want 2", got)
	}
	if got := testutil.ToFloat64(m.taskCPU.WithLabelValues("1", "map")); got != 0.5 {
		t.Errorf("%v s of CPU, want 0.5", got)
	}
}

// What is not known is left out.
func TestNoDisk(t *testing.T) {
	m := New("test")
	m.Add(0, fixed{})
	if n, err := testutil.GatherAndCount(m.Registry, "s4_disk_free_bytes", "s4_disk_size_bytes"); n != 0 || err != nil {
		t.Errorf("%d metrics of an unknown disk, %v", n, err)
	}
}

// Package node must tell of no verb that is not known here.
func TestVerbs(t *testing.T) {
	files, err := filepath.Glob("../../../node/*.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`\.(?:observe|logRequest|receive)\("([^"]*)"`)
	found := make(map[string]bool)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(b, -1) {
			found[string(m[1])] = true
		}
	}
	for _, verb := range verbs {
		if !found[verb] {
			t.Errorf("%s is no verb of package node", verb)
		}
		delete(found, verb)
	}
	if len(found) > 0 {
		t.Errorf("no metrics for %v", found)
	}
}

// names returns our metrics' names, sorted.
func names(t *testing.T) []string {
	t.Helper()
	families, err := full().Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "s4_") {
			list = append(list, f.GetName())
		}
	}
	slices.Sort(list)
	return list
}

// README.md's table has all of them, with their labels, and no other.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	families, err := full().Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := make(map[string]string)
	for _, f := range families {
		var of []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			if l.GetName() != "server" {
				of = append(of, l.GetName())
			}
		}
		labels[f.GetName()] = strings.Join(of, ", ")
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(s4_[a-z0-9_]+)` \\| ([a-z, ]*?) ?\\|").FindAllSubmatch(text, -1) {
		name := string(m[1])
		listed = append(listed, name)
		if string(m[2]) != labels[name] {
			t.Errorf("%s has labels %q, README.md says %q", name, labels[name], m[2])
		}
	}
	slices.Sort(listed)
	if want := names(t); !slices.Equal(listed, want) {
		t.Errorf("README.md has  %v\nand there are %v", listed, want)
	}
}

// The dashboard asks for nothing that is not there.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../../scripts/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title  string
		UID    string
		Panels []struct {
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Panels) < 6 {
		t.Errorf("%q, %q, %d panels", d.Title, d.UID, len(d.Panels))
	}
	known := names(t)
	metric := regexp.MustCompile(`\bs4_[a-z0-9_]+`)
	for i, p := range d.Panels {
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W <= 0 || p.GridPos.H <= 0 {
			t.Errorf("%s is outside of the grid", p.Title)
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s covers %s", p.Title, q.Title)
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			asked := metric.FindAllString(target.Expr, -1)
			if len(asked) == 0 || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("%s: %s", p.Title, target.Expr)
			}
			for _, name := range asked {
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if base, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(known, base) {
						name = base
					}
				}
				if !slices.Contains(known, name) {
					t.Errorf("%s: no metric %s", p.Title, name)
				}
			}
		}
	}
	if bytes.Contains(b, []byte("\t")) {
		t.Error("it has tabs")
	}
}
