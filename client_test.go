package s4_test

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// wantIdle checks how many connections a client keeps.
func wantIdle(t *testing.T, when string, c *s4.Client, data, control int) {
	t.Helper()
	if d, n := s4.IdleConns(c), s4.IdleControlConns(c); d != data || n != control {
		t.Errorf("%s: %d data and %d control connections are kept, want %d and %d", when, d, n, data, control)
	}
}

// use gets and stats s4://b/k, one after the other.
func use(t *testing.T, c *s4.Client) {
	t.Helper()
	var got bytes.Buffer
	if _, err := c.Get(t.Context(), "s4://b/k", &got); err != nil || got.String() != "x" {
		t.Errorf("get: %q, %v", got.String(), err)
	}
	if o, err := c.Stat(t.Context(), "s4://b/k"); err != nil || o.Size != 1 {
		t.Errorf("stat: %+v, %v", o, err)
	}
}

// Requests that follow each other use one connection, also over a restart of the server.
func TestClientConnections(t *testing.T) {
	check := goroutines(t)
	dir := t.TempDir()
	cluster := nodetest.StartIn(t, dir, 1, node.Config{})
	c := s4.NewClient(cluster.Cluster, nil)
	put(t, c, "s4://b/k", []byte("x"))
	for range 5 {
		use(t, c)
	}
	wantIdle(t, "before the restart", c, 1, 1)
	cluster.Stop()
	nodetest.StartIn(t, dir, 1, node.Config{})
	for range 5 {
		use(t, c)
	}
	wantIdle(t, "after the restart", c, 1, 1)
	c.Close()
	wantIdle(t, "after Close", c, 0, 0)
	check()
}

// Close leaves alone what is under way, and keeps no connection that comes back.
func TestClientCloseInUse(t *testing.T) {
	c := startLocal(t)
	check := goroutines(t)
	put(t, c, "s4://b/k", []byte("x"))
	big := noise(4 << 20)
	put(t, c, "s4://b/big", big)
	var names []string
	for i := range 2000 { // more than fits into what is sent ahead
		names = append(names, fmt.Sprintf("b/list/%04d", i))
		put(t, c, "s4://"+names[i], nil)
	}
	r := open(t, t.Context(), c, "s4://b/big")
	defer r.Close()
	next, stop := iter.Pull2(c.List(t.Context(), "s4://b/list/", true))
	defer stop()
	if e, err, ok := next(); !ok || err != nil || e.Name != names[0] {
		t.Fatalf("%+v, %v, %v", e, err, ok)
	}
	c.Close()
	wantIdle(t, "while in use", c, 0, 0)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, %v", len(got), len(big), err)
	}
	for _, name := range names[1:] {
		if e, err, ok := next(); !ok || err != nil || e.Name != name {
			t.Fatalf("%+v, %v, %v, want %s", e, err, ok, name)
		}
	}
	if _, _, ok := next(); ok {
		t.Error("the list goes on")
	}
	use(t, c)
	wantIdle(t, "after use", c, 0, 0)
	check()
}
