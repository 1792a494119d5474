package ui

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
)

// TestTimelineIsBounded draws far more tasks than there are pixels.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	servers := make([]s4.Server, 20)
	for i := range servers {
		servers[i] = s4.Server{Address: fmt.Sprintf("h%d", i), Port: "1"}
	}
	b := newViewBuilder(s4.JobStatus{ID: "1", Started: start, State: s4.JobRunning}, servers, start.Add(time.Hour))
	for i := range 20_000 {
		task := s4.JobTask{Key: fmt.Sprintf("s4://b/%d<b>", i), Server: servers[i%20], State: s4.TaskDone, Start: start.Add(time.Duration(i/20) * time.Second), Wall: time.Duration(1+i%7) * time.Second, BytesIn: 10}
		switch {
		case i == 777:
			task.State = s4.TaskFailed
			task.Stderr = strings.Repeat("line\n", 10_000)
		case i == 888:
			task.State, task.Wall = s4.TaskRunning, 0
		}
		b.add(task)
	}
	v := b.view()
	var all strings.Builder
	for _, l := range v.Lanes {
		all.WriteString(string(l.SVG))
	}
	svg := all.String()
	if n := strings.Count(svg, "<rect"); n > maxShapes || n < 100 {
		t.Errorf("%d shapes", n)
	}
	for _, want := range []string{`class="failed"`, `class="slow running"`, `s4://b/888&lt;b&gt;: slow running`} {
		if !strings.Contains(svg, want) {
			t.Errorf("the timeline has no %s", want)
		}
	}
	if strings.Contains(svg, "<b>") {
		t.Error("a key is not escaped")
	}
	if len(v.Slow) != maxSlow || v.Slow[0].Key != "s4://b/888<b>" || !v.Slow[0].Straggler {
		t.Errorf("the slowest are %+v", v.Slow)
	}
	if len(v.Failed) != 1 || len(v.Failed[0].Stderr) > maxStderr+100 {
		t.Errorf("%d failed tasks", len(v.Failed))
	}
	if v.Servers[8].Tasks != 1000 || v.Servers[8].Running != 1 || v.Servers[8].BytesIn != 10_000 {
		t.Errorf("server 8: %+v", v.Servers[8])
	}
}

// TestPollsWhileWatched has two pages share the polls, and none without pages.
func TestPollsWhileWatched(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	p := &poller{every: time.Millisecond, life: ctx, wg: &wg, poll: func(_ context.Context, jobs []string, _ *snapshot) *snapshot {
		if len(jobs) > 1 {
			t.Errorf("one job is asked for twice: %q", jobs)
		}
		return &snapshot{}
	}}
	a, b := p.watch("j"), p.watch("j")
	<-a.news
	<-b.news
	p.leave(a)
	<-b.news
	p.leave(b)
	wg.Wait() // its goroutine has ended with the last page
	c := p.watch("")
	<-c.news
	p.leave(c)
	wg.Wait()
}
