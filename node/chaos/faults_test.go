package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// faults are streams of faults, each with its own random numbers, which run beside
// each other. A stream draws all numbers of a fault before it waits for anything, so
// that the seed alone decides what comes.
type faults struct {
	c    *cluster
	load *load
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	long time.Duration // the longest that anything hangs
}

func startFaults(c *cluster, l *load) *faults {
	f := &faults{c: c, load: l, long: 5 * time.Second}
	if c.length >= 2*time.Minute {
		f.long = 40 * time.Second
	}
	few := time.Duration(len(c.servers)) // each has the fewer faults the more there are
	f.ctx, f.stop = context.WithCancel(context.Background())
	for i, s := range c.servers {
		f.stream(fmt.Sprintf("server %d", i), few*5*time.Second, func(rng *rand.Rand) func() { return f.server(rng, s) })
		f.stream(fmt.Sprintf("link %d", i), few*4*time.Second, func(rng *rand.Rand) func() { return f.link(rng, s) })
	}
	f.stream("all", 40*time.Second, f.all)
	f.stream("client", 4*time.Second, f.client)
	f.stream("driver", 15*time.Second, f.driver)
	f.stream("promise", 4*time.Second, f.promise)
	if c.disk != nil {
		f.stream("disk", 15*time.Second, f.disk)
	}
	return f
}

// stream makes faults until the end. Their mean distance is every. next draws one, and
// the function that it returns makes it and takes it back.
func (f *faults) stream(name string, every time.Duration, next func(*rand.Rand) func()) {
	rng := f.c.random("faults of " + name)
	f.wg.Go(func() {
		for {
			wait := time.Duration(rng.Int64N(int64(2 * every)))
			strike := next(rng)
			if !f.sleep(wait) {
				return
			}
			strike()
		}
	})
}

// sleep returns false if the faults end before d is over.
func (f *faults) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-f.ctx.Done():
		return false
	}
}

// end ends the faults. Afterwards all servers run, and all links are whole.
func (f *faults) end() {
	f.stop()
	f.wg.Wait()
}

// between draws a duration, mostly a short one.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	x := rng.Float64()
	return least + time.Duration(x*x*float64(most-least))
}

// strikes notes a fault.
func (f *faults) strikes(kind, format string, args ...any) {
	f.c.count("faults", kind)
	f.c.event("FAULT %s %s", kind, fmt.Sprintf(format, args...))
}

// server stops, kills or pauses a server.
func (f *faults) server(rng *rand.Rand, s *server) func() {
	kind := rng.IntN(10)
	pause := between(rng, 500*time.Millisecond, f.long)
	down := between(rng, 0, 5*time.Second)
	if rng.IntN(2) == 0 {
		down = 0
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case kind < 4:
			f.strikes("kill", "server %d for %v", s.index, down)
			s.kill()
		case kind < 6:
			f.strikes("terminate", "server %d for %v", s.index, down)
			s.stop()
		case kind < 9:
			f.strikes("pause", "server %d for %v", s.index, pause)
			s.signal(syscall.SIGSTOP)
			f.sleep(pause)
			s.signal(syscall.SIGCONT)
			f.c.event("server %d goes on", s.index)
			return
		default:
			f.strikes("pause and kill", "server %d after %v for %v", s.index, pause, down)
			s.signal(syscall.SIGSTOP)
			f.sleep(pause)
			s.kill()
		}
		f.sleep(down)
		s.start()
		f.c.event("server %d is back", s.index)
	}
}

// all kills all servers at once.
func (f *faults) all(*rand.Rand) func() {
	return func() {
		f.strikes("kill all", "")
		f.killAll()
	}
}

