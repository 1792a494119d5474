package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nathants/s4"
)

// maxTopJobs is of how many jobs "s4 top" asks for the tasks that run. More do not fit on
// a screen.
const maxTopJobs = 20

// topRound is what "s4 top" has found in one look at the cluster.
type topRound struct {
	at      time.Time
	servers []topServer
	jobs    []topJob // that are not over, the last first
	tasks   []topTask
	err     error // of a server that did not tell of its jobs
}

// topServer is a server, with what has come and gone since the look before.
type topServer struct {
	s4.ServerHealth
	index     int
	in, out   float64 // bytes per second
	compared  bool    // there was a look before
	diskUsed  float64 // of 1
	memUnused float64 // of 1
}

// topJob is a job with how fast it is.
type topJob struct {
	s4.JobStatus
	rate   float64 // bytes of input per second, since the look before or, at the first, since the start
	eta    float64 // seconds
	hasETA bool
}

// topTask is a task that runs.
type topTask struct {
	s4.JobTask
	job  string
	took time.Duration
}

// topWatch looks at a cluster again and again.
type topWatch struct {
	client *s4.Client
	last   topRound
	meters map[string]*meter
}

// look asks all servers. It returns early if ctx ends.
func (w *topWatch) look(ctx context.Context) topRound {
	r := topRound{}
	var (
		health []s4.ServerHealth
		wg     sync.WaitGroup
	)
	wg.Go(func() { health = w.client.Health(ctx) })
	jobs, err := w.client.Jobs(ctx)
	r.err = err
	jobs = slices.DeleteFunc(jobs, func(s s4.JobStatus) bool { return s.State.Over() })
	tasks := make([][]s4.JobTask, min(len(jobs), maxTopJobs))
	for i := range tasks {
		wg.Go(func() {
			var terr error
			// A job that has just ended has no tasks that run.
			if tasks[i], terr = w.client.RunningTasks(ctx, jobs[i].ID); errors.Is(terr, s4.ErrNoJob) {
				tasks[i] = nil
			}
		})
	}
	wg.Wait()
	r.at = time.Now()
	r.servers = w.compare(health, r.at)
	for i, list := range tasks {
		for _, t := range list {
			r.tasks = append(r.tasks, topTask{JobTask: t, job: jobs[i].ID, took: max(0, r.at.Sub(t.Start))})
		}
	}
	slices.SortStableFunc(r.tasks, func(a, b topTask) int { return cmp.Compare(b.took, a.took) })
	r.jobs = w.measure(jobs, r.at)
	w.last = r
	return r
}

// compare finds out how much came and went since the look before.
func (w *topWatch) compare(health []s4.ServerHealth, now time.Time) []topServer {
	list := make([]topServer, len(health))
	for i, h := range health {
		s := &list[i]
		s.ServerHealth, s.index = h, i
		if h.Total > 0 {
			s.diskUsed = 1 - float64(h.Free)/float64(h.Total)
		}
		if h.Load.Memory > 0 {
			s.memUnused = float64(h.Load.Available) / float64(h.Load.Memory)
		}
		if i >= len(w.last.servers) {
			continue
		}
		before, passed := &w.last.servers[i], now.Sub(w.last.at).Seconds()
		// One that was started again meanwhile counts from 0.
		if h.Err == nil && before.Err == nil && passed > 0 && h.Uptime >= before.Uptime {
			s.compared = true
			s.in = max(0, float64(h.Load.Received-before.Load.Received)/passed)
			s.out = max(0, float64(h.Load.Sent-before.Load.Sent)/passed)
		}
	}
	return list
}

// measure finds out how fast jobs are.
func (w *topWatch) measure(jobs []s4.JobStatus, now time.Time) []topJob {
	list := make([]topJob, len(jobs))
	meters := make(map[string]*meter)
	for i, s := range jobs {
		j := &list[i]
		j.JobStatus = s
		m := w.meters[s.ID]
		if m == nil { // nothing is known of it but when it began
			m = &meter{start: s.Started, base: s4.JobProgress{Tasks: s.Tasks}, known: true}
		}
		last := s4.JobProgress{}
		since := s.Started
		if k := slices.IndexFunc(w.last.jobs, func(j topJob) bool { return j.ID == s.ID }); k >= 0 {
			last, since = w.last.jobs[k].JobProgress, w.last.at
		}
		m.update(s.JobProgress, now)
		if passed := now.Sub(since).Seconds(); passed > 0 {
			j.rate = max(0, float64(s.BytesIn-last.BytesIn)/passed)
		}
		j.eta, j.hasETA = m.eta(now.Sub(m.start).Seconds())
		meters[s.ID] = m
	}
	w.meters = meters
	return list
}
