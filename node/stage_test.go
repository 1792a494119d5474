package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// testStage stages keys for a job.
func testStage(t testing.TB, s *store, id uint64, names ...string) *stage {
	t.Helper()
	p, err := s.newStage(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := p.write(n); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *stage) isOpen() bool { return int(p.tree.root.Fd()) >= 0 }

func (p *stage) write(name string) error {
	text := fmt.Sprintf("bytes of %s of %s", name, filepath.Base(p.path))
	return writeTo(p.store, text, func(f *tempFile) error { return p.add(f.Temp, nil, name, f.size, f.sum) })
}

// commit does what a job does after prepare.
func (p *stage) commit() error {
	if err := errors.Join(p.promise(nil), p.decide()); err != nil {
		return err
	}
	return p.publish()
}

func TestStagedOutputIsInvisible(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/out/old")
	p := testStage(t, s, 7, "b/out/x", "b/out/d/y", "c/z")
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/out/old"}) {
		t.Errorf("listed %q", got)
	}
	wantCode(t, "staged twice", p.write("b/out/x"), wire.CodeExists)
	wantCode(t, "staged below", p.write("b/out/x/y"), wire.CodeConflict)
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"b/out/x", "b/out/d/y", "c/z", "b/out/old"} {
		if _, err := s.read(n); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "_s4/jobs")); len(left) > 0 || len(s.pending) > 0 {
		t.Errorf("left: %v, %d marks", left, len(s.pending))
	}
}

// Between prepare and the end of commit nobody else can write the staged keys.
func TestPreparedKeysAreReserved(t *testing.T) {
	s := testStore(t, t.TempDir())
	p := testStage(t, s, 1, "b/out/x", "b/out/d/y")
	if err := s.write("b/free", "x"); err != nil {
		t.Fatal(err)
	}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "put of a staged key", s.write("b/out/x", "mine"), wire.CodeExists)
	wantCode(t, "put below a staged key", s.write("b/out/x/z", "mine"), wire.CodeConflict)
	wantCode(t, "put over a staged directory", s.write("b/out/d", "mine"), wire.CodeConflict)
	if err := s.write("b/out/d/other", "x"); err != nil {
		t.Errorf("put beside: %v", err)
	}
	if err := p.commit(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "put after publishing", s.write("b/out/x", "mine"), wire.CodeExists)
	if err := p.remove(); err != nil {
		t.Fatal(err)
	}
	// A job that gives up frees its names.
	q := testStage(t, s, 2, "b/gone")
	if err := q.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := q.remove(); err != nil {
		t.Fatal(err)
	}
	if err := s.write("b/gone", "x"); err != nil {
		t.Errorf("put after the job gave up: %v", err)
	}
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/free", "b/gone", "b/out/d/other", "b/out/d/y", "b/out/x"}) {
		t.Errorf("%q", got)
	}
}

func TestPrepareFindsConflicts(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/k", "b/d/k")
	for staged, want := range map[string]wire.Code{
		"b/k": wire.CodeExists, "b/k/x": wire.CodeConflict, "b/d": wire.CodeConflict, "b/d/k/x/y": wire.CodeConflict, "b/d/k": wire.CodeExists,
	} {
		p := testStage(t, s, 1, staged)
		wantCode(t, "prepare "+staged, p.prepare(), want)
		if err := p.remove(); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.pending) > 0 {
		t.Errorf("%d marks are left", len(s.pending))
	}
}