func (f *faults) killAll() {
	for _, s := range f.c.servers {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	for _, s := range f.c.servers {
		s.kill()
	}
	for _, s := range f.c.servers {
		s.start()
	}
	f.c.event("all servers are back")
}

// link resets, stalls or slows connections to a server, those of its peers, too.
func (f *faults) link(rng *rand.Rand, s *server) func() {
	kind, delay := rng.IntN(10), between(rng, time.Millisecond, 500*time.Millisecond)
	hang := between(rng, 200*time.Millisecond, f.long)
	slow := between(rng, time.Second, 10*time.Second)
	every := func() bool { return true }
	half := func() bool { return rand.IntN(2) == 0 } // of connections that come in no order anyway
	return func() {
		stall := func(pick func() bool, coming bool) {
			release := s.proxy.Hold(pick, coming)
			f.sleep(hang)
			release()
		}
		switch kind {
		case 0, 1:
			f.strikes("reset", "all links of server %d", s.index)
			s.proxy.Reset(every)
		case 2, 3:
			f.strikes("reset some", "links of server %d", s.index)
			s.proxy.Reset(half)
		case 4:
			f.strikes("stall", "all links of server %d for %v", s.index, hang)
			stall(every, true)
		case 5, 6:
			f.strikes("stall some", "links of server %d for %v", s.index, hang)
			stall(half, false)
		default:
			f.strikes("slow", "links of server %d, by %v, for %v", s.index, delay, slow)
			s.proxy.Slow(delay)
			f.sleep(slow)
			s.proxy.Slow(s.delay)
		}
	}
}

// client kills, interrupts or pauses a client.
func (f *faults) client(rng *rand.Rand) func() {
	kind, which, pause := rng.IntN(6), rng.IntN(1<<20), between(rng, 500*time.Millisecond, f.long)
	return func() {
		p := f.load.client(which)
		switch {
		case p == nil:
		case kind < 3:
			f.strikes("kill client", "%d", p.Pid)
			_ = p.Kill()
		case kind < 5:
			f.strikes("interrupt client", "%d", p.Pid)
			_ = p.Signal(syscall.SIGINT)
		default:
			f.strikes("pause client", "%d for %v", p.Pid, pause)
			_ = p.Signal(syscall.SIGSTOP)
			f.sleep(pause)
			_ = p.Signal(syscall.SIGCONT)
		}
	}
}

// driver kills the server that drives a detached job.
func (f *faults) driver(rng *rand.Rand) func() {
	which, down := rng.IntN(1<<20), between(rng, 0, 5*time.Second)
	return func() {
		id, ok := f.load.detached(which)
		if !ok {
			return
		}
		s := f.c.servers[id%uint64(len(f.c.servers))]
		s.mu.Lock()
		defer s.mu.Unlock()
		f.strikes("kill driver", "server %d of job %016x for %v", s.index, id, down)
		s.kill()
		f.sleep(down)
		s.start()
		f.c.event("server %d is back", s.index)
	}
}

// promise strikes where it hurts most: when a server has promised to publish its part of
// a job, and its client has not said yet whether to.
func (f *faults) promise(rng *rand.Rand) func() {
	kind, wait := rng.IntN(7), between(rng, 0, 100*time.Millisecond)
	down, hang := between(rng, 0, 3*time.Second), between(rng, 200*time.Millisecond, f.long)
	other := f.c.servers[rng.IntN(len(f.c.servers))]
	every := func() bool { return true }
	return func() {
		s := f.promised()
		if s == nil || !f.sleep(wait) {
			return
		}
		switch kind {
		case 0, 1:
			if kind == 0 {
				other = s
			}
			other.mu.Lock()
			defer other.mu.Unlock()
			f.strikes("kill at promise", "server %d for %v: server %d has promised", other.index, down, s.index)
			other.kill()
			f.sleep(down)
			other.start()
		case 2:
			f.strikes("kill all at promise", "server %d has promised", s.index)
			f.killAll()
		case 3:
			f.strikes("reset at promise", "links of server %d: server %d has promised", other.index, s.index)
			other.proxy.Reset(every)
		case 4:
			f.strikes("stall at promise", "links of server %d for %v: server %d has promised", other.index, hang, s.index)
			release := other.proxy.Hold(every, true)
			f.sleep(hang)
			release()
		default:
			f.strikes("kill clients at promise", "server %d has promised", s.index)
			f.load.clients.signal(syscall.SIGKILL)
		}
	}
}

// promised waits for a server that has promised, and returns nil if there is none for a
// while.
func (f *faults) promised() *server {
	for range 2000 {
		for _, s := range f.c.servers {
			marks, _ := filepath.Glob(filepath.Join(s.data(), "_s4/jobs/*/prepared")) // the pattern is good
			if len(marks) > 0 {
				return s
			}
		}
		if !f.sleep(2 * time.Millisecond) {
			return nil
		}
	}
	return nil
}

// disk fills the disk of the last server.
func (f *faults) disk(rng *rand.Rand) func() {
	spare, full := rng.Int64N(64<<10), between(rng, time.Second, 6*time.Second)
	return func() {
		f.strikes("fill disk", "for %v", full)
		if err := f.c.disk.fill(spare); err != nil {
			f.c.violation("the test cannot fill the disk: %v", err)
		}
		f.sleep(full)
		if err := f.c.disk.free(); err != nil {
			f.c.violation("the test cannot free the disk: %v", err)
		}
		f.c.event("the disk has room again")
	}
}
