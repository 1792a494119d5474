package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

var servers = []s4.Server{{Address: "10.0.0.1", Port: "4000"}, {Address: "10.0.0.2", Port: "4000"}}

// at is a time some seconds after the jobs of these tests began.
func at(seconds float64) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestMeter(t *testing.T) {
	none := s4.JobProgress{Slowest: -1}
	for _, test := range []struct {
		name  string
		first s4.JobProgress
		last  s4.JobProgress
		after float64
		want  string
	}{
		{"all", none, s4.JobProgress{Tasks: 1000, Done: 409, Failed: 3, BytesIn: 1200e6, InputBytes: 2400e6,
			BytesOut: 800e6, Pushed: 500e6, Slowest: 1, Left: 31}, 10,
			"map 412/1000 tasks, 3 failed, 1.2 GB in, 800.0 MB out, 500.0 MB shuffled, 120.0 MB/s, ETA 10s, slowest 10.0.0.2:4000 (31 left)"},
		{"nothing yet", none, s4.JobProgress{Tasks: 7, InputBytes: 10, Slowest: 0, Left: 7}, 3, "map 0/7 tasks, slowest 10.0.0.1:4000 (7 left)"},
		{"skipped", none, s4.JobProgress{Tasks: 1, Skipped: 9, Slowest: -1}, 1, "map 0/1 task, 9 skipped"},
		{"all done", none, s4.JobProgress{Tasks: 2, Done: 2, BytesIn: 8, InputBytes: 8, BytesOut: 4, Slowest: -1}, 2, "map 2/2 tasks, 8 B in, 4 B out, 4 B/s"},
		{"no bytes to go by", none, s4.JobProgress{Tasks: 4, Done: 1, Slowest: -1}, 60, "map 1/4 tasks, ETA 3m0s"},
		{"hours", none, s4.JobProgress{Tasks: 3, Done: 1, Slowest: -1}, 3700, "map 1/3 tasks, ETA 2h3m"},
		{"in the middle", s4.JobProgress{Tasks: 4, Done: 1, BytesIn: 100, InputBytes: 400, Slowest: -1},
			s4.JobProgress{Tasks: 4, Done: 2, BytesIn: 200, InputBytes: 400, Slowest: -1}, 10, "map 2/4 tasks, 200 B in, 10 B/s, ETA 20s"},
		{"no time", none, s4.JobProgress{Tasks: 2, Done: 1, BytesIn: 4, InputBytes: 8, Slowest: -1}, 0, "map 1/2 tasks, 4 B in"},
		{"a server is lost", none, s4.JobProgress{Tasks: 4, Done: 1, Failed: 1, BytesIn: 4, InputBytes: 16, Slowest: 0, Left: 2, Lost: 1, LostSince: at(-2)}, 10,
			"map 2/4 tasks, 1 failed, waiting for 10.0.0.2:4000, 12s, 4 B in"},
		{"a lost server that the cluster file has not", none, s4.JobProgress{Tasks: 4, Slowest: -1, Lost: 2, LostSince: at(-2)}, 10, "map 0/4 tasks"},
		{"a server that the cluster file has not", none, s4.JobProgress{Tasks: 2, Slowest: 2, Left: 2}, 1, "map 0/2 tasks"},
	} {
		m := meter{verb: "map", servers: servers}
		test.first.Tasks = test.last.Tasks // known from the start
		m.update(test.first, at(0))
		m.update(test.last, at(test.after/2))
		if got := m.line(at(test.after)); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

// shown is a progress with a clock, which writes to a buffer.
type shown struct {
	progress
	out strings.Builder
	at  time.Time
}

// newShown returns one that thinks it is a terminal of that width, or a file
// if it is 0.
func newShown(width int) *shown {
	p := &shown{at: at(0)}
	p.statusLine = newStatusLine()
	p.progress.out = &p.out
	p.progress.now = func() time.Time { return p.at }
	if width > 0 {
		p.width = func() int { return width }
	}
	p.begin("map", servers)
	return p
}

func (p *shown) tickAt(seconds float64) {
	p.at = at(seconds)
	p.tick()
}

func TestProgressTerminal(t *testing.T) {
	p := newShown(80)
	step := func(what, want string) {
		t.Helper()
		if got := p.out.String(); got != want {
			t.Errorf("%s: wrote %q, want %q", what, got, want)
		}
		p.out.Reset()
	}
	p.tickAt(1)
	step("before any news", "")
	p = newShown(80)
	p.update(s4.JobProgress{Tasks: 9, Slowest: -1})
	p.tickAt(0.1)
	step("too early", "")
	p.tickAt(1)
	step("first", "\rmap 0/9 tasks\x1b[K")
	p.tickAt(2)
	step("nothing new", "")
	p.aside(func() { p.out.WriteString("s4: map: oh\n") })
	step("something else", "\r\x1b[Ks4: map: oh\n")
	p.aside(func() { p.out.WriteString("more\n") })
	step("more of it", "more\n")
	p.tickAt(3)
	step("again", "\rmap 0/9 tasks\x1b[K")
	p.update(s4.JobProgress{Tasks: 9, Done: 3, Slowest: -1})
	p.tickAt(3.1)
	p.tickAt(3.19)
	step("more than 5 a second", "")
	p.tickAt(3.2)
	step("the next", "\rmap 3/9 tasks, ETA 6s\x1b[K")
	p.stop()
	step("end", "\r\x1b[K")
	p.stop()
	step("end again", "")

	p = newShown(9)
	p.update(s4.JobProgress{Tasks: 9, Slowest: -1})
	p.tickAt(1)
	step("narrow", "\rmap 0/9 \x1b[K")
}

func TestProgressFile(t *testing.T) {
	p := newShown(0)
	p.update(s4.JobProgress{Tasks: 9, Slowest: -1})
	for s := range 100 {
		n := p.out.Len()
		p.tickAt(float64(s))
		if wrote := p.out.Len() > n; wrote != (s == 10 || s == 40 || s == 70) {
			t.Errorf("at %d s: wrote %v", s, wrote)
		}
	}
	p.aside(func() { p.out.WriteString("s4: map: oh\n") })
	p.stop()
	if got, want := p.out.String(), strings.Repeat("map 0/9 tasks\n", 3)+"s4: map: oh\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestProgressQuiet(t *testing.T) {
	for _, a := range []app{{quiet: true}, {json: true}} {
		var out strings.Builder
		a.stderr = &out
		p := a.watch("map", servers)
		p.update(s4.JobProgress{Tasks: 9})
		p.now = func() time.Time { return time.Now().Add(time.Hour) }
		p.tick()
		p.stop()
		if out.Len() > 0 {
			t.Errorf("wrote %q", out.String())
		}
	}
}

func TestSummaryText(t *testing.T) {
	for _, test := range []struct {
		res  s4.JobResult
		want string
	}{
		{s4.JobResult{}, "0 tasks, 0 B in, 0 B out in 0 keys, 12.3s"},
		{s4.JobResult{Keys: 1, Bytes: 6, JobProgress: s4.JobProgress{Tasks: 1, BytesIn: 6}}, "1 task, 6 B in, 6 B out in 1 key, 12.3s"},
		{s4.JobResult{Keys: 993, Bytes: 800e6, JobProgress: s4.JobProgress{Tasks: 1000, Failed: 7, Skipped: 990, BytesIn: 1200e6, Pushed: 500e6}},
			"1000 tasks, 7 failed, 990 skipped, 1.2 GB in, 800.0 MB out in 993 keys, 500.0 MB shuffled, 12.3s"},
	} {
		if got := summaryText(test.res, 12345*time.Millisecond); got != test.want {
			t.Errorf("%s\nwant\n%s", got, test.want)
		}
	}
}

// TestProgressLost checks the lines of a file when servers are lost and come back.
func TestProgressLost(t *testing.T) {
	var (
		fine = s4.JobProgress{Tasks: 9, Done: 2, Slowest: -1, Lost: -1}
		a    = s4.JobProgress{Tasks: 9, Done: 2, Slowest: -1, Lost: 0, LostSince: at(1)}
		both = a // the one that was lost first
		b    = s4.JobProgress{Tasks: 9, Done: 4, Slowest: -1, Lost: 1, LostSince: at(3)}
		anew = s4.JobProgress{Tasks: 9, Done: 4, Slowest: -1, Lost: 1, LostSince: at(8)}
	)
	p := newShown(0)
	for i, step := range []struct {
		job  s4.JobProgress
		want string
	}{
		{fine, ""},
		{a, "map 2/9 tasks, waiting for 10.0.0.1:4000\n"},
		{a, ""},
		{both, ""},
		{b, "map 4/9 tasks, 10.0.0.1:4000 is back after 4s\nmap 4/9 tasks, waiting for 10.0.0.2:4000\n"},
		{anew, "map 4/9 tasks, 10.0.0.2:4000 is back after 3s\nmap 4/9 tasks, waiting for 10.0.0.2:4000\n"},
		{fine, "map 2/9 tasks, 10.0.0.2:4000 is back after 0s\n"},
	} {
		p.at = at(float64(i + 1))
		if i == 6 { // at once
			p.at = at(8)
		}
		p.update(step.job)
		if got := p.out.String(); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
		p.out.Reset()
	}
	p = newShown(80)
	p.update(a)
	p.update(fine)
	if got := p.out.String(); got != "" {
		t.Errorf("a terminal got %q", got)
	}
	p.update(a)
	p.tickAt(4)
	if got, want := p.out.String(), "\rmap 2/9 tasks, waiting for 10.0.0.1:4000, 3s"+eraseRest; got != want {
		t.Errorf("a terminal got %q, want %q", got, want)
	}
}