// Two jobs that stage the same key: whatever the timing, exactly one commits,
// and the key is that job's.
func TestJobsRaceForAKey(t *testing.T) {
	t.Parallel()
	s := testStore(t, t.TempDir())
	for round := range 150 {
		name := fmt.Sprintf("b/out%d/x", round)
		var stages [2]*stage
		for i := range stages {
			stages[i] = testStage(t, s, uint64(2*round+i+1), name, fmt.Sprintf("b/out%d/own%d", round, i))
		}
		var committed atomic.Int64
		var errs [2]error
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i, p := range stages {
			wg.Go(func() {
				<-start
				err := p.prepare()
				if err == nil {
					if err = p.commit(); err == nil {
						committed.Add(1)
					} else {
						t.Errorf("publish after prepare: %v", err)
					}
				}
				errs[i] = err
				if err := p.remove(); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := committed.Load(); n != 1 {
			t.Fatalf("round %d: %d jobs committed: %v", round, n, errs)
		}
		for i, err := range errs {
			if err != nil && code(err) != wire.CodeExists {
				t.Fatalf("round %d: the loser was told %v", round, err)
			}
			_, rerr := s.read(fmt.Sprintf("b/out%d/own%d", round, i))
			if (err == nil) != (rerr == nil) {
				t.Fatalf("round %d: job %d ended with %v, its other key with %v", round, i, err, rerr)
			}
		}
		if _, err := s.read(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A job that prepares while others, which have nothing to do with it, commit
// and go away.
func TestPrepareWhileOthersEnd(t *testing.T) {
	t.Parallel()
	s := testStore(t, t.TempDir())
	var wg sync.WaitGroup
	var id atomic.Uint64
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				var names []string
				for k := range 3 {
					names = append(names, fmt.Sprintf("b/w%d/i%d/k%d", w, i, k))
				}
				p := testStage(t, s, id.Add(1), names...)
				if err := p.prepare(); err != nil {
					t.Errorf("prepare: %v", err)
				} else if err := p.commit(); err != nil {
					t.Errorf("publish: %v", err)
				}
				if err := p.remove(); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// The job that was marked first publishes while the later one looks for
// clashes: a key that moves from the stage to the data directory in between
// must be seen in one of the two.
func TestPrepareSeesKeysThatMove(t *testing.T) {
	t.Parallel()
	s := testStore(t, t.TempDir())
	for round := range 30 {
		out := fmt.Sprintf("b/out%d/", round)
		mustWrite(t, s, out+"old") // so that prepare looks at every name below
		first := testStage(t, s, 1, out+"a")
		if err := first.prepare(); err != nil {
			t.Fatal(err)
		}
		second := testStage(t, s, 2, out+"a")
		for i := range 60 {
			if err := second.write(fmt.Sprintf("%sk%d", out, i)); err != nil {
				t.Fatal(err)
			}
		}
		start := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			<-start
			if err := first.commit(); err != nil {
				t.Errorf("publish: %v", err)
			}
		})
		close(start)
		err := second.prepare()
		wg.Wait()
		if err == nil {
			t.Errorf("round %d: two jobs were promised %sa", round, out)
		} else if code(err) != wire.CodeExists {
			t.Errorf("round %d: %v", round, err)
		}
		for _, p := range []*stage{first, second} {
			if err := p.remove(); err != nil {
				t.Fatal(err)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// While the prepare of another job reads a stage, the stage's own job may end, and
// keys may be put. The stage's tree is closed when the reading is over.
func TestNobodyWaitsForALook(t *testing.T) {
	s := testStore(t, t.TempDir())
	p := testStage(t, s, 1, "b/k")
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	s.marks.Lock() // as prepare of another job does
	p.readers++
	s.marks.Unlock()
	wantCode(t, "put of a reserved key", s.write("b/k", "x"), wire.CodeExists)
	mustWrite(t, s, "b/other")
	if err := p.remove(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, "b/k") // nobody has reserved it now
	if !p.isOpen() {
		t.Error("the tree is closed while it is looked into")
	}
	s.doneReading(p)
	if p.isOpen() {
		t.Error("the tree is open after the last look")
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/old/k")
	// One job was killed while it published: a part is moved already.
	p := testStage(t, s, 1, "b/out/x", "b/out/d/y", "b/old/z", "c/z")
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.promise(nil), p.decide()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "b/out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(p.path, "stage/b/out/x"), filepath.Join(dir, "b/out/x")); err != nil {
		t.Fatal(err)
	}
	p.tree.close()
	// Another had only begun; there are an eval's directory and an upload.
	q := testStage(t, s, 2, "b/never")
	q.tree.close()
	jobs := filepath.Join(dir, "_s4/jobs")
	for _, f := range []string{jobs + "/eval-9/file", jobs + "/0000000000000002/tasks/3/big", dir + "/_s4/tmp/.s4-tmp-ABC", dir + "/_s4/tmp/probe"} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.close()

	s = testStore(t, dir)
	want := []string{"b/old/k", "b/old/z", "b/out/d/y", "b/out/x"}
	if got := s.names(t, "b/", true); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	for _, n := range append(want, "c/z") {
		if _, err := s.read(n); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	for _, d := range []string{jobs, dir + "/_s4/tmp"} {
		if left, _ := os.ReadDir(d); len(left) > 0 {
			t.Errorf("left in %s: %v", d, left)
		}
	}
	if s.count.Load() != 5 {
		t.Errorf("%d keys are counted", s.count.Load())
	}
}

// A commit that fails in the middle must not destroy what it has not moved.
func TestFailedPublishKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	n := &Node{store: s, jobs: make(map[uint64]*job)}
	n.ctx, n.cancel = newTestContext(t)
	j, err := n.newJob(&wire.Job{ID: 1, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Command: "cat"})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"b/out/1", "b/out/2", "b/out/3"}
	for _, name := range names {
		if err := j.stage.write(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.prepare(nil); err != nil {
		t.Fatal(err)
	}
	// Something other than s4 gets in the way: here a link, on a real machine
	// as well a full disk.
	if err := os.MkdirAll(filepath.Join(dir, "b/out"), 0o755); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(dir, "b/out/2")
	if err := os.Symlink("nowhere", obstacle); err != nil {
		t.Fatal(err)
	}
	if err := j.commit(); err == nil {
		t.Fatal("commit succeeded over the link")
	}
	_ = j.end(nil)
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	s.close()
	s = testStore(t, dir)
	if got := s.names(t, "b/", true); len(got) > 0 && !slices.Equal(got, names) {
		t.Errorf("of the job's output %q is there after a restart: neither all nor none", got)
	}
}

// Output that the command made read-only, as cp of a key does, is staged also
// where the server is not root.
func TestReadOnlyOutputWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("must be root to become somebody else")
	}
	const nobody = 65534
	dir := t.TempDir()
	s := testStore(t, dir)
	p := testStage(t, s, 1)
	if err := p.makeWork(); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(p.path, workDir)
	if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} { // both are TempDir's
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		// This thread, which ends with the goroutine, is somebody else to the
		// file system (setfsuid(2)).
		runtime.LockOSThread()
		if _, err := unix.SetfsuidRetUid(nobody); err != nil {
			done <- err
			return
		}
		done <- func() error {
			path := filepath.Join(work, "f")
			if err := os.WriteFile(path, []byte("text"), 0o444); err != nil {
				return fmt.Errorf("test: %w", err)
			}
			d, err := os.Open(work)
			if err != nil {
				return err
			}
			defer d.Close()
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			f := xfer.NewFile(fd, path)
			defer f.Close()
			return p.add(xfer.NamedTemp(f, int(d.Fd()), "f"), nil, "b/out/f", 4, xxhash.Sum64String("text"))
		}()
	}()
	if err := <-done; err != nil {
		t.Errorf("stage a file of mode 0444: %v", err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
}
