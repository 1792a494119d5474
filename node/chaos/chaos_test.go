package chaos

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nathants/s4/node/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }

// How long the load lasts, unless S4_CHAOS says it.
const (
	loadTime  = 40 * time.Second
	loadShort = 10 * time.Second
)

// patience is how long what must come to an end may take. It is a guard against
// hanging and not a measurement.
const patience = 3 * time.Minute

// run is one run of the test.
type run struct {
	t      *testing.T
	seed   uint64
	length time.Duration
	dir    string
	start  time.Time
	log    *os.File
	wg     sync.WaitGroup
	hung   atomic.Bool // something has hung: everybody gives up

	mu         sync.Mutex
	violations []string
	counts     map[string]map[string]int // what of each kind
}

func TestChaos(t *testing.T) {
	r := newRun(t)
	servers := 3
	if r.length >= time.Minute {
		servers += int(r.seed % 3)
	}
	r.note("seed %d, %d servers, load for %v, in %s", r.seed, servers, r.length, r.dir)
	c, err := newCluster(r, servers)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoad(c)
	if err != nil {
		t.Fatal(err)
	}
	faults := startFaults(c, l)
	l.start()
	time.Sleep(r.length)
	l.stop()
	faults.end()
	l.wait()
	c.rest(l)
	c.check(l)
	c.shutDown()
	c.save(l)
	r.report()
}

// newRun reads the environment: S4_CHAOS is how long the load lasts, S4_CHAOS_SEED
// the seed.
func newRun(t *testing.T) *run {
	r := &run{t: t, seed: rand.Uint64N(1e9), length: loadTime, start: time.Now(), counts: make(map[string]map[string]int)}
	var err error
	if testing.Short() {
		r.length = loadShort
	}
	if v := os.Getenv("S4_CHAOS"); v != "" {
		if r.length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("S4_CHAOS: %v", err)
		}
	}
	if v := os.Getenv("S4_CHAOS_SEED"); v != "" {
		if r.seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("S4_CHAOS_SEED: %v", err)
		}
	}
	if r.dir, err = os.MkdirTemp("", "s4-chaos-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.log.Close()
		if !t.Failed() {
			_ = os.RemoveAll(r.dir)
		}
	})
	if r.log, err = os.Create(filepath.Join(r.dir, "events.log")); err != nil {
		t.Fatal(err)
	}
	return r
}

// random returns the random numbers of one stream of decisions.
func (r *run) random(stream string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(stream)) // never fails
	return rand.New(rand.NewPCG(r.seed, h.Sum64()))
}

// now is the time of the history.
func (r *run) now() int64 { return int64(time.Since(r.start)) }

// event logs what happens.
func (r *run) event(format string, args ...any) {
	now := time.Now()
	fmt.Fprintf(r.log, "%s %8.3f %s\n", now.UTC().Format("15:04:05.000"), now.Sub(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// note logs what a person should read, too.
func (r *run) note(format string, args ...any) {
	r.event(format, args...)
	r.t.Logf(format, args...)
}

// violation notes what must never happen.
func (r *run) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.event("VIOLATION: %s", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, text)
}

// count counts one thing of a kind.
func (r *run) count(kind, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts[kind] == nil {
		r.counts[kind] = make(map[string]int)
	}
	r.counts[kind][what]++
}

// report prints what has happened, and fails the test if it must not.
func (r *run) report() {
	for _, kind := range slices.Sorted(maps.Keys(r.counts)) {
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(r.counts[kind])) {
			parts = append(parts, fmt.Sprintf("%s %d", what, r.counts[kind][what]))
		}
		r.note("%-20s %s", kind+":", strings.Join(parts, ", "))
	}
	if len(r.violations) == 0 {
		r.note("no violations")
		return
	}
	for _, text := range r.violations[:min(len(r.violations), 20)] {
		r.t.Errorf("violation: %s", text)
	}
	r.t.Errorf("%d violations with S4_CHAOS_SEED=%d; all, the logs and the history are in %s", len(r.violations), r.seed, r.dir)
}
