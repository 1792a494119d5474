package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

func TestStalledServer(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 1, node.Config{})
	direct := c.Client(t, nil)
	b := noise("stall", 1<<20)
	put(t, direct, "b/k", b)
	opts := &s4.Options{IOTimeout: 100 * time.Millisecond}
	dir := t.TempDir()
	for _, at := range []int64{0, 10, 22, 70, 100000} {
		c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient, At: at})
		client := s4.NewClient(c.Cluster, opts)
		if _, err := client.Get(guarded(t), "s4://b/k", io.Discard); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("get, stalled at %d: %v", at, err)
		}
		if _, err := client.GetFile(guarded(t), "s4://b/k", filepath.Join(dir, "f")); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("getfile, stalled at %d: %v", at, err)
		}
		if at < 70 {
			if _, err := client.Stat(guarded(t), "s4://b/k"); !errors.Is(err, s4.ErrTimeout) {
				t.Errorf("stat, stalled at %d: %v", at, err)
			}
		}
		client.Close()
	}
	for _, at := range []int64{0, 10, 30} {
		c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToServer, At: at})
		client := s4.NewClient(c.Cluster, opts)
		if err := client.Put(guarded(t), "s4://b/new", bytes.NewReader(b), -1); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("put, stalled at %d: %v", at, err)
		}
		client.Close()
	}
	c.Proxies[0].CutAll()
	c.Proxies[0].Heal()
	if left := localFiles(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	clean(t, []string{c.Data(0)}, "b/k")
}

// pausing sleeps between the pieces it yields.
type pausing struct {
	r     io.Reader
	pause time.Duration
	left  int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.left > 0 {
		p.left--
		time.Sleep(p.pause)
	}
	return p.r.Read(b[:min(len(b), 100<<10)])
}

// A producer may pause for several timeouts.
func TestSlowProducer(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond // several pings, also on a busy machine
	_, client := start(t, node.Config{IOTimeout: timeout})
	b := noise("slow", 1<<20)
	for i, size := range []int64{-1, int64(len(b))} {
		key := fmt.Sprintf("b/%d_slow", i)
		if err := client.Put(guarded(t), "s4://"+key, &pausing{bytes.NewReader(b), 3 * timeout, 2}, size); err != nil {
			t.Errorf("put of %d bytes: %v", size, err)
		}
		if get(t, client, key) != string(b) {
			t.Error("wrong bytes")
		}
	}
}

// slowWriter sleeps in its first writes.
type slowWriter struct {
	w     io.Writer
	pause time.Duration
	left  int
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if s.left > 0 {
		s.left--
		time.Sleep(s.pause)
	}
	return s.w.Write(b)
}

// So may a consumer, of a key, of a command's output, and of a listing.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond // several pings, also on a busy machine
	c, client := start(t, node.Config{IOTimeout: timeout})
	b := noise("slow", 24<<20) // more than sockets hold
	put(t, c.Client(t, nil), "b/k", b)
	var got bytes.Buffer
	if _, err := client.Get(guarded(t), "s4://b/k", &slowWriter{&got, 3 * timeout, 2}); err != nil {
		t.Errorf("get: %v", err)
	}
	if !bytes.Equal(got.Bytes(), b) {
		t.Error("get: wrong bytes")
	}
	got.Reset()
	if st, err := client.Eval(guarded(t), "s4://b/k", "cat", &slowWriter{&got, 3 * timeout, 2}, io.Discard, nil); err != nil || st.Code != 0 {
		t.Errorf("eval: %+v, %v", st, err)
	}
	if !bytes.Equal(got.Bytes(), b) {
		t.Error("eval: wrong bytes")
	}
}

func TestSlowConsumerOfAListing(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	c := nodetest.Start(t, 1, node.Config{IOTimeout: timeout})
	client := c.Client(t, &s4.Options{IOTimeout: timeout})
	long := strings.Repeat(strings.Repeat("x", 200)+"/", 4)
	dir := filepath.Join(c.Data(0), "b", long)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const keys = 8000 // of 800 bytes each: more than sockets hold
	// One file of many names. Thousands of files would make all later tests slow: ext4
	// does not reuse a freed inode for minutes, and searches past such inodes for each
	// new file.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := os.Link(file, filepath.Join(dir, fmt.Sprintf("%05d", i))); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range client.List(guarded(t), "s4://b/", true) {
		if err != nil {
			t.Fatalf("after %d of %d keys: %v", n, keys, err)
		}
		if n++; n == 1 {
			time.Sleep(3 * timeout) // as less does
		}
	}
	if n != keys {
		t.Errorf("%d keys of %d", n, keys)
	}
}

// Connections that a client keeps for reuse outlive a rest, with the pings
// that come meanwhile, and a restart of the server.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const timeout = 100 * time.Millisecond
	dir := t.TempDir()
	c := nodetest.StartIn(t, dir, 1, node.Config{IOTimeout: timeout})
	client := c.Client(t, &s4.Options{IOTimeout: timeout})
	put(t, client, "b/k", []byte("x"))
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * timeout) // the server pings
	if get(t, client, "b/k") != "x" {
		t.Error("wrong bytes after a rest")
	}
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Error(err)
	}
	time.Sleep(4 * timeout)
	c.Stop()
	nodetest.StartIn(t, dir, 1, node.Config{IOTimeout: timeout})
	if get(t, client, "b/k") != "x" {
		t.Error("get after a rest and a restart of the server")
	}
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Errorf("stat after a rest and a restart of the server: %v", err)
	}
}
