package node

import (
	"context"
	"runtime"
	"sync"

	"github.com/nathants/s4"
	"github.com/nathants/s4/xfer"
)

// shared is what all nodes of one process have in common.
type shared struct {
	tasks  *scheduler
	io     chan struct{} // a semaphore: holds one value per task that pushes to peers
	peers  *peers
	copies *xfer.Pool[*xfer.Pipeline] // idle connections that carry copies of keys to peers
	client *s4.Client                 // asks the other servers, and drives detached jobs

	mu    sync.Mutex
	nodes int // that use it; guarded by mu
}

// enter counts a node until it calls leave.
func (s *shared) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes++
}

// leave is called by a node when nothing of its own is under way. The last one closes the
// connections.
func (s *shared) leave() {
	s.mu.Lock()
	s.nodes--
	last := s.nodes == 0
	s.mu.Unlock()
	if last {
		s.peers.interrupt()
		s.client.Close()
		s.copies.Close()
	}
}

// ioSlot is the slot of one task that pushes to peers, or its wait for one.
type ioSlot struct {
	slots chan struct{}
	held  bool
}

// acquire waits for the slot, unless it is held.
func (s *ioSlot) acquire(ctx context.Context) error {
	if s.held {
		return nil
	}
	select {
	case s.slots <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives it back, if it is held.
func (s *ioSlot) release() {
	if s.held {
		<-s.slots
		s.held = false
	}
}

// takeSlot waits for a task slot. release gives it back; calling that again does
// nothing. job is as in acquire.
func (n *Node) takeSlot(ctx context.Context, job any) (release func(), err error) {
	if err := n.sched.acquire(ctx, job); err != nil {
		return nil, err
	}
	n.running.Add(1)
	return sync.OnceFunc(func() {
		n.running.Add(-1)
		n.sched.release(job)
	}), nil
}

// withDefaults returns cfg with its numbers of slots and its timeout filled in, and with
// shared.
func (cfg Config) withDefaults() Config {
	if cfg.MaxCPUJobs <= 0 {
		cfg.MaxCPUJobs = min(runtime.NumCPU()+2, descriptorJobs())
	}
	if cfg.MaxIOJobs <= 0 {
		cfg.MaxIOJobs = min(4*runtime.NumCPU(), descriptorJobs())
	}
	if cfg.IOTimeout <= 0 {
		cfg.IOTimeout = xfer.DefaultTimeout
	}
	if cfg.shared == nil {
		cfg.shared = &shared{
			tasks:  newScheduler(cfg.MaxCPUJobs),
			io:     make(chan struct{}, cfg.MaxIOJobs),
			peers:  newPeers(),
			copies: xfer.NewPool[*xfer.Pipeline](len(cfg.Cluster.Servers), copyIdle),
			client: s4.NewClient(cfg.Cluster, &s4.Options{IOTimeout: cfg.IOTimeout, Secret: cfg.Secret}),
		}
	}
	return cfg
}

// scheduler hands out task slots. A free slot goes to the waiting job that
// holds the fewest, so that a small job is not stuck behind a large one. Jobs are
// told apart by a key of any type: the parts of one on several servers that share
// a scheduler have one key.
type scheduler struct {
	mu    sync.Mutex
	free  int
	queue []*ticket // guarded by mu, oldest first
	held  map[any]int
}

// ticket is one task's wait for a slot.
type ticket struct {
	job any
	got chan struct{} // closed when the slot is granted
}

func newScheduler(slots int) *scheduler {
	return &scheduler{free: slots, held: make(map[any]int)}
}

// acquire waits for a slot for a task of j.
func (s *scheduler) acquire(ctx context.Context, j any) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.held[j]++
		s.mu.Unlock()
		return nil
	}
	t := &ticket{job: j, got: make(chan struct{})}
	s.queue = append(s.queue, t)
	s.mu.Unlock()
	select {
	case <-t.got:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.queue {
		if q == t {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return context.Cause(ctx)
		}
	}
	s.put(j) // the slot was granted just before ctx ended: give it back
	return context.Cause(ctx)
}

// release gives a slot of j back.
func (s *scheduler) release(j any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(j)
}

// put takes a slot from j and grants it to the next waiting task; s.mu is held.
func (s *scheduler) put(j any) {
	if s.held[j]--; s.held[j] == 0 {
		delete(s.held, j)
	}
	best := -1
	for i, t := range s.queue {
		if best < 0 || s.held[t.job] < s.held[s.queue[best].job] {
			best = i
		}
	}
	if best < 0 {
		s.free++
		return
	}
	t := s.queue[best]
	s.queue = append(s.queue[:best], s.queue[best+1:]...)
	s.held[t.job]++
	close(t.got)
}

// isBusy reports whether a slot is taken.
func (s *scheduler) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held) > 0
}
