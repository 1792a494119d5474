package cli

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "日本": 4, "ﾊﾝ": 2, "Ａ": 2, "…": 1, "👍": 2, "a\u200db": 2} {
		if got := textWidth(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
	for _, c := range []struct {
		text, want string
		n          int
	}{{"abc", "abc", 3}, {"abc", "ab", 2}, {"äöü", "äö", 2}, {"日本", "日", 3}, {"日本", "", 1}, {"abc", "", 0}, {"abc", "", -1}} {
		if got := cutWidth(c.text, c.n); got != c.want {
			t.Errorf("%q cut at %d columns is %q, want %q", c.text, c.n, got, c.want)
		}
	}
	for _, c := range []struct {
		text, want string
		n          int
	}{
		{"日本語", "日本語", 6}, {"日本語", "日本…", 5}, {"日本語", "日…", 4}, {"日本語", "…", 1}, {"日本語", "", 0}, {"日本語", "", -1},
		{"abc", "abc", 3}, {"abcd", "ab…", 3}, {"e\u0301fg", "e\u0301…", 2},
	} {
		if got := shorten(c.text, c.n); got != c.want {
			t.Errorf("%q in %d columns is %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]key{
		"":                       nil,
		"qs":                     {'q', 's'},
		"\x1b[A\x1bOBj":          {keyUp, keyDown, 'j'},
		"\x1b":                   {keyEscape},
		"\x1b[1;5Bk":             {keyDown, 'k'},
		"\x1b[15~\x1b[Cq":        {'q'},
		"\x1b[":                  nil,
		"\x1b[1;":                nil,
		"\x1b\x1b[A":             {keyEscape, keyUp},
		"\xff\x00":               {0xff, 0},
		"\x1b[\xe6\x97\xa5\x1b[": nil,
	} {
		if got := parseKeys(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

// fullRound is a round with more than fits on a screen.
func fullRound() *topRound {
	at := time.Unix(1_700_000_000, 0)
	r := &topRound{at: at, err: errors.New("h3 is\ndown")}
	for i := range 64 {
		s := topServer{index: i, compared: true, in: float64(i), diskUsed: 0.5}
		s.Server = s4.Server{Address: fmt.Sprintf("host%02d", i), Port: "4000"}
		s.Load = s4.ServerLoad{Slots: 4, Running: i % 4, MaxTransfers: 8}
		if i == 63 {
			s.Err = errors.New("no answer")
		}
		r.servers = append(r.servers, s)
	}
	for i := range 30 {
		j := topJob{JobStatus: s4.JobStatus{ID: fmt.Sprintf("%016x", i+1), State: s4.JobRunning, Verb: "map", Indir: "s4://日本語の入力/日本語/日本語/日本語/日本語/日本語", Outdir: "s4://o", Started: at}}
		j.Tasks, j.Done = 10, 5
		r.jobs = append(r.jobs, j)
		r.tasks = append(r.tasks, topTask{JobTask: s4.JobTask{Key: "s4://b/\x1b[31m日本" + strings.Repeat("語", 90)}, job: j.ID, took: time.Minute})
	}
	return r
}

// Whatever the size of the screen, what is shown fits, and no name has an escape
// sequence in it that the terminal would obey.
func TestTopFits(t *testing.T) {
	t.Parallel()
	r := fullRound()
	for _, size := range [][2]int{{1, 1}, {7, 3}, {40, 10}, {80, 24}, {81, 25}, {200, 60}, {400, 200}} {
		v := topView{width: size[0], height: size[1]}
		lines := v.lines(r)
		for _, l := range lines {
			if textWidth(l) > v.width || strings.ContainsAny(l, "\x1b\n") {
				t.Errorf("%v: the line %q takes %d columns", size, l, textWidth(l))
			}
		}
		if v.height >= 13 && len(lines) > v.height {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		text := strings.Join(lines, "\n")
		if v.height >= 24 && !strings.Contains(text, "host63:4000  unhealthy: no answer") {
			t.Errorf("%v: the unhealthy server is not among\n%s", size, text)
		}
		if v.height == 24 && (!strings.Contains(text, " more") || !strings.Contains(text, "00000000") || !strings.Contains(text, "RUNS FOR") || !strings.Contains(text, "…")) {
			t.Errorf("%v: something is missing in\n%s", size, text)
		}
	}
	v := topView{}
	plain := strings.Join(v.lines(r), "\n")
	if !strings.Contains(plain, "0000000000000001") || strings.Count(plain, "host") < 64 || strings.Contains(plain, " more") {
		t.Errorf("without a terminal it is\n%s", plain)
	}
	v.painter = true
	if got := sgr.ReplaceAllString(strings.Join(v.lines(r), "\n"), ""); got != plain {
		t.Errorf("colors change\n%s\ninto\n%s", plain, got)
	}
}

func TestTopSortsAndPicks(t *testing.T) {
	t.Parallel()
	r := fullRound()
	v := topView{width: 80, height: 24}
	for order, first := range map[topOrder]string{byFile: "host00", byTasks: "host03", byBytes: "host62", byDisk: "host00"} {
		v.order = order
		if rows := v.servers(r); rows[1][0].text != "host63:4000" || rows[2][0].text != first+":4000" {
			t.Errorf("by %s: %v, %v", order, rows[1][0], rows[2][0])
		}
	}
	v.pick(r, -1) // the last
	if rows := v.tasks(r); v.picked != r.jobs[29].ID || len(rows) != 2 {
		t.Errorf("picked %s, whose tasks are %v", v.picked, rows)
	}
	v.pick(r, 1)
	if rows := v.tasks(r); v.picked != "" || len(rows) != maxTopTasks+1 {
		t.Errorf("picked %q, whose tasks are %v", v.picked, rows)
	}
	v.pick(r, 1)
	if v.picked != r.jobs[0].ID {
		t.Errorf("picked %q", v.picked)
	}
	v.pick(&topRound{}, 1)
	if v.picked != "" {
		t.Errorf("picked %q of no job", v.picked)
	}
}

// Rates are those since the look before, and none of a server that was started again.
func TestTopRates(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	health := func(up time.Duration, received, sent int64) s4.ServerHealth {
		return s4.ServerHealth{Uptime: up, Load: s4.ServerLoad{Received: received, Sent: sent}}
	}
	w := topWatch{}
	first := []s4.ServerHealth{health(time.Minute, 100, 50), health(time.Minute, 100, 50), {Err: errors.New("down")}}
	job := s4.JobStatus{ID: "1", Started: start.Add(-10 * time.Second)}
	job.Tasks, job.InputBytes, job.BytesIn = 8, 1000, 200
	w.last = topRound{at: start, servers: w.compare(first, start), jobs: w.measure([]s4.JobStatus{job}, start)}
	if j := w.last.jobs[0]; j.rate != 20 || !j.hasETA || j.eta != 40 {
		t.Errorf("since the start: %+v", j)
	}
	for _, s := range w.last.servers {
		if s.compared {
			t.Errorf("compared with nothing: %+v", s)
		}
	}
	later := start.Add(2 * time.Second)
	list := w.compare([]s4.ServerHealth{health(time.Minute+2*time.Second, 300, 60), health(time.Second, 3, 4), health(time.Minute, 1, 1)}, later)
	if s := list[0]; !s.compared || s.in != 100 || s.out != 5 {
		t.Errorf("%+v", s)
	}
	if list[1].compared || list[2].compared {
		t.Errorf("%+v", list[1:])
	}
	job.BytesIn = 600
	if j := w.measure([]s4.JobStatus{job}, later)[0]; j.rate != 200 || j.eta != 8 {
		t.Errorf("since the look before: %+v", j)
	}
}
