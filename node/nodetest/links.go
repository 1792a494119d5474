package nodetest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What goes wrong on connections that are open already. A Fault is for those to come.

// Reset resets the open connections for which pick returns true, at both ends.
func (p *Proxy) Reset(pick func() bool) {
	for _, l := range p.openLinks() {
		if pick() {
			l.abort(l.client, l.server)
		}
	}
}

// Hold lets nothing pass on the open connections for which pick returns true, and
// with coming on none that is made later, until release is called. Nothing is lost.
func (p *Proxy) Hold(pick func() bool, coming bool) (release func()) {
	held := make(chan struct{})
	if coming {
		p.gate.Store(&held)
	}
	for _, l := range p.openLinks() {
		if pick() {
			l.gate.Store(&held)
		}
	}
	return sync.OnceFunc(func() {
		p.gate.CompareAndSwap(&held, nil)
		close(held)
	})
}

// Slow makes all that passes wait for delay, on every connection and in each direction.
// As at most 64 KiB pass at once, this also limits how much does. 0 ends that.
func (p *Proxy) Slow(delay time.Duration) { p.delay.Store(int64(delay)) }

// brake holds up one connection of a Proxy.
type brake struct {
	client, server *net.TCPConn
	gate           atomic.Pointer[chan struct{}] // closed to let it go on, or nil
}

// openLinks returns the connections that are open now.
func (p *Proxy) openLinks() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*link
	for l := range p.links {
		list = append(list, l)
	}
	return list
}

// wait returns when l may pass on what it has read.
func (l *link) wait() {
	if gate := l.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-l.proxy.quit:
		}
	}
	if delay := l.proxy.delay.Load(); delay > 0 {
		select {
		case <-time.After(time.Duration(delay)):
		case <-l.proxy.quit:
		}
	}
}
