package s4_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// writeFiles writes n files of size bytes each into a new directory, and returns it.
func writeFiles(t *testing.T, n, size int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d", i)), noise(size+i), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// copies counts the outcomes of a copy.
func copies(t *testing.T) (report func(s4.Transfer), copied, same *int) {
	copied, same = new(int), new(int)
	return func(r s4.Transfer) {
		switch {
		case r.Err != nil:
			t.Errorf("%s: %v", r.Key, r.Err)
		case r.Same:
			*same++
		default:
			*copied++
		}
	}, copied, same
}

func sameFiles(t *testing.T, a, b string, n int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("%03d", i)
		x, xerr := os.ReadFile(filepath.Join(a, name))
		y, yerr := os.ReadFile(filepath.Join(b, name))
		if err := errors.Join(xerr, yerr); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs, %v", name, err)
		}
	}
}

// A server that is restarted in the middle of a copy of many costs nothing but time, in
// either direction.
func TestCopyServerRestarts(t *testing.T) {
	const n, size = 300, 50_000 // and many tries: a proxy accepts connections while its server is down
	o := nodetest.StartProxied(t, 2, node.Config{})
	dir, out := writeFiles(t, n, size), t.TempDir()
	for _, dirs := range [][2]string{{dir, "s4://b/d"}, {"s4://b/d", out}} {
		c := o.Client(t, nil)
		count, copied, _ := copies(t)
		from1 := 0
		report := func(r s4.Transfer) {
			count(r)
			if c.Cluster().Place(strings.TrimPrefix(r.Key, s4.Scheme)) == 1 { // it was reached once
				from1++
			}
			if from1 == 5 {
				from1++
				o.Proxies[1].CutAll()
				o.StopNode(1)
				o.StartNode(t, 1)
			}
		}
		err := c.Copy(t.Context(), dirs[0], dirs[1], &s4.CopyOptions{Recursive: true, Retries: 100, Report: report})
		if err != nil || *copied != n {
			t.Errorf("%s: %d copied, %v", dirs[0], *copied, err)
		}
	}
	sameFiles(t, dir, out, n)
}

// If the answer to a put is lost, another try finds the key, and compares it.
func TestCopyAnswerLost(t *testing.T) {
	o := nodetest.StartProxied(t, 1, node.Config{})
	dir := writeFiles(t, 1, 1000)
	var answer atomic.Int64
	o.Proxies[0].Tap(func(dir nodetest.Direction, p []byte) {
		if dir == nodetest.ToClient {
			answer.Add(int64(len(p)))
		}
	})
	if err := o.Client(t, nil).PutFile(t.Context(), dir+"/000", "s4://b/first"); err != nil {
		t.Fatal(err)
	}
	atAnswer := answer.Load() - 1
	for _, tt := range []struct {
		src     string
		retries int
		change  bool
		want    error
	}{
		{dir + "/000", 0, false, s4.ErrUnavailable},
		{dir + "/000", 100, false, nil},
		{dir, 100, false, nil},
		{dir + "/000", 100, true, s4.ErrExists},
		{dir, 100, true, s4.ErrExists},
	} {
		if err := os.WriteFile(dir+"/000", noise(1000), 0o666); err != nil {
			t.Fatal(err)
		}
		c := o.Client(t, nil)
		key := "s4://b/k/000"
		o.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToClient, At: atAnswer, Channel: 'd'})
		hit, errs := make(chan struct{}), make(chan error, 1)
		go func() {
			defer close(hit)
			for o.Proxies[0].Hits() == 0 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if tt.change { // what is there is then not what is sent
				errs <- os.WriteFile(dir+"/000", make([]byte, 1000), 0o666)
			}
			o.Proxies[0].Heal()
		}()
		err := c.Copy(t.Context(), tt.src, "s4://b/k/", &s4.CopyOptions{Recursive: tt.src == dir, Retries: tt.retries})
		<-hit
		close(errs)
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
		if _, err := c.Remove(t.Context(), key, false); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestCopySkipExisting(t *testing.T) {
	const n = 20
	c := startLocal(t)
	dir, out := writeFiles(t, n, 1000), t.TempDir()
	for _, dirs := range [][2]string{{dir, "s4://b/d"}, {"s4://b/d", out}} {
		ctx, cancel := context.WithCancel(t.Context())
		report, interrupted, _ := copies(t)
		_ = c.Copy(ctx, dirs[0], dirs[1], &s4.CopyOptions{Recursive: true, Report: func(r s4.Transfer) {
			if r.Err == nil {
				report(r)
				cancel()
			}
		}})
		cancel()
		var copied, same *int
		report, copied, same = copies(t)
		opts := &s4.CopyOptions{Recursive: true, SkipExisting: true, Report: report}
		if err := c.Copy(t.Context(), dirs[0], dirs[1], opts); err != nil || *copied+*same != n || *same < *interrupted {
			t.Errorf("%s: %d copied, %d there, %d before, %v", dirs[0], *copied, *same, *interrupted, err)
		}
	}
	sameFiles(t, dir, out, n)
	err := os.WriteFile(filepath.Join(dir, "003"), []byte("short"), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Copy(t.Context(), dir, "s4://b/d", &s4.CopyOptions{Recursive: true, SkipExisting: true})
	if !errors.Is(err, s4.ErrExists) {
		t.Errorf("of another size: %v", err)
	}
}
