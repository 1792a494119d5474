package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// progress shows how far a job is: on a terminal in one line that is rewritten,
// elsewhere in a line now and then, and when a server is lost and when it is back. Its
// methods may be called by any goroutine.
type progress struct {
	statusLine
	meter meter // guarded by mu
}

// watch returns a progress of a job that starts now. The caller stops it.
func (a *app) watch(verb string, servers []s4.Server) *progress {
	p := &progress{statusLine: newStatusLine()}
	if a.quiet || a.json {
		return p
	}
	p.writeTo(a.stderr)
	p.begin(verb, servers)
	p.run()
	return p
}

func (p *progress) begin(verb string, servers []s4.Server) {
	p.meter = meter{verb: verb, servers: servers}
	p.text = func(now time.Time) string {
		if !p.meter.known {
			return ""
		}
		return p.meter.line(now)
	}
	p.from(liveEvery, plainFirst)
}

// update takes note of how far the job is.
func (p *progress) update(j s4.JobProgress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, now := p.meter.last, p.now()
	p.meter.update(j, now)
	if p.out != nil && p.width == nil {
		p.tellLost(&was, now)
	}
}

// tellLost prints a line when the wait for a server begins, and one when it ends; was is
// the progress before. A terminal has the line that is rewritten. p.mu is held.
func (p *progress) tellLost(was *s4.JobProgress, now time.Time) {
	m := &p.meter
	before, lost := m.lost(was), m.lost(&m.last)
	if before == lost && was.LostSince.Equal(m.last.LostSince) {
		return
	}
	switch {
	case before == "":
	case m.last.Without > was.Without:
		fmt.Fprintf(p.out, "%sgoing on without %s\n", m.prefix(), before)
	default:
		fmt.Fprintf(p.out, "%s%s is back after %s\n", m.prefix(), before, seconds(now.Sub(was.LostSince).Seconds()))
	}
	if lost != "" {
		fmt.Fprintf(p.out, "%swaiting for %s\n", m.prefix(), lost)
	}
}

// updateJob is update for a job that is waited for, whose verb is in its
// status.
func (p *progress) updateJob(s s4.JobStatus) {
	p.mu.Lock()
	p.meter.verb = s.Verb
	p.mu.Unlock()
	p.update(s.JobProgress)
}

// meter makes the text of one job's progress.
type meter struct {
	verb    string
	servers []s4.Server
	start   time.Time      // when the first update came: rates are measured from there
	base    s4.JobProgress // the first update, not zero if the job was under way by then
	last    s4.JobProgress
	known   bool
}

func (m *meter) update(p s4.JobProgress, now time.Time) {
	// A job that is taken up has all its tasks only when all servers have answered.
	if !m.known || p.Tasks != m.base.Tasks {
		m.known, m.start, m.base = true, now, p
	}
	m.last = p
}

// lost returns the server that p waits for, or "".
func (m *meter) lost(p *s4.JobProgress) string {
	if p.LostSince.IsZero() || p.Lost < 0 || p.Lost >= len(m.servers) {
		return ""
	}
	return m.servers[p.Lost].String()
}

// tasks says how many tasks have ended.
func (m *meter) tasks() string {
	p := &m.last
	return fmt.Sprintf("%s %d/%s", m.verb, p.Done+p.Failed, count(p.Tasks, "task"))
}

// prefix is what a line about a server begins with: tasks, unless nothing is known of
// the job yet.
func (m *meter) prefix() string {
	if m.verb == "" {
		return ""
	}
	return m.tasks() + ", "
}

// line says how far the job is. It leaves out numbers that are zero.
func (m *meter) line(now time.Time) string {
	p := &m.last
	elapsed := now.Sub(m.start).Seconds()
	var rate int64
	if elapsed > 0 {
		rate = int64(float64(p.BytesIn-m.base.BytesIn) / elapsed)
	}
	lost := m.lost(p)
	var text parts
	text.add(m.verb != "", "%s", m.tasks())
	text.add(p.Failed > 0, "%d failed", p.Failed)
	text.add(p.Skipped > 0, "%d skipped", p.Skipped)
	if lost != "" { // before what a narrow terminal cuts off, and in place of when it ends
		text.add(true, "waiting for %s, %s", lost, seconds(now.Sub(p.LostSince).Seconds()))
	}
	text.add(p.BytesIn > 0, "%s in", flags.FormatSize(p.BytesIn))
	text.add(p.BytesOut > 0, "%s out", flags.FormatSize(p.BytesOut))
	text.add(p.Pushed > 0, "%s shuffled", flags.FormatSize(p.Pushed))
	if lost != "" {
		return text.String()
	}
	text.add(rate > 0, "%s/s", flags.FormatSize(rate))
	eta, ok := m.eta(elapsed)
	text.add(ok, "ETA %s", seconds(eta))
	if p.Left > 0 && p.Slowest >= 0 && p.Slowest < len(m.servers) {
		text.add(true, "slowest %s (%d left)", m.servers[p.Slowest], p.Left)
	}
	return text.String()
}

// eta returns how long the rest takes at the rate so far. It counts bytes of input, or
// tasks if no bytes were read yet or all were.
func (m *meter) eta(elapsed float64) (float64, bool) {
	p := &m.last
	done, left := p.BytesIn-m.base.BytesIn, p.InputBytes-p.BytesIn
	if done <= 0 || left <= 0 {
		done = p.Done + p.Failed - m.base.Done - m.base.Failed
		left = p.Tasks - p.Done - p.Failed
	}
	if done <= 0 || left <= 0 || elapsed <= 0 {
		return 0, false
	}
	return elapsed * float64(left) / float64(done), true
}

// seconds prints a time for people: 1s, 2m5s, 3h20m.
func seconds(s float64) string {
	d := time.Duration(min(s, 1e9) * float64(time.Second)).Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.String()
}
