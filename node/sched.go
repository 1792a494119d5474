package node

import (
	"context"
	"sync"
)

// scheduler hands out task slots. A free slot goes to the waiting job that
// holds the fewest, so that a small job is not stuck behind a large one.
type scheduler struct {
	mu    sync.Mutex
	free  int
	queue []*ticket // guarded by mu, oldest first
	held  map[*job]int
}

// ticket is one task's wait for a slot.
type ticket struct {
	job *job
	got chan struct{} // closed when the slot is granted
}

func newScheduler(slots int) *scheduler {
	return &scheduler{free: slots, held: make(map[*job]int)}
}

// acquire waits for a slot for a task of j.
func (s *scheduler) acquire(ctx context.Context, j *job) error {
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
	s.put(j) // granted in the same moment
	return context.Cause(ctx)
}

// release gives a slot of j back.
func (s *scheduler) release(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(j)
}

// put takes a slot from j and grants it to the next; s.mu is held.
func (s *scheduler) put(j *job) {
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
