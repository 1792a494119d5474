package s4_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/xfer"
)

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func put(t *testing.T, c *s4.Client, key string, b []byte) {
	t.Helper()
	if err := c.Put(t.Context(), key, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, ctx context.Context, c *s4.Client, key string) *s4.Reader {
	t.Helper()
	r, err := c.Open(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// goroutines returns a check that clients have no more goroutines than now.
func goroutines(t *testing.T) (check func()) {
	t.Helper()
	ofClients := func() []string {
		return slices.DeleteFunc(nodetest.Goroutines(), func(stack string) bool { return strings.Contains(stack, "s4/node") })
	}
	before := len(ofClients())
	return func() {
		t.Helper()
		nodetest.Eventually(t, fmt.Sprintf("no more than %d goroutines", before), func() bool {
			return len(ofClients()) <= before
		})
	}
}

// plainReader hides all methods but Read.
type plainReader struct{ io.Reader }

func TestReader(t *testing.T) {
	cluster := nodetest.Start(t, 3, node.Config{})
	for name, opts := range map[string]*s4.Options{"plain": nil, "packed": {Compress: s4.CompressAlways}} {
		c := s4.NewClient(cluster.Cluster, opts)
		for i, n := range []int{0, 1, 1000, xfer.ChunkSize - 1, xfer.ChunkSize, 3<<20 + 1, 17 << 20} {
			key := fmt.Sprintf("s4://%s/%d_k", name, i)
			data := noise(n)
			if name == "packed" {
				data = bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
			}
			put(t, c, key, data)
			idle := s4.IdleConns(c)
			for how, read := range map[string]func(r *s4.Reader) ([]byte, error){
				"Read":       func(r *s4.Reader) ([]byte, error) { return io.ReadAll(plainReader{r}) },
				"HalfReader": func(r *s4.Reader) ([]byte, error) { return io.ReadAll(iotest.HalfReader(r)) },
				"ReadFull": func(r *s4.Reader) ([]byte, error) {
					b := make([]byte, r.Object().Size)
					_, err := io.ReadFull(r, b)
					return b, err
				},
				"WriteTo": func(r *s4.Reader) ([]byte, error) {
					var b bytes.Buffer
					m, err := r.WriteTo(&b)
					if m != int64(n) {
						t.Errorf("WriteTo said %d bytes, not %d", m, n)
					}
					return b.Bytes(), err
				},
				"Read, WriteTo": func(r *s4.Reader) ([]byte, error) {
					var b bytes.Buffer
					if _, err := io.CopyN(&b, plainReader{r}, min(int64(n), 10)); err != nil {
						return nil, err
					}
					_, err := r.WriteTo(&b)
					return b.Bytes(), err
				},
			} {
				r := open(t, t.Context(), c, key)
				o, err := c.Stat(t.Context(), key)
				if err != nil || r.Object() != o {
					t.Errorf("%+v, Stat says %+v, %v", r.Object(), o, err)
				}
				got, err := read(r)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s of %s: %d bytes, %v", how, key, len(got), err)
				}
				if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%s of %s, at the end: %d, %v", how, key, n, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if got := s4.IdleConns(c); got != idle {
					t.Errorf("%s of %s: %d idle connections, %d before", how, key, got, idle)
				}
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Read after Close: %v", err)
				}
			}
		}
		c.Close()
	}
}

func TestReaderNotFound(t *testing.T) {
	c := startLocal(t)
	for key, want := range map[string]error{"s4://b/none": s4.ErrNotFound, "s4://b": s4.ErrBadKey} {
		_, err := c.Open(t.Context(), key)
		var e *s4.Error
		if !errors.As(err, &e) || e.Op != "get" || e.Key != key || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
}

func TestReaderSeek(t *testing.T) {
	c := startLocal(t)
	check := goroutines(t)
	data := noise(5 << 20)
	put(t, c, "s4://b/k", data)
	r := open(t, t.Context(), c, "s4://b/k")
	at := func(offset int64, whence int, want int64) {
		t.Helper()
		if got, err := r.Seek(offset, whence); got != want || err != nil {
			t.Fatalf("Seek(%d, %d) = %d, %v, want %d", offset, whence, got, err, want)
		}
		p := make([]byte, 1000)
		n, err := io.ReadFull(r, p)
		left := data[min(want, int64(len(data))):]
		if len(left) >= len(p) && err != nil || !bytes.Equal(p[:n], left[:min(len(p), len(left))]) {
			t.Errorf("at %d: %d bytes, %v", want, n, err)
		}
	}
	size := int64(len(data))
	at(0, io.SeekCurrent, 0)
	at(5000, io.SeekStart, 5000)    // near: the body is read on
	at(1, io.SeekCurrent, 6001)     // "
	at(4<<20, io.SeekStart, 4<<20)  // far: a new request
	at(3, io.SeekStart, 3)          // back
	at(-1, io.SeekEnd, size-1)      // the last
	at(0, io.SeekEnd, size)         // the end
	at(10, io.SeekCurrent, size+10) // beyond
	at(-(1 << 20), io.SeekEnd, size-1<<20)
	if _, err := r.Seek(0, io.SeekEnd); err != nil { // as net/http does to find the size
		t.Error(err)
	}
	at(0, io.SeekStart, 0)
	for _, bad := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {-size - 1, io.SeekEnd}, {0, 7}} {
		if _, err := r.Seek(bad.offset, bad.whence); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("Seek(%d, %d): %v", bad.offset, bad.whence, err)
		}
	}
	if _, err := r.Seek(100, io.SeekStart); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	if n, err := r.WriteTo(&b); err != nil || n != size-100 || !bytes.Equal(b.Bytes(), data[100:]) {
		t.Errorf("WriteTo from 100: %d, %v", n, err)
	}
	if n, err := r.WriteTo(&b); n != 0 || err != nil {
		t.Errorf("WriteTo at the end: %d, %v", n, err)
	}
	r.Close()
	c.Close()
	check()
}

