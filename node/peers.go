package node

import (
	"context"
	"sync"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// peerConns is how many connections there are to each peer: large files go in parallel,
// and a small one does not always wait behind a large one.
const peerConns = 2

// peers holds the long-lived data connections to other servers, which all jobs share.
// The nodes of one process share them as well. With connections of its own for every
// node there would be as many as pairs of nodes: 64 nodes held 16,000 descriptors, which
// every command that is started has to close.
type peers struct {
	mu   sync.Mutex
	open map[int]*peer // guarded by mu
}

// peer is the connections to one server, which are used in turn. Each peer counts its
// own turns: with a common count, pushes that alternate between two peers would always
// use the same connection to each.
type peer struct {
	next  int // guarded by peers.mu
	conns [peerConns]peerConn
}

// turn returns the connection whose turn it is; peers.mu is held.
func (p *peer) turn() *peerConn {
	p.next++
	return &p.conns[p.next%peerConns]
}

type peerConn struct {
	mu  chan struct{}  // a lock that can be waited for with a context, as connecting takes long
	p   *xfer.Pipeline // guarded by mu
	job *job           // the last that has used p; guarded by mu
}

func newPeer() *peer {
	p := new(peer)
	for i := range p.conns {
		p.conns[i].mu = make(chan struct{}, 1)
	}
	return p
}

// lock locks mu, unless ctx ends first.
func (c *peerConn) lock(ctx context.Context) error {
	select {
	case c.mu <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryLock locks mu if it is free.
func (c *peerConn) tryLock() bool {
	select {
	case c.mu <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *peerConn) unlock() { <-c.mu }

func newPeers() *peers { return &peers{open: make(map[int]*peer)} }

// interrupt closes all connections, and what is under way on them fails. The next get
// makes new ones. Those that are being made it leaves alone: nothing is on them yet, and
// who makes them minds a context.
func (ps *peers) interrupt() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.open {
		for i := range p.conns {
			c := &p.conns[i]
			if !c.tryLock() {
				continue
			}
			if c.p != nil {
				c.p.Close()
			}
			c.unlock()
		}
	}
}

// turn returns the connection to a peer whose turn it is.
func (ps *peers) turn(server int) *peerConn {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.open[server]
	if p == nil {
		p = newPeer()
		ps.open[server] = p
	}
	return p.turn()
}

// get returns the pipeline of a connection to a peer, connected if it was not, for a job
// to use. It calls waits before anything that may take long.
func (ps *peers) get(j *job, server int, c *peerConn, waits func()) (*xfer.Pipeline, error) {
	if !c.tryLock() {
		waits()
		if err := c.lock(j.ctx); err != nil {
			return nil, err
		}
	}
	defer c.unlock()
	// If the peer was restarted between two jobs, nobody was reading from the
	// connection to notice. Any requests on it are lost then.
	if c.p != nil && !c.p.Broken() && (c.job == j || !c.p.Stale()) {
		c.job = j
		return c.p, nil
	}
	if c.p != nil {
		c.p.Close()
		c.p = nil
	}
	waits()
	d := j.node.dialer(server)
	d.Stats = &j.node.stats
	conn, err := d.DialPatiently(j.ctx, wire.ChannelData)
	if err != nil {
		return nil, err
	}
	c.p, c.job = xfer.NewPipeline(conn), j
	return c.p, nil
}
