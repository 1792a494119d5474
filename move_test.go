package s4_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// A move that was interrupted between copy and removal is finished by another one. What
// is there with other bytes stays, and so does its source.
func TestMoveAgain(t *testing.T) {
	c := nodetest.Start(t, 3, node.Config{}).Client(t, nil)
	for _, tt := range []struct {
		src, dst, has string
		want          error
	}{
		{"a/0_k", "b/0_k", "", nil},
		{"a/0_k", "b/1_k", "", nil},
		{"a/0_k", "b/0_k", "bytes", nil},
		{"a/0_k", "b/1_k", "bytes", nil},
		{"a/0_k", "b/0_k", "other", s4.ErrExists},
		{"a/0_k", "b/1_k", "other", s4.ErrExists},
		{"a/0_none", "b/1_k", "", s4.ErrNotFound},
		{"a/0_none", "b/1_k", "bytes", s4.ErrNotFound},
		{"a/0_k", "a/0_k", "", s4.ErrBadRequest},
	} {
		for _, from := range []string{"key", "file"} {
			if from == "file" && (tt.src == "a/0_none" || tt.dst == "a/0_k") {
				continue
			}
			put(t, c, "s4://a/0_k", []byte("bytes"))
			if tt.has != "" {
				put(t, c, "s4://"+tt.dst, []byte(tt.has))
			}
			src, there := "s4://"+tt.src, func() bool {
				_, err := c.Stat(t.Context(), "s4://a/0_k")
				return err == nil
			}
			if from == "file" {
				file := filepath.Join(t.TempDir(), "0_k")
				if err := os.WriteFile(file, []byte("bytes"), 0o666); err != nil {
					t.Fatal(err)
				}
				src, there = file, func() bool { _, err := os.Stat(file); return err == nil }
			}
			err := c.Move(t.Context(), src, "s4://"+tt.dst, nil)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%+v from a %s: %v", tt, from, err)
			}
			if there() != (tt.want != nil) {
				t.Errorf("%+v from a %s: the source is there: %v", tt, from, there())
			}
			has := tt.has
			if tt.want == nil {
				has = "bytes"
			}
			var b strings.Builder
			if _, err := c.Get(t.Context(), "s4://"+tt.dst, &b); has != "" && (err != nil || b.String() != has) {
				t.Errorf("%+v from a %s: %q, %v", tt, from, b.String(), err)
			}
			for _, bucket := range []string{"s4://a/", "s4://b/"} {
				if _, err := c.Remove(t.Context(), bucket, true); err != nil && !errors.Is(err, s4.ErrNotFound) {
					t.Fatal(err)
				}
			}
		}
	}
}