// A server without ranges sends the whole key, and the Reader drops what comes before its
// offset.
func TestReaderWithoutRanges(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	data := noise(100_000)
	put(t, cluster.Client(t, nil), "s4://b/k", data)
	const featureByte = 11 // its lowest bit is that of ranges
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToServer, At: featureByte, Channel: 'd'})
	c := cluster.Client(t, nil)
	r := open(t, t.Context(), c, "s4://b/k")
	defer r.Close()
	for _, from := range []int64{0, 60_000, 7} {
		if _, err := r.Seek(from, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(plainReader{r})
		if err != nil || !bytes.Equal(got, data[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
	if cluster.Proxies[0].Hits() != 1 || s4.IdleConns(c) != 1 {
		t.Errorf("%d flips, %d idle connections: it was another one", cluster.Proxies[0].Hits(), s4.IdleConns(c))
	}
}

// damage changes a byte of a key on its disk.
func damage(t *testing.T, dir, key string, at int64) {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "*", key))
	if len(found) != 1 {
		t.Fatalf("%s is at %q", key, found)
	}
	f, err := os.OpenFile(found[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// Damage is an error of the Read that would return the last byte, and of all ways to read
// to the end.
func TestReaderDamaged(t *testing.T) {
	cluster := nodetest.Start(t, 3, node.Config{})
	c := cluster.Client(t, nil)
	for _, n := range []int{1, 5000, 3 << 20} {
		name := fmt.Sprintf("b/%d_k", n)
		put(t, c, "s4://"+name, noise(n))
		damage(t, cluster.Dir, name, int64(n/2))
		for how, read := range map[string]func(r *s4.Reader) error{
			"ReadAll":  func(r *s4.Reader) error { _, err := io.ReadAll(plainReader{r}); return err },
			"WriteTo":  func(r *s4.Reader) error { _, err := r.WriteTo(io.Discard); return err },
			"ReadFull": func(r *s4.Reader) error { _, err := io.ReadFull(r, make([]byte, n)); return err },
			"one byte": func(r *s4.Reader) error {
				_, err := io.ReadFull(iotest.OneByteReader(r), make([]byte, min(n, 5000)))
				if err == nil && n > 5000 {
					_, err = io.ReadAll(plainReader{r})
				}
				return err
			},
			"near Seek": func(r *s4.Reader) error {
				if n < 100 {
					_, err := r.WriteTo(io.Discard)
					return err
				}
				_, _ = r.Read(make([]byte, 10))
				_, _ = r.Seek(20, io.SeekCurrent)
				_, err := io.ReadAll(plainReader{r})
				return err
			},
		} {
			r := open(t, t.Context(), c, "s4://"+name)
			err := read(r)
			var e *s4.Error
			if !errors.As(err, &e) || !errors.Is(err, s4.ErrChecksum) || e.Op != "get" || e.Key != "s4://"+name || e.Server == "" {
				t.Errorf("%s of %d bytes: %v", how, n, err)
			}
			if _, again := r.Read(make([]byte, 1)); again != err {
				t.Errorf("%s of %d bytes, again: %v", how, n, again)
			}
			r.Close()
		}
	}
}

// A Reader does not read on in a key that has replaced the one it has opened.
func TestReaderReplaced(t *testing.T) {
	c := startLocal(t)
	put(t, c, "s4://b/k", noise(5<<20))
	r := open(t, t.Context(), c, "s4://b/k")
	defer r.Close()
	if _, err := c.Remove(t.Context(), "s4://b/k", false); err != nil {
		t.Fatal(err)
	}
	put(t, c, "s4://b/k", make([]byte, 5<<20))
	if _, err := r.Seek(4<<20, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("it reads on in another key: %v", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("it reads another key: %v", err)
	}
}

// Close in the middle of a key keeps the connection if little is left to read.
func TestReaderClose(t *testing.T) {
	c := startLocal(t)
	check := goroutines(t)
	put(t, c, "s4://b/0_small", noise(500_000))
	put(t, c, "s4://b/1_large", noise(40<<20))
	for key, idle := range map[string]int{"s4://b/0_small": 2, "s4://b/1_large": 1} {
		r := open(t, t.Context(), c, key)
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
		if n := s4.IdleConns(c); n != idle {
			t.Errorf("%s: %d idle connections, want %d", key, n, idle)
		}
		put(t, c, key+"2", nil) // opens another in place of the one that was closed
	}
	r := open(t, t.Context(), c, "s4://b/1_large")
	broken := errors.New("broken")
	if n, err := r.WriteTo(failing{broken}); n != 0 || !errors.Is(err, broken) {
		t.Errorf("WriteTo a writer that fails: %d, %v", n, err)
	}
	r.Close()
	c.Close()
	check()
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// When its context ends, a Reader fails, and leaves nothing behind even without Close.
func TestReaderCanceled(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	setup := cluster.Client(t, nil)
	put(t, setup, "s4://b/k", noise(8<<20))
	setup.Close()
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient, At: 1 << 20, Channel: 'd'})
	check := goroutines(t)
	c := cluster.Client(t, nil)
	gaveUp := errors.New("gave up")
	for name, read := range map[string]func(r io.Reader) (int64, error){
		"Read":    func(r io.Reader) (int64, error) { b, err := io.ReadAll(plainReader{r}); return int64(len(b)), err },
		"WriteTo": func(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		hits := cluster.Proxies[0].Hits()
		r := open(t, ctx, c, "s4://b/k")
		done := make(chan error, 1)
		go func() { _, err := read(r); done <- err }()
		nodetest.Eventually(t, "the transfer is held up", func() bool { return cluster.Proxies[0].Hits() > hits })
		cancel(gaveUp)
		err := <-done
		var e *s4.Error
		if !errors.As(err, &e) || e.Op != "get" || !errors.Is(err, s4.ErrCanceled) || !errors.Is(err, gaveUp) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A Reader that nobody reads or closes.
	ctx, cancel := context.WithCancelCause(t.Context())
	left := open(t, ctx, c, "s4://b/k")
	cancel(gaveUp)
	cluster.Proxies[0].CutAll()
	c.Close()
	check()
	if _, err := left.Read(make([]byte, 1)); !errors.Is(err, gaveUp) {
		t.Errorf("Read after the context's end: %v", err)
	}
	if _, err := c.Open(ctx, "s4://b/k"); !errors.Is(err, gaveUp) {
		t.Errorf("Open after the context's end: %v", err)
	}
}

// Close returns even if the little that is left to read never comes.
func TestReaderCloseHeldUp(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	c := cluster.Client(t, nil)
	put(t, c, "s4://b/k", noise(500_000))
	c.Close()
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient, At: 1000, Channel: 'd'})
	r := open(t, t.Context(), cluster.Client(t, nil), "s4://b/k")
	if err := r.Close(); err != nil { // within the timeout of the test
		t.Error(err)
	}
	cluster.Proxies[0].CutAll()
}

// A lost connection is an error, and not the end of the key.
func TestReaderLost(t *testing.T) {
	cluster := nodetest.StartProxied(t, 1, node.Config{})
	c := cluster.Client(t, nil)
	put(t, c, "s4://b/k", noise(8<<20))
	cluster.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToClient, At: 1 << 20, Channel: 'd'})
	r := open(t, t.Context(), cluster.Client(t, nil), "s4://b/k")
	defer r.Close()
	if _, err := io.ReadAll(plainReader{r}); !errors.Is(err, s4.ErrUnavailable) || !strings.HasPrefix(err.Error(), "get s4://b/k: ") {
		t.Errorf("%v", err)
	}
}

// A caller may pause for longer than the I/O timeouts of both ends.
func TestReaderSlow(t *testing.T) {
	const timeout = 400 * time.Millisecond
	cluster := nodetest.Start(t, 1, node.Config{IOTimeout: timeout})
	c := cluster.Client(t, &s4.Options{IOTimeout: timeout})
	data := noise(40 << 20)
	put(t, c, "s4://b/k", data)
	r := open(t, t.Context(), c, "s4://b/k")
	defer r.Close()
	start := make([]byte, 1000)
	if _, err := io.ReadFull(r, start); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * timeout)
	rest, err := io.ReadAll(plainReader{r})
	if err != nil || !bytes.Equal(append(start, rest...), data) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}
