package s4_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/xfer"
)

func create(t *testing.T, ctx context.Context, c *s4.Client, key string) *s4.Writer {
	t.Helper()
	w, err := c.Create(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// wantPutError checks an error of a Writer.
func wantPutError(t *testing.T, what string, err error, key string, want error) {
	t.Helper()
	var e *s4.Error
	if !errors.As(err, &e) || e.Op != "put" || e.Key != key || !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestWriter(t *testing.T) {
	c := startLocal(t)
	check := goroutines(t)
	for i, n := range []int{0, 1, xfer.ChunkSize, 3<<20 + 1} {
		data := noise(n)
		key := fmt.Sprintf("s4://b/%d_k", i)
		w := create(t, t.Context(), c, key)
		if m, err := io.Copy(w, bytes.NewReader(data)); err != nil || m != int64(n) {
			t.Errorf("%d, %v", m, err)
		}
		if _, err := c.Stat(t.Context(), key); !errors.Is(err, s4.ErrNotFound) {
			t.Errorf("before Close: %v", err)
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			w.Abort()
		}
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), key, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%d bytes came back of %d, %v", got.Len(), n, err)
		}
		_, err := w.Write([]byte("x"))
		wantPutError(t, "Write after Close", err, key, fs.ErrClosed)
	}
	if n := s4.IdleConns(c); n != 3 { // one to each of the three servers
		t.Errorf("%d idle connections", n)
	}
	c.Close()
	check()
}

func TestWriterRefused(t *testing.T) {
	c := startLocal(t)
	const key = "s4://b/k"
	put(t, c, key, []byte("old"))
	check := goroutines(t)
	// After few bytes, or none, Close returns the error.
	for _, n := range []int{0, 10} {
		w := create(t, t.Context(), c, key)
		_, _ = w.Write(make([]byte, n))
		err := w.Close()
		wantPutError(t, "Close", err, key, s4.ErrExists)
		wantPutError(t, "Close", err, key, fs.ErrExist)
	}
	// A Write returns the error once the server has sent it, even if little was written.
	w := create(t, t.Context(), c, key)
	var err error
	nodetest.Eventually(t, "Write fails", func() bool {
		_, err = w.Write([]byte("x"))
		return err != nil
	})
	wantPutError(t, "Write", err, key, s4.ErrExists)
	_, err = w.Write([]byte("x"))
	wantPutError(t, "another Write", err, key, s4.ErrExists)
	wantPutError(t, "Close", w.Close(), key, s4.ErrExists)
	w.Abort()
	_, err = w.Write([]byte("x"))
	wantPutError(t, "Write after Close", err, key, s4.ErrExists)
	if n := s4.IdleConns(c); n != 1 {
		t.Errorf("%d idle connections", n)
	}
	c.Close()
	check()
	if _, err := c.Create(t.Context(), "s4://b"); !errors.Is(err, s4.ErrBadKey) {
		t.Errorf("a bad key: %v", err)
	}
}

func TestWriterAbort(t *testing.T) {
	cluster := nodetest.Start(t, 3, node.Config{})
	c := cluster.Client(t, nil)
	check := goroutines(t)
	const key = "s4://b/k"
	for _, n := range []int{0, 10, 3 << 20} {
		w := create(t, t.Context(), c, key)
		if _, err := w.Write(noise(n)); err != nil {
			t.Error(err)
		}
		w.Abort()
		w.Abort()
		_, err := w.Write([]byte("x"))
		wantPutError(t, "Write after Abort", err, key, s4.ErrCanceled)
		wantPutError(t, "Close after Abort", w.Close(), key, s4.ErrCanceled)
	}
	c.Close()
	check()
	for i := range 3 {
		if left := nodetest.Files(t, cluster.Data(i)); len(left) > 0 {
			t.Errorf("left on server %d: %q", i, left)
		}
	}
}

// When the context ends, a Write or Close that waits for a server returns.
func TestWriterCanceled(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	c := cluster.Client(t, nil)
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToServer, At: 1000, Channel: 'd'})
	check := goroutines(t)
	gaveUp := errors.New("gave up")
	const key = "s4://b/k"
	for i, use := range []func(w *s4.Writer) error{
		func(w *s4.Writer) error { // until all buffers are full
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
		func(w *s4.Writer) error {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				return err
			}
			return w.Close()
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := create(t, ctx, c, key)
		done := make(chan error, 1)
		go func() { done <- use(w) }()
		nodetest.Eventually(t, "the transfer is held up", func() bool { return cluster.Proxies[0].Hits() > int64(i) })
		cancel(gaveUp)
		wantPutError(t, "after the context's end", <-done, key, gaveUp)
		wantPutError(t, "Close", w.Close(), key, s4.ErrCanceled)
	}
	cluster.Proxies[0].CutAll()
	c.Close()
	check()
	if left := nodetest.Files(t, filepath.Join(cluster.Dir, "0")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A server that cannot be reached, or is lost on the way, is an error of Write and Close.
func TestWriterLost(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	c := cluster.Client(t, nil)
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: 1 << 20, Channel: 'd'})
	write := func(t *testing.T) {
		w := create(t, t.Context(), c, "s4://b/k")
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		wantPutError(t, "Write", err, "s4://b/k", s4.ErrUnavailable)
		wantPutError(t, "Close", w.Close(), "s4://b/k", s4.ErrUnavailable)
	}
	write(t)
	cluster.Proxies[0].Close()
	write(t)
}
