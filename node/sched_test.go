package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTestContext(t *testing.T) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

// queued waits until n tasks wait for a slot.
func (s *scheduler) queued(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got := len(s.queue)
		s.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d tasks wait, want %d", got, n)
		}
	}
}

// A large job has all slots and a long queue; small ones come, and get the
// very next slots, until each holds as many.
func TestSchedulerIsFair(t *testing.T) {
	s := newScheduler(4)
	ctx, stop := newTestContext(t)
	big, small, third := new(job), new(job), new(job)
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	wait := func(name string, j *job) {
		wg.Go(func() {
			if s.acquire(ctx, j) != nil {
				return
			}
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
		})
	}
	for range 4 {
		if err := s.acquire(ctx, big); err != nil {
			t.Fatal(err)
		}
	}
	queue := 0
	enqueue := func(name string, j *job) {
		wait(name, j)
		queue++
		s.queued(t, queue)
	}
	for range 6 {
		enqueue("big", big)
	}
	enqueue("small", small)
	enqueue("small", small)
	enqueue("small", small)
	enqueue("third", third)
	granted := 0
	release := func(j *job) {
		s.release(j)
		granted++
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			mu.Lock()
			n := len(order)
			mu.Unlock()
			if n == granted {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d slots granted, want %d", n, granted)
			}
		}
	}
	release(big) // big 3
	release(big) // big 2, small 1
	release(big) // all hold 1: a tie goes to who has waited longest
	release(big) // and again
	mu.Lock()
	got := strings.Join(order, " ")
	mu.Unlock()
	if want := "small third big big"; got != want {
		t.Errorf("granted to %s, want %s", got, want)
	}
	stop(nil) // the six that still wait
	wg.Wait()
	for _, j := range []*job{small, third, big, big} {
		s.release(j)
	}
	if s.free != 4 || len(s.held) != 0 || len(s.queue) != 0 {
		t.Errorf("%d slots free, %d jobs hold some, %d tasks wait", s.free, len(s.held), len(s.queue))
	}
}

// Whoever gives up waiting takes no slot along, also in the moment of the grant.
func TestSchedulerLosesNoSlot(t *testing.T) {
	s := newScheduler(2)
	why := errors.New("why")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			j := new(job)
			ctx, cancel := context.WithCancelCause(context.Background())
			if i%2 == 0 {
				go cancel(why)
			}
			if err := s.acquire(ctx, j); err != nil {
				if !errors.Is(err, why) {
					t.Error(err)
				}
			} else {
				s.release(j)
			}
			cancel(nil)
		})
	}
	wg.Wait()
	if s.free != 2 || len(s.queue) != 0 || len(s.held) != 0 {
		t.Errorf("%d free, %d wait, %d hold", s.free, len(s.queue), len(s.held))
	}
}

func TestMergeGroups(t *testing.T) {
	for _, c := range []struct{ rels, want string }{
		{"", ""},
		{"a/000_bucket0 b/000_bucket0 c/000_bucket0 d/000_bucket0", "000_bucket0: a/000_bucket0 b/000_bucket0 c/000_bucket0 d/000_bucket0"},
		{"a/000_x b/000_y", "000: a/000_x b/000_y"},
		{"a/000 b/000_y", "000: a/000 b/000_y"},
		{"a/000 b/000", "000: a/000 b/000"},
		{"000_x 001_x", "000_x: 000_x; 001_x: 001_x"},
		{"a/0_x a/00_x", "0_x: a/0_x; 00_x: a/00_x"}, // not the same prefix
		{"a/name b/name b/other", "name: a/name b/name; other: b/other"},
		{"a/5.txt b/5.txt a/5", "5.txt: a/5.txt b/5.txt; 5: a/5"},
		{"a/18446744073709551616_x b/18446744073709551616_x b/18446744073709551616_y",
			"18446744073709551616_x: a/18446744073709551616_x b/18446744073709551616_x; 18446744073709551616_y: b/18446744073709551616_y"},
		{"a/1_x b/1_y c/1_x", "1: a/1_x b/1_y c/1_x"}, // once told apart, for ever
		{"a/1_ b/1_", "1_: a/1_ b/1_"},
	} {
		list := taskList{rels: strings.Fields(c.rels)}
		list.sizes = make([]int64, len(list.rels))
		if err := list.group(func(string) (bool, error) { return false, nil }); err != nil {
			t.Fatal(err)
		}
		var groups []string
		for g, name := range list.names {
			var members []string
			for _, i := range list.groups[g] {
				members = append(members, list.rels[i])
			}
			groups = append(groups, name+": "+strings.Join(members, " "))
		}
		if got := strings.Join(groups, "; "); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.rels, got, c.want)
		}
		if list.len() != len(list.names) {
			t.Errorf("%s: %d tasks for %d groups", c.rels, list.len(), len(list.names))
		}
		if slices.Contains(list.names, "") {
			t.Errorf("%s: a group without a name", c.rels)
		}
	}
}

func TestInside(t *testing.T) {
	for printed, want := range map[string]string{
		"a": "a", "./a": "a", "d/a": "d/a", "d/../a": "a", "/w/a": "a", "/w/d/../a": "a", ".": ".", "/w": ".",
		"": "!", "..": "!", "../a": "!", "d/../../a": "!", "/a": "!", "/wa": "!", "/w/../a": "!",
	} {
		got, ok := inside("/w", printed)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", printed, got, want)
		}
	}
}