// What a move leaves where it is.
func TestMoveLeaves(t *testing.T) {
	c := nodetest.Start(t, 3, node.Config{}).Client(t, nil)
	dir := writeFiles(t, 3, 10)
	target := filepath.Join(writeFiles(t, 1, 5), "000")
	if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	err := c.Move(t.Context(), dir, "s4://b/d", &s4.CopyOptions{Recursive: true, Report: func(r s4.Transfer) {
		if strings.HasSuffix(r.Path, "001") || r.Err != nil {
			t.Errorf("%+v", r)
		}
	}, Filter: filterOf(t, "-001")})
	if left, _ := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "001" {
		t.Error(left, err)
	}
	for _, opts := range []*s4.CopyOptions{{SkipExisting: true}, {Split: &s4.SplitOptions{Size: 10}}} {
		if err := c.Move(t.Context(), dir+"/001", "s4://b/x", opts); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	for _, args := range [][2]string{{"-", "s4://b/x"}, {"s4://b/d/000", "-"}, {dir, dir + "x"}} {
		if err := c.Move(t.Context(), args[0], args[1], nil); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := c.Move(t.Context(), dir+"/001", "s4://b/x", &s4.CopyOptions{DryRun: true}); err != nil {
		t.Error(err)
	}
	if err := c.Move(t.Context(), "s4://b/d/000", filepath.Join(dir, "no/such/dir"), nil); !errors.Is(err, s4.ErrStorage) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Move(ended, "s4://b/d/000", "s4://b/x", nil); !errors.Is(err, s4.ErrCanceled) {
		t.Error(err)
	}
	if got := strings.Join(keys(t, c, "s4://b"), " "); got != "b/d/000 b/d/002 b/d/link" {
		t.Error(got)
	}
	if err := c.Move(t.Context(), "s4://b/d/000", dir+"/back", nil); err != nil {
		t.Error(err)
	}
	if got := strings.Join(keys(t, c, "s4://b"), " "); got != "b/d/002 b/d/link" {
		t.Error(got)
	}
	for _, file := range []string{dir + "/001", target} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

// A file that changes after it was read is not removed.
func TestMoveOfChangedFile(t *testing.T) {
	o := nodetest.StartProxied(t, 1, node.Config{})
	c := o.Client(t, nil)
	file := writeFiles(t, 1, 10) + "/000"
	changed := false
	o.Proxies[0].Tap(func(dir nodetest.Direction, p []byte) {
		if dir == nodetest.ToServer && strings.Contains(string(p), "b/k") && !changed {
			changed = true
			if err := os.WriteFile(file, []byte("new"), 0o666); err != nil {
				t.Error(err)
			}
		}
	})
	err := c.Move(t.Context(), file, "s4://b/k", nil)
	if now, rerr := os.ReadFile(file); !changed || !errors.Is(err, s4.ErrStorage) || !strings.Contains(err.Error(), "not removed") || string(now) != "new" || rerr != nil {
		t.Errorf("%v, %q", err, now)
	}
}

// A directory of keys is moved within itself, a level up, or by a pattern into a
// directory that the pattern matches: each key once.
func TestMoveOverlaps(t *testing.T) {
	c := nodetest.Start(t, 3, node.Config{}).Client(t, nil)
	move := func(src, dst string) error {
		return c.Move(t.Context(), "s4://"+src, "s4://"+dst, &s4.CopyOptions{Recursive: true, Glob: true})
	}
	for _, tt := range []struct{ has, src, dst, want string }{
		{"b/a/d/x b/a/d/d/y", "b/a/d", "b/a", "b/a/d/y b/a/x"},
		{"b/a/x b/a/y", "b/a/**", "b/a/old/", "b/a/old/x b/a/old/y"},
		{"b/a/x b/a/y", "b/a", "b/a/old", ""},
		{"b/a/x b/a/y", "b/a", "b/a/", ""},
		{"b/a/x b/a/y", "b/a/*", "b/a/", ""},
		{"b/a/x", "b/a", "b", "b/x"},
		{"b/a/x", "b", "c", "c/a/x"},
	} {
		for _, name := range strings.Fields(tt.has) {
			put(t, c, "s4://"+name, nil)
		}
		err := move(tt.src, tt.dst)
		want := tt.want
		if want == "" {
			if want = tt.has; !errors.Is(err, s4.ErrBadRequest) {
				t.Errorf("%+v: %v", tt, err)
			}
		} else if err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if got := strings.Join(append(keys(t, c, "s4://b"), keys(t, c, "s4://c")...), " "); got != want {
			t.Errorf("%+v: %s", tt, got)
		}
		for _, bucket := range []string{"s4://b/", "s4://c/"} {
			_, _ = c.Remove(t.Context(), bucket, true)
		}
	}
}

// Of keys that are in the way of others, some have gone first and some have not. Those are
// not taken for copies, though they have the same bytes, as they go, too.
func TestMoveInTheWay(t *testing.T) {
	const n = 20
	c := nodetest.Start(t, 1, node.Config{}).Client(t, nil)
	for i := range n {
		put(t, c, fmt.Sprint("s4://b/a/d/", i), nil)
		put(t, c, fmt.Sprint("s4://b/a/d/d/", i), nil)
	}
	err := c.Move(t.Context(), "s4://b/a/d", "s4://b/a", &s4.CopyOptions{Recursive: true})
	if left := keys(t, c, "s4://b"); len(left) != 2*n || err != nil && !errors.Is(err, s4.ErrExists) {
		t.Errorf("%d of %d keys are left, %v", len(left), 2*n, err)
	}
}

// A server that is restarted in the middle of a move of many costs nothing but time:
// every key is there once.
func TestMoveServerRestarts(t *testing.T) {
	const n = 200 // and many tries: a proxy accepts connections while its server is down
	o := nodetest.StartProxied(t, 2, node.Config{})
	c := o.Client(t, nil)
	dir := writeFiles(t, n, 100)
	move := func(src, dst string) {
		t.Helper()
		moved, from1 := 0, 0
		err := c.Move(t.Context(), src, dst, &s4.CopyOptions{Recursive: true, Retries: 100, Report: func(r s4.Transfer) {
			if r.Err != nil {
				t.Errorf("%s: %v", r.Key, r.Err)
			}
			moved++
			if c.Cluster().Place(strings.TrimPrefix(r.Key, s4.Scheme)) == 1 { // it was reached once
				from1++
			}
			if from1 == 5 {
				from1++
				o.Proxies[1].CutAll()
				o.StopNode(1)
				o.StartNode(t, 1)
			}
		}})
		if err != nil || moved != n {
			t.Errorf("%s: %d moved, %v", src, moved, err)
		}
	}
	move(dir, "s4://b/in")
	move("s4://b/in", "s4://b/out")
	back := filepath.Join(t.TempDir(), "back")
	move("s4://b/out", back)
	if left := keys(t, c, "s4://b"); len(left) != 0 {
		t.Errorf("%d keys are left", len(left))
	}
	for i := range n {
		if _, err := os.Stat(filepath.Join(back, fmt.Sprintf("%03d", i))); err != nil {
			t.Error(err)
		}
	}
}

// A key that goes to another server is copied again when that one is back.
func TestCopyPeerRestarts(t *testing.T) {
	o := nodetest.StartProxied(t, 2, node.Config{})
	c := o.Client(t, nil)
	put(t, c, "s4://a/0_k", noise(3<<20))
	o.Proxies[1].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: 1 << 20, Channel: 'd'})
	healed := make(chan bool)
	go func() {
		nodetest.Eventually(t, "the connection is cut", func() bool { return o.Proxies[1].Hits() > 0 })
		o.Proxies[1].Heal()
		close(healed)
	}()
	if err := c.Copy(t.Context(), "s4://a/0_k", "s4://b/1_k", &s4.CopyOptions{Retries: 100}); err != nil {
		t.Error(err)
	}
	<-healed
}

// Whenever a move is interrupted, every key is at one of its places at least, and another
// move finishes it.
func TestMoveInterrupted(t *testing.T) {
	const n = 150 // more than are under way at once
	c := nodetest.Start(t, 1, node.Config{}).Client(t, nil)
	if err := c.Copy(t.Context(), writeFiles(t, n, 10), "s4://b/in", &s4.CopyOptions{Recursive: true}); err != nil {
		t.Fatal(err)
	}
	for i, dst := range []string{"s4://b/out", t.TempDir() + "/out"} {
		src := []string{"s4://b/in", "s4://b/out"}[i]
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Move(ctx, src, dst, &s4.CopyOptions{Recursive: true, Report: func(s4.Transfer) { cancel() }})
		if !errors.Is(err, s4.ErrCanceled) && err != nil { // all may have been copied by then
			t.Errorf("%s: %v", src, err)
		}
		there := make(map[string]bool)
		for _, key := range keys(t, c, "s4://b") {
			there[filepath.Base(key)] = true
		}
		files, _ := filepath.Glob(dst + "/*")
		for _, file := range files {
			there[filepath.Base(file)] = true
		}
		if len(there) != n {
			t.Errorf("%s: %d of %d are left", src, len(there), n)
		}
		if err := c.Move(t.Context(), src, dst, &s4.CopyOptions{Recursive: true}); err != nil && !errors.Is(err, s4.ErrNotFound) {
			t.Errorf("%s again: %v", src, err)
		}
	}
	if left := keys(t, c, "s4://b"); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
}

// A move that is interrupted when all is copied, and not all is removed, says so, also if
// each key is reported.
func TestMoveInterruptedAtLast(t *testing.T) {
	c := nodetest.Start(t, 1, node.Config{}).Client(t, nil)
	put(t, c, "s4://b/k", []byte("bytes"))
	ctx, cancel := context.WithCancel(t.Context())
	reported := 0
	err := c.Moving(ctx, "s4://b/to", &s4.CopyOptions{Report: func(r s4.Transfer) {
		if reported++; !errors.Is(r.Err, s4.ErrCanceled) {
			t.Errorf("got %v", r.Err)
		}
	}}, func(o *s4.CopyOptions) error {
		err := c.Copy(ctx, "s4://b/k", "s4://b/to", nil)
		cancel()
		o.Report(s4.Transfer{Key: "s4://b/k", To: "s4://b/to"})
		return err
	})
	if !errors.Is(err, s4.ErrCanceled) || reported != 1 {
		t.Errorf("%v, %d reported", err, reported)
	}
	if got := strings.Join(keys(t, c, "s4://b"), " "); got != "b/k b/to" {
		t.Error(got)
	}
}

// A key that is meant by two sources is reported for each, and removed once.
func TestMoveTwice(t *testing.T) {
	c := nodetest.Start(t, 1, node.Config{}).Client(t, nil)
	put(t, c, "s4://b/k", []byte("bytes"))
	var got []string
	err := c.Moving(t.Context(), "s4://b/to/", &s4.CopyOptions{Report: func(r s4.Transfer) {
		got = append(got, fmt.Sprint(r.Key, " ", r.To, " ", r.Err))
	}}, func(o *s4.CopyOptions) error {
		for _, to := range []string{"s4://b/1", "s4://b/2", "s4://b/3"} {
			o.Report(s4.Transfer{Key: "s4://b/k", To: to})
		}
		return nil
	})
	if want := "s4://b/k s4://b/1 <nil>, s4://b/k s4://b/2 <nil>, s4://b/k s4://b/3 <nil>"; err != nil || strings.Join(got, ", ") != want {
		t.Errorf("%v, got %q", err, got)
	}
}
