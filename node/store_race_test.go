package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nathants/s4/wire"
)

// As many writers as there are race for one key, and one of them wins.
func TestCommitIsExclusive(t *testing.T) {
	s := testStore(t, t.TempDir())
	for round := range 200 {
		name := fmt.Sprintf("b/d%d/k", round)
		var wins atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, text := range []string{"one", "another"} {
			wg.Go(func() {
				<-start
				switch err := s.write(name, text); {
				case err == nil:
					wins.Add(1)
					winner.Store(text)
				case code(err) != wire.CodeExists:
					t.Errorf("the loser was told %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d writers won", round, wins.Load())
		}
		if got, err := s.read(name); err != nil || got != winner.Load() {
			t.Fatalf("round %d: %q, %v, but %q won", round, got, err, winner.Load())
		}
	}
	if n := s.count.Load(); n != 200 {
		t.Errorf("%d keys are counted", n)
	}
}

// Puts make directories that removes prune at the same time, and turn into
// keys and back. What was acknowledged is there, what was removed is not, and
// lists in between do not fail.
func TestRacingPutsAndRemoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := testStore(t, dir)
	const workers, rounds = 8, 120
	var kept sync.Map
	var wg, lister sync.WaitGroup
	stop := make(chan struct{})
	lister.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := s.list(context.Background(), "b/", true, func(e *wire.Entry) error { return nil })
			if err != nil {
				t.Errorf("list: %v", err)
				return
			}
		}
	})
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			for i := range rounds {
				name := fmt.Sprintf("b/d%d/e%d/w%d-%d", r.IntN(2), r.IntN(2), w, i)
				if err := s.write(name, name); err != nil {
					t.Errorf("put %s: %v", name, err)
					continue
				}
				if got, err := s.read(name); err != nil || got != name {
					t.Errorf("read %s after its put: %q, %v", name, got, err)
				}
				if r.IntN(20) == 0 {
					kept.Store(name, true)
				} else if err := s.remove(name); err != nil {
					t.Errorf("remove %s: %v", name, err)
				}
				// A key where there may be a directory, and below it.
				for _, n := range []string{"b/x", "b/x/y", "b/x/y/z"} {
					if s.write(n, n) == nil {
						if err := s.remove(n); err != nil {
							t.Errorf("remove %s: %v", n, err)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	lister.Wait()
	want := []string{}
	var bytes int64
	kept.Range(func(k, _ any) bool {
		want = append(want, k.(string))
		bytes += int64(len(k.(string)))
		return true
	})
	slices.Sort(want)
	if got := s.names(t, "b/", true); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	for _, n := range want {
		if got, err := s.read(n); err != nil || got != n {
			t.Errorf("%s: %q, %v", n, got, err)
		}
	}
	if s.count.Load() != int64(len(want)) || s.bytes.Load() != bytes {
		t.Errorf("counted %d keys, %d bytes, want %d, %d", s.count.Load(), s.bytes.Load(), len(want), bytes)
	}
}

// A remove of everything races with puts: each key is either counted as
// removed or still there.
func TestRemoveAllRaces(t *testing.T) {
	s := testStore(t, t.TempDir())
	var put, removed atomic.Int64
	var wg, remover sync.WaitGroup
	stop := make(chan struct{})
	remover.Go(func() {
		for {
			n, err := s.removePrefix(context.Background(), "b/")
			removed.Add(n)
			if err != nil {
				t.Errorf("rm -r: %v", err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("b/d%d/%d/k%d", i%3, w, i)
				if w == 3 {
					name = []string{"b/x", "b/x/y"}[i%2] // a key, a directory, a key …
				}
				switch err := s.write(name, "x"); code(err) {
				case 0:
					put.Add(1)
				case wire.CodeExists, wire.CodeConflict:
					if w != 3 {
						t.Errorf("put %s: %v", name, err)
					}
				default:
					t.Errorf("put %s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	remover.Wait()
	left := int64(len(s.names(t, "b/", true)))
	if put.Load() != removed.Load()+left || s.count.Load() != left {
		t.Errorf("%d put, %d removed, %d left, %d counted", put.Load(), removed.Load(), left, s.count.Load())
	}
}
