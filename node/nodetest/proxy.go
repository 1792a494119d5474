package nodetest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Direction is one of the two byte streams of a connection.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// String returns the direction's name.
func (d Direction) String() string {
	if d == ToServer {
		return "to server"
	}
	return "to client"
}

// Action is what a Fault does.
type Action int

// The actions.
const (
	Flip  Action = iota + 1 // one bit of the byte at At, once over all connections
	Cut                     // close both sides, with a reset, when At bytes have passed
	Stall                   // pass nothing more after At bytes, and close nothing
)

// Fault is what goes wrong on the connections that a Proxy accepts after it
// was told.
type Fault struct {
	Action  Action
	Dir     Direction
	At      int64 // offset in the direction's bytes, the preamble's included
	Bit     uint  // of the byte, for Flip
	Channel byte  // 'd' or 'c' of the s4 preamble for such connections only, 0 for all
}

// Proxy forwards TCP connections to one server, with a fault.
type Proxy struct {
	target string
	ln     net.Listener
	wg     sync.WaitGroup
	quit   chan struct{}                 // closed by Close
	gate   atomic.Pointer[chan struct{}] // of connections to come, or nil
	delay  atomic.Int64                  // of all that passes, ns

	mu     sync.Mutex
	closed bool
	tap    func(dir Direction, p []byte)
	fault  *armed
	conns  map[*net.TCPConn]struct{}
	links  map[*link]struct{}
}

// armed is a Fault and whether it has struck.
type armed struct {
	Fault
	hits atomic.Int64
	quit chan struct{} // closed to let stalled connections go on
	once sync.Once
}

// NewProxy starts a proxy on a free port of loopback. It is closed when the
// test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := newProxy(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func newProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, ln: ln, quit: make(chan struct{}), conns: make(map[*net.TCPConn]struct{}), links: make(map[*link]struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// Tap calls f with all bytes that pass on connections to come, one call at a time. They
// are f's until it returns.
func (p *Proxy) Tap(f func(dir Direction, p []byte)) {
	var mu sync.Mutex
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tap = func(dir Direction, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		f(dir, b)
	}
}

// Target is where connections go.
func (p *Proxy) Target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// Addr is the address to connect to.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// SetTarget changes where connections that come from now on go.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	p.target = addr
	p.mu.Unlock()
}

// Set makes f the fault of all connections that come from now on.
func (p *Proxy) Set(f Fault) { p.arm(&armed{Fault: f, quit: make(chan struct{})}) }

// Heal takes the fault away. Stalled connections go on.
func (p *Proxy) Heal() { p.arm(nil) }

func (p *Proxy) arm(a *armed) {
	p.mu.Lock()
	old := p.fault
	p.fault = a
	p.mu.Unlock()
	if old != nil {
		old.once.Do(func() { close(old.quit) })
	}
}

// Hits is how often the present fault has struck.
func (p *Proxy) Hits() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		return 0
	}
	return p.fault.hits.Load()
}

// CutAll closes every connection that is open now.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.quit)
	}
	p.mu.Unlock()
	p.ln.Close()
	p.Heal()
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(c.(*net.TCPConn)) })
	}
}

// keep registers a connection to be closed by Close; false if that is over.
func (p *Proxy) keep(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c *net.TCPConn) {
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) forward(client *net.TCPConn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	p.mu.Lock()
	target, fault, tap := p.target, p.fault, p.tap
	p.mu.Unlock()
	sc, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	server := sc.(*net.TCPConn)
	if !p.keep(server) {
		return
	}
	defer p.drop(server)
	l := &link{proxy: p, fault: fault, tap: tap, match: make(chan bool, 1), brake: brake{client: client, server: server}}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	if gate := p.gate.Load(); gate != nil { // after l is known: Hold misses none
		l.gate.Store(gate)
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.copy(server, client, ToServer) })
	wg.Go(func() { l.copy(client, server, ToClient) })
	wg.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// link is one connection through the proxy.
type link struct {
	proxy *Proxy
	fault *armed
	tap   func(dir Direction, p []byte) // may be nil
	match chan bool                     // whether the fault is for this connection, once
	cut   atomic.Bool
	brake
}

func (l *link) copy(dst, src *net.TCPConn, dir Direction) {
	buf := make([]byte, 64<<10)
	var at int64
	mine, asked := false, false
	for {
		n, err := src.Read(buf)
		if n > 0 && !asked {
			// The client speaks first, and all of its preamble at once.
			if dir == ToServer {
				ok := l.fault != nil && (l.fault.Channel == 0 || n > 6 && buf[6] == l.fault.Channel)
				mine, asked = ok && l.fault.Dir == dir, true
				l.match <- ok && l.fault.Dir != dir
			} else {
				mine, asked = <-l.match, true
			}
		}
		p := buf[:n]
		if mine && n > 0 {
			p = l.strike(p, at)
		}
		werr := l.pass(dst, p, dir)
		if werr == nil && len(p) < n && !l.cut.Load() {
			<-l.fault.quit // the rest waits
			werr = l.pass(dst, buf[len(p):n], dir)
		}
		at += int64(n)
		if werr != nil {
			l.abort(src, dst)
			return
		}
		if l.cut.Load() {
			l.abort(src, dst)
			return
		}
		if err != nil {
			if dir == ToServer && !asked {
				l.match <- false
			}
			l.wait()
			_ = dst.CloseWrite()
			return
		}
	}
}

func (l *link) pass(dst *net.TCPConn, p []byte, dir Direction) error {
	if len(p) == 0 {
		return nil
	}
	l.wait()
	if l.tap != nil {
		l.tap(dir, p)
	}
	_, err := dst.Write(p)
	return err
}

// strike applies the fault to bytes that begin at offset at and returns those
// to pass on now.
func (l *link) strike(p []byte, at int64) []byte {
	f := l.fault
	off := f.At - at
	if f.Action == Flip {
		if 0 <= off && off < int64(len(p)) && f.hits.Add(1) == 1 {
			p[off] ^= 1 << f.Bit
		}
		return p
	}
	if off >= int64(len(p)) {
		return p
	}
	f.hits.Add(1)
	l.cut.Store(f.Action == Cut)
	return p[:max(off, 0)]
}

// abort resets both ends.
func (l *link) abort(a, b *net.TCPConn) {
	for _, c := range []*net.TCPConn{a, b} {
		_ = c.SetLinger(0)
		c.Close()
	}
}
