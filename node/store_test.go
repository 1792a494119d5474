package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"s4"
	"s4/wire"
)

func testStore(t testing.TB, dir string) *store {
	t.Helper()
	s, err := openStore(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// write puts a key with these bytes.
func (s *store) write(name, text string) error {
	return writeTo(s, text, func(f *tempFile) error { return s.put(f.Temp, name, f.sum) })
}

func mustWrite(t testing.TB, s *store, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := s.write(n, "bytes of "+n); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
	}
}

// read returns a key's bytes, checked.
func (s *store) read(name string) (string, error) {
	o, err := s.get(name)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b := make([]byte, o.size)
	if _, err := o.ReadAt(b, 0); err != nil && o.size > 0 {
		return "", err
	}
	if xxhash.Sum64(b) != o.sum {
		return "", errors.New("the checksum is wrong")
	}
	return string(b), nil
}

func (s *store) names(t testing.TB, prefix string, recursive bool) []string {
	t.Helper()
	list := []string{}
	err := s.list(context.Background(), prefix, recursive, func(e *wire.Entry) error {
		list = append(list, e.Name)
		return nil
	})
	if err != nil {
		t.Fatalf("list %s: %v", prefix, err)
	}
	return list
}

func code(err error) wire.Code {
	var we *wire.Error
	if errors.As(err, &we) {
		return we.Code
	}
	return 0
}

func wantCode(t testing.TB, what string, err error, want wire.Code) {
	t.Helper()
	if code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

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

func TestConflict(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/k", "b/d/e/k")
	for _, name := range []string{"b/k/x", "b/k/x/y", "b/d", "b/d/e"} {
		wantCode(t, "put "+name, s.write(name, "x"), wire.CodeConflict)
		wantCode(t, "absent "+name, s.absent(name), wire.CodeConflict)
	}
	wantCode(t, "put again", s.write("b/k", "x"), wire.CodeExists)
	wantCode(t, "absent", s.absent("b/k"), wire.CodeExists)
	for _, name := range []string{"b/k/x", "b/d", "b/none", "c/none"} {
		_, err := s.get(name)
		if c := code(err); c != wire.CodeNotFound && c != wire.CodeConflict {
			t.Errorf("get %s: %v", name, err)
		}
	}
	wantCode(t, "remove a directory", s.remove("b/d"), wire.CodeNotFound)
	wantCode(t, "remove below a key", s.remove("b/k/x"), wire.CodeNotFound)
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/d/e/k", "b/k"}) {
		t.Errorf("left: %q", got)
	}
}

func TestStoredFile(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	text := "some bytes\n"
	if err := s.write("b/d/k", text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b/d/k")
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode() != 0o444 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	if b, err := os.ReadFile(path); string(b) != text {
		t.Errorf("%q, %v", b, err)
	}
	attr := make([]byte, 64)
	n, err := unix.Getxattr(path, "user.s4.xxh64", attr)
	if want := fmt.Sprintf("%016x", xxhash.Sum64String(text)); err != nil || string(attr[:n]) != want {
		t.Errorf("xattr %q, %v, want %s", attr[:n], err, want)
	}
	if err := s.write("b/empty", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.read("b/empty"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if s.count.Load() != 2 || s.bytes.Load() != int64(len(text)) {
		t.Errorf("counted %d keys, %d bytes", s.count.Load(), s.bytes.Load())
	}
	// What has no checksum, or a bad one, is not served.
	if err := os.WriteFile(filepath.Join(dir, "b/foreign"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.get("b/foreign")
	wantCode(t, "get a foreign file", err, wire.CodeChecksum)
	if err := unix.Setxattr(path, "user.s4.xxh64", []byte("not hex digits!!"), 0); err != nil {
		t.Fatal(err)
	}
	_, err = s.get("b/d/k")
	wantCode(t, "get with a damaged checksum", err, wire.CodeChecksum)

	if err := s.remove("b/d/k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "b/d")); !os.IsNotExist(err) {
		t.Errorf("the empty directory is still there: %v", err)
	}
	wantCode(t, "remove again", s.remove("b/d/k"), wire.CodeNotFound)
}

func TestListOrderOfNestedNames(t *testing.T) {
	s := testStore(t, t.TempDir())
	all := []string{"b/a.txt", "b/a/b", "b/a/c/d", "b/a-", "b/a0", "b/ab/x", "b/a!", "b/A", "b/é", "b/z"}
	mustWrite(t, s, all...)
	slices.Sort(all)
	if got := s.names(t, "b/", true); !slices.Equal(got, all) {
		t.Errorf("%q, want %q", got, all)
	}
	if got, want := s.names(t, "b/", false), []string{"b/A", "b/a!", "b/a-", "b/a.txt", "b/a/", "b/a0", "b/ab/", "b/z", "b/é"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for prefix, want := range map[string][]string{
		"b/a":     {"b/a!", "b/a-", "b/a.txt", "b/a/b", "b/a/c/d", "b/a0", "b/ab/x"},
		"b/a/":    {"b/a/b", "b/a/c/d"},
		"b/a/c":   {"b/a/c/d"},
		"b/a.":    {"b/a.txt"},
		"b/x":     {},
		"b/z/":    {},
		"b/z/y/x": {},
		"c/":      {},
		"b":       all,
	} {
		if got := s.names(t, prefix, true); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

// Whatever the names, a directory's order is the byte order of the full keys.
func TestDirentOrderIsKeyOrder(t *testing.T) {
	alphabet := []string{"a", "b", ".", "-", "0", "!", "~", "é", "aa", "\x80"}
	r := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var s string
		for range 1 + r.IntN(4) {
			s += alphabet[r.IntN(len(alphabet))]
		}
		return s
	}
	for range 300 {
		seen := map[string]bool{}
		var dirents []dirent
		var keys []string
		for range 1 + r.IntN(12) {
			n := name()
			if seen[n] {
				continue
			}
			seen[n] = true
			d := dirent{n, r.IntN(2) == 0}
			dirents = append(dirents, d)
			if !d.dir {
				keys = append(keys, n)
				continue
			}
			for range 1 + r.IntN(3) {
				if k := n + "/" + name(); !slices.Contains(keys, k) {
					keys = append(keys, k)
				}
			}
		}
		slices.SortFunc(dirents, dirent.compare)
		slices.Sort(keys)
		// Walking the sorted directory meets the sorted keys.
		var walked []string
		for _, d := range dirents {
			for _, k := range keys {
				if k == d.name && !d.dir || d.dir && strings.HasPrefix(k, d.name+"/") {
					walked = append(walked, k)
				}
			}
		}
		if !slices.Equal(walked, keys) {
			t.Fatalf("walked %q, want %q", walked, keys)
		}
	}
}

func TestListIsKeyOrderOnDisk(t *testing.T) {
	s := testStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(3, 4))
	segs := []string{"a", "a.b", "a-", "b", "B", "a0", "_", "..."}
	var want []string
	for range 150 {
		k := "b"
		for range 1 + r.IntN(3) {
			k += "/" + segs[r.IntN(len(segs))]
		}
		if s.write(k, k) == nil {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	if got := s.names(t, "b/", true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEmptyDirectoriesAreInvisible(t *testing.T) {
	for _, left := range []string{"b/d", "b/d/e/f"} {
		t.Run(left, func(t *testing.T) {
			dir := t.TempDir()
			// As a server killed between mkdir and link leaves them.
			for _, d := range []string{left, "empty/x/y"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			s := testStore(t, dir)
			if got := s.names(t, "", false); len(got) > 0 {
				t.Errorf("buckets %q", got)
			}
			if got := s.names(t, "b/", false); len(got) > 0 {
				t.Errorf("listed %q", got)
			}
			if err := s.absent("b/d"); err != nil {
				t.Errorf("an empty directory is in the way: %v", err)
			}
			if err := s.write("b/d", "x"); err != nil {
				t.Errorf("an empty directory is in the way of a put: %v", err)
			}
		})
	}
}

// The same for a job's output: prepare and publish must agree.
func TestEmptyDirectoriesAndJobs(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "b/d/e/f"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := testStage(t, s, 1, "b/d", "b/x/y")
	if err := p.prepare(); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	if err := p.commit(); err != nil {
		t.Fatalf("prepare had said it can be published: %v", err)
	}
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/d", "b/x/y"}) {
		t.Errorf("%q", got)
	}
}

func TestSymlinksAreNotFollowed(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := testStore(t, dir)
	mustWrite(t, s, "b/k", "other/in/k")
	if err := setSumOf(secret, "secret"); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{
		{secret, "b/file"}, {outside, "b/dir"}, {outside, "bucket"},
		{"../other/in/k", "b/insidefile"}, {"../other", "b/insidedir"}, {"nowhere", "b/dangling"},
	} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b/file", "b/dir/secret", "bucket/secret", "b/insidefile", "b/insidedir/in/k", "b/dangling"} {
		if _, err := s.get(name); err == nil {
			t.Errorf("get %s followed the link", name)
		}
		if f, _, err := openRegular(s.keys, name); err == nil {
			f.Close()
			t.Errorf("a task's stdin %s followed the link", name)
		}
		if err := s.write(name, "x"); err == nil {
			t.Errorf("put %s replaced or followed the link", name)
		}
		if err := s.remove(name); err == nil {
			t.Errorf("rm %s removed the link or what it leads to", name)
		}
	}
	for _, name := range []string{"b/dir/new", "b/dir/x/new", "bucket/new", "b/insidedir/new"} {
		if err := s.write(name, "x"); err == nil {
			t.Errorf("put %s went through the link", name)
		}
	}
	if got := s.names(t, "", false); !slices.Equal(got, []string{"b", "other"}) {
		t.Errorf("buckets %q", got)
	}
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/k"}) {
		t.Errorf("listed %q", got)
	}
	for _, prefix := range []string{"b/dir/", "bucket/", "b/insidedir/", "b/insidedir/in/"} {
		_ = s.list(context.Background(), prefix, true, func(e *wire.Entry) error {
			t.Errorf("list %s found %s", prefix, e.Name)
			return nil
		})
		if n, _ := s.removeAll(context.Background(), prefix); n > 0 {
			t.Errorf("rm -r %s removed %d", prefix, n)
		}
	}
	if n, err := s.removeAll(context.Background(), "b/"); n != 1 || err != nil {
		t.Errorf("rm -r removed %d, %v", n, err)
	}
	if b, err := os.ReadFile(secret); string(b) != "secret" {
		t.Errorf("outside: %q, %v", b, err)
	}
	if list, _ := os.ReadDir(outside); len(list) != 1 {
		t.Errorf("outside: %v", list)
	}
	if _, err := s.read("other/in/k"); err != nil {
		t.Errorf("rm -r went through the link: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	_, err := openStore(dir, false)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("%v does not name the directory and the process", err)
	}
	mustWrite(t, s, "b/k") // the refused one has done no harm
	s.close()
	testStore(t, dir)
}

func TestCountsAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/k", "b/d/k", "c/k")
	n, b := s.count.Load(), s.bytes.Load()
	s.close()
	s = testStore(t, dir)
	if s.count.Load() != n || s.bytes.Load() != b || n != 3 {
		t.Errorf("%d keys, %d bytes; before %d, %d", s.count.Load(), s.bytes.Load(), n, b)
	}
}

// Puts make directories that removes prune at the same time, and turn into
// keys and back. What was acknowledged is there, what was removed is not, and
// lists in between do not fail.
func TestRacingPutsAndRemoves(t *testing.T) {
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
			n, err := s.removeAll(context.Background(), "b/")
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

// A named pipe in the place of a file must not hold up whoever opens it.
func TestPipesAreNoKeys(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, dir)
	mustWrite(t, s, "b/k")
	path := filepath.Join(dir, "b/pipe")
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.get("b/pipe")
		done <- err
	}()
	waitOrOpen(t, done, path, "get of a named pipe")
	if got := s.names(t, "b/", true); !slices.Equal(got, []string{"b/k"}) {
		t.Errorf("%q", got)
	}
}

func TestStoreRefusesBadDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(file, false); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}

func TestStoredErrorsKeepTheirKey(t *testing.T) {
	shared := wire.Errorf(wire.CodeExists, "x")
	err := storeError(shared, "b/k")
	if shared.Key != "" || err.(*wire.Error).Key != "b/k" {
		t.Errorf("shared %q, named %q", shared.Key, err.(*wire.Error).Key)
	}
}

func TestTreeStaysInside(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, filepath.Join(dir, "data"))
	mustWrite(t, s, "b/k")
	for _, name := range []string{"../data/b/k", "/etc/passwd", "b/../../data/b/k", filepath.Join(dir, "data/b/k")} {
		if fd, err := s.keys.open(name, unix.O_RDONLY); err == nil {
			unix.Close(fd)
			t.Errorf("%s was opened", name)
		}
		if s4.CheckKey(name) == nil {
			t.Errorf("%s is a key", name)
		}
	}
}
