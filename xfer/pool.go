package xfer

import "sync"

// Pool keeps connections that are idle, to be used again. It has a list for every
// server. Its methods may be called by many goroutines.
type Pool[T Pooled] struct {
	max int // how many are kept for a server

	mu     sync.Mutex
	idle   [][]T // by server, the last used at the end; guarded by mu
	closed bool  // guarded by mu
}

// Pooled is a connection that a Pool can keep: a *Conn or a *Pipeline.
type Pooled interface {
	// Broken reports whether the connection can take no more requests.
	Broken() bool
	// Stale reports whether an idle connection cannot be used again, because it is
	// broken or the peer has closed it.
	Stale() bool
	// Close closes the connection.
	Close() error
}

// NewPool returns an empty pool that keeps at most max connections to each server.
func NewPool[T Pooled](servers, max int) *Pool[T] {
	return &Pool[T]{max: max, idle: make([][]T, servers)}
}

// Get takes the connection to a server that was used last, if there is one that is
// not stale. The caller gives it back with Put, or closes it.
func (p *Pool[T]) Get(server int) (conn T, ok bool) {
	for {
		if conn, ok = p.pop(server); !ok || !conn.Stale() {
			return conn, ok
		}
		_ = conn.Close() // the peer has gone
	}
}

func (p *Pool[T]) pop(server int) (conn T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[server]
	last := len(idle) - 1
	if last < 0 {
		return conn, false
	}
	conn = idle[last]
	clear(idle[last:]) // or the list would keep it from the garbage collector
	p.idle[server] = idle[:last]
	return conn, true
}

// Put gives the pool a connection to a server on which no request is under way. It
// closes one that is broken, or that there is no room for.
func (p *Pool[T]) Put(server int, conn T) {
	if conn.Broken() || !p.push(server, conn) {
		_ = conn.Close() // nobody waits for anything on it
	}
}

func (p *Pool[T]) push(server int, conn T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[server]) >= p.max {
		return false
	}
	p.idle[server] = append(p.idle[server], conn)
	return true
}

// Len returns how many connections the pool keeps.
func (p *Pool[T]) Len() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, idle := range p.idle {
		n += len(idle)
	}
	return n
}

// Close closes the connections of the pool. One that comes back later is closed, too.
func (p *Pool[T]) Close() {
	p.mu.Lock()
	lists := p.idle
	p.idle = make([][]T, len(lists))
	p.closed = true
	p.mu.Unlock()
	for _, idle := range lists {
		for _, conn := range idle {
			_ = conn.Close()
		}
	}
}
