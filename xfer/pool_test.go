package xfer

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// fakeConn is a Pooled without a network.
type fakeConn struct {
	broken, stale atomic.Bool
	closed        atomic.Int32
	inUse         atomic.Bool
}

func (c *fakeConn) Broken() bool { return c.broken.Load() }
func (c *fakeConn) Stale() bool  { return c.broken.Load() || c.stale.Load() }
func (c *fakeConn) Close() error { c.closed.Add(1); return nil }

// wantConn takes a connection, which must be want, or none if want is nil.
func wantConn(t *testing.T, p *Pool[*fakeConn], server int, want *fakeConn) {
	t.Helper()
	if got, ok := p.Get(server); got != want || ok != (want != nil) {
		t.Errorf("Get(%d) returned %p, %v, want %p", server, got, ok, want)
	}
}

func wantClosed(t *testing.T, closed []int32, conns ...*fakeConn) {
	t.Helper()
	var got []int32
	for _, c := range conns {
		got = append(got, c.closed.Load())
	}
	if !slices.Equal(got, closed) {
		t.Errorf("closed %v times, want %v", got, closed)
	}
}

func TestPool(t *testing.T) {
	p := NewPool[*fakeConn](2, 2)
	a, b, c, d := new(fakeConn), new(fakeConn), new(fakeConn), new(fakeConn)
	wantConn(t, p, 0, nil)
	p.Put(0, a)
	p.Put(0, b)
	p.Put(0, c) // one too many
	p.Put(1, d)
	wantClosed(t, []int32{0, 0, 1, 0}, a, b, c, d)
	if p.Len() != 3 {
		t.Errorf("%d connections, want 3", p.Len())
	}
	wantConn(t, p, 0, b) // the last used first
	wantConn(t, p, 0, a)
	wantConn(t, p, 0, nil)
	wantConn(t, p, 1, d)
	p.Put(0, a) // there is room again
	wantConn(t, p, 0, a)
	wantClosed(t, []int32{0, 0, 1, 0}, a, b, c, d)
}

// What cannot be used again is closed, once, and not handed out.
func TestPoolStale(t *testing.T) {
	p := NewPool[*fakeConn](1, 4)
	good, stale, broken := new(fakeConn), new(fakeConn), new(fakeConn)
	broken.broken.Store(true)
	p.Put(0, broken)
	wantClosed(t, []int32{1}, broken)
	p.Put(0, good)
	p.Put(0, stale)
	stale.stale.Store(true)
	wantConn(t, p, 0, good)
	wantConn(t, p, 0, nil)
	wantClosed(t, []int32{0, 1, 1}, good, stale, broken)
}

// Close closes what is idle. What is in use is closed when it comes back.
func TestPoolClose(t *testing.T) {
	p := NewPool[*fakeConn](2, 2)
	idle, used := new(fakeConn), new(fakeConn)
	p.Put(1, used)
	wantConn(t, p, 1, used)
	p.Put(1, idle)
	p.Close()
	wantClosed(t, []int32{1, 0}, idle, used)
	wantConn(t, p, 1, nil)
	p.Put(1, used)
	wantClosed(t, []int32{1, 1}, idle, used)
	p.Close()
	wantClosed(t, []int32{1, 1}, idle, used)
	if p.Len() != 0 {
		t.Errorf("%d connections after Close", p.Len())
	}
}

// Whatever the users do at once, a connection has one user, and each is closed once.
func TestPoolConcurrent(t *testing.T) {
	const servers, users, rounds = 3, 8, 500
	p := NewPool[*fakeConn](servers, 2)
	var (
		mu   sync.Mutex
		made []*fakeConn
		wg   sync.WaitGroup
	)
	for u := range users {
		wg.Go(func() {
			for i := range rounds {
				server := (u + i) % servers
				c, ok := p.Get(server)
				if !ok {
					c = new(fakeConn)
					mu.Lock()
					made = append(made, c)
					mu.Unlock()
				}
				if !c.inUse.CompareAndSwap(false, true) || c.closed.Load() != 0 {
					t.Error("a connection that was handed out is closed or in use")
				}
				c.stale.Store(i%7 == 0)
				c.broken.Store(i%11 == 0)
				c.inUse.Store(false)
				p.Put(server, c)
				if u == 0 && i == rounds-rounds/4 {
					p.Close()
				}
			}
		})
	}
	wg.Wait()
	p.Close()
	for _, c := range made {
		if n := c.closed.Load(); n != 1 {
			t.Fatalf("a connection was closed %d times", n)
		}
	}
}

// The connections of a Pool are those of a real network, whose other end closes.
func TestPoolOfConns(t *testing.T) {
	conns, pipelines := NewPool[*Conn](1, 1), NewPool[*Pipeline](1, 1)
	a, peer := connPair(t, patient, patient)
	c, other := connPair(t, patient, patient)
	l := NewPipeline(c)
	conns.Put(0, a)
	pipelines.Put(0, l)
	if got, ok := conns.Get(0); !ok || got != a {
		t.Error("the connection was not kept")
	}
	if got, ok := pipelines.Get(0); !ok || got != l {
		t.Error("the pipeline was not kept")
	}
	conns.Put(0, a)
	pipelines.Put(0, l)
	peer.Close()
	other.Close()
	until(t, "stale once the peers have closed", func() bool { return a.Stale() && l.Stale() })
	if _, ok := conns.Get(0); ok {
		t.Error("a connection that the peer has closed was handed out")
	}
	if _, ok := pipelines.Get(0); ok {
		t.Error("a pipeline that the peer has closed was handed out")
	}
	if !a.Broken() || !l.Broken() {
		t.Error("not closed")
	}
}
