package ui

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nathants/s4"
)

const (
	pollEvery = time.Second // while somebody looks
	pollShare = 4           // a poll that takes long is followed by a pause of so many times that
)

// snapshot is what the servers have told at one time. Nobody changes it.
type snapshot struct {
	at     time.Time
	health []s4.ServerHealth
	rates  []serverRate // by server; empty if there was no snapshot before
	jobs   []s4.JobStatus
	err    error               // of a server that did not tell of its jobs
	views  map[string]*jobView // of the jobs that somebody looks at
}

// serverRate is what came to a server and went from it, in bytes per second, since the
// snapshot before. Known is false if that cannot be told.
type serverRate struct {
	In, Out int64
	Known   bool
}

// since returns the rates of servers since an earlier snapshot.
func (s *snapshot) since(last *snapshot) []serverRate {
	passed := s.at.Sub(last.at).Seconds()
	if passed <= 0 || len(last.health) != len(s.health) {
		return nil
	}
	rates := make([]serverRate, len(s.health))
	for i := range rates {
		a, b := &last.health[i], &s.health[i]
		if a.Err != nil || b.Err != nil || b.Uptime < a.Uptime { // it was started again, and counts from 0
			continue
		}
		rates[i] = serverRate{
			In:    max(0, int64(float64(b.Load.Received-a.Load.Received)/passed)),
			Out:   max(0, int64(float64(b.Load.Sent-a.Load.Sent)/passed)),
			Known: true,
		}
	}
	return rates
}

// view returns the view of a job, which is nil if no server knows the job.
func (s *snapshot) view(id string) *jobView { return s.views[id] }

// watcher is a page that is open. news has the last snapshot, if it was not taken.
type watcher struct {
	job  string // its ID, or empty
	news chan *snapshot
}

// poller asks the servers while there are watchers, once for all of them.
type poller struct {
	poll  func(ctx context.Context, jobs []string, last *snapshot) *snapshot
	every time.Duration   // at least, between two polls
	life  context.Context // ends it
	wg    *sync.WaitGroup // has its goroutine

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	stop     context.CancelFunc // while there are watchers
}

// watch begins to watch. The caller calls leave.
func (p *poller) watch(job string) *watcher {
	w := &watcher{job: job, news: make(chan *snapshot, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers == nil {
		p.watchers = make(map[*watcher]struct{})
	}
	p.watchers[w] = struct{}{}
	if len(p.watchers) == 1 {
		ctx, cancel := context.WithCancel(p.life)
		p.stop = cancel
		p.wg.Go(func() { p.run(ctx) })
	}
	return w
}

// leave ends what watch has begun, and the polling with the last watcher.
func (p *poller) leave(w *watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, w)
	if len(p.watchers) == 0 {
		p.stop()
	}
}

// run polls until ctx ends. The first answer is for pages that were just made, and so
// comes after a pause.
func (p *poller) run(ctx context.Context) {
	var last *snapshot
	for pause := p.every; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		start := time.Now()
		s := p.poll(ctx, p.jobs(), last)
		if ctx.Err() != nil {
			return
		}
		p.tell(s)
		last, pause = s, max(p.every, pollShare*time.Since(start))
	}
}

// jobs returns the jobs that are watched.
func (p *poller) jobs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for w := range p.watchers {
		if w.job != "" && !slices.Contains(list, w.job) {
			list = append(list, w.job)
		}
	}
	return list
}

// tell gives s to all watchers, in place of one that they have not taken.
func (p *poller) tell(s *snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.watchers {
		select {
		case <-w.news:
		default:
		}
		w.news <- s
	}
}

// poll asks all servers. What last knew of jobs that are over is not asked again.
func (u *UI) poll(ctx context.Context, jobs []string, last *snapshot) *snapshot {
	s := &snapshot{views: make(map[string]*jobView)}
	var wg sync.WaitGroup
	wg.Go(func() { s.health = u.client.Health(ctx) })
	s.jobs, s.err = u.client.Jobs(ctx)
	for _, id := range jobs {
		i := slices.IndexFunc(s.jobs, func(j s4.JobStatus) bool { return j.ID == id })
		if i < 0 {
			continue
		}
		if last != nil {
			if v := last.view(id); v != nil && v.Err == nil && s.err == nil && s.jobs[i].State.Over() && s.jobs[i].Ended.Equal(v.Job.Ended) {
				s.views[id] = v
				continue
			}
		}
		s.views[id] = u.look(ctx, s.jobs[i], s.err)
	}
	wg.Wait()
	if s.at = time.Now(); last != nil {
		s.rates = s.since(last)
	}
	return s
}
