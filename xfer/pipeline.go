package xfer

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/nathants/s4/wire"
)

// Window is how many requests a Pipeline has in flight at most.
const Window = 64

// Pipeline sends requests on a Conn without waiting for the answer to the one
// before, and hands each its answer, in order. It owns the Conn: nobody else
// may read from it or write requests to it. Its methods may be called by many
// goroutines.
type Pipeline struct {
	conn  *Conn
	order sync.Mutex // held while a request is sent; requests are queued in that order
	tag   uint16     // guarded by order
	queue chan *call
	ended chan struct{} // closed when no more answers will come
	gone  chan struct{} // closed when the reading goroutine has returned

	mu     sync.Mutex
	err    error // why it ended
	closed bool  // queue is closed
}

// Request is one request on a Pipeline.
type Request struct {
	// Send writes the whole request. refused says whether the answer has
	// already come, as an error; a stream is then cut short with ABORT.
	Send func(c *Conn, tag uint16, refused func() bool) error
	// Recv reads the whole answer. It runs on the pipeline's goroutine.
	Recv func(c *Conn, tag uint16) error
	// Done is called once, when both have ended or will never run. err is
	// what the peer said, if it said anything, or else Send's, or Recv's.
	Done func(err error)
}

type call struct {
	Request
	tag      uint16
	answered atomic.Bool // Recv has returned an error
	mu       sync.Mutex
	oneEnded bool // one of Send and Recv has ended; guarded by mu
	sendErr  error
	recvErr  error
}

// finish records one side's end, and calls Done at the second.
func (c *call) finish(sendErr, recvErr error) {
	c.mu.Lock()
	if sendErr != nil {
		c.sendErr = sendErr
	}
	if recvErr != nil {
		c.recvErr = recvErr
	}
	second := c.oneEnded
	c.oneEnded = true
	c.mu.Unlock()
	if !second {
		return
	}
	var (
		src  *SourceError
		said *wire.Error
	)
	switch {
	case c.sendErr == nil || errors.Is(c.sendErr, ErrRefused):
		c.Done(c.recvErr)
	case !errors.As(c.sendErr, &src) && errors.As(c.recvErr, &said):
		c.Done(c.recvErr) // the peer's reason for hanging up
	default:
		c.Done(c.sendErr)
	}
}

// NewPipeline starts a pipeline on c. Close ends it.
func NewPipeline(c *Conn) *Pipeline {
	p := &Pipeline{conn: c, queue: make(chan *call, Window), ended: make(chan struct{}), gone: make(chan struct{})}
	go p.read()
	return p
}

// Do sends r. It returns when the request has been written, which waits for
// room in the window, or has failed; r.Done tells the outcome either way and
// may be called before Do returns.
func (p *Pipeline) Do(r Request) {
	p.order.Lock()
	defer p.order.Unlock()
	p.tag++
	c := &call{Request: r, tag: p.tag}
	if err := p.enqueue(c); err != nil {
		r.Done(err)
		return
	}
	err := r.Send(p.conn, c.tag, c.answered.Load)
	if p.conn.Broken() {
		// The reader sees it at once instead of after the I/O timeout; what
		// the peer said before it hung up is still there to read.
		_ = p.conn.tcp.CloseWrite()
	}
	c.finish(err, nil)
}

// enqueue puts c in the reader's queue, or returns why the reader has ended.
func (p *Pipeline) enqueue(c *call) error {
	select {
	case <-p.ended:
		return p.reason()
	default:
	}
	// Only Do sends, under order, and Close takes order before it closes the
	// queue; so the queue is open here unless p.closed.
	if p.isClosed() {
		return net.ErrClosed
	}
	select {
	case p.queue <- c:
		return nil
	case <-p.ended:
		return p.reason()
	}
}

func (p *Pipeline) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *Pipeline) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return net.ErrClosed
	}
	return p.err
}

// read hands out answers in order until the queue is closed or nothing more can be
// read. A Send that failed does not end it: the answers to earlier requests still
// come, and perhaps the peer's reason.
func (p *Pipeline) read() {
	defer close(p.gone)
	var broken error
	for c := range p.queue {
		err := broken
		if broken == nil {
			err = c.Recv(p.conn, c.tag)
			if p.conn.noReads.Load() {
				broken = err
				if broken == nil || broken == io.EOF {
					broken = io.ErrUnexpectedEOF
				}
				if err == io.EOF {
					err = broken
				}
				p.mu.Lock()
				p.err = broken
				p.mu.Unlock()
				p.conn.Close() // also ends a Send under way
				close(p.ended)
			}
		}
		if err != nil {
			c.answered.Store(true)
		}
		c.finish(nil, err)
	}
	if broken == nil {
		close(p.ended)
	}
}

// Stale reports whether an idle pipeline cannot be used again: see Conn.Stale.
func (p *Pipeline) Stale() bool { return p.conn.Stale() }

// Broken reports whether the pipeline can take no more requests.
func (p *Pipeline) Broken() bool { return p.conn.Broken() }

// Interrupt closes the connection, so that all that is in flight fails soon.
// Close must still be called.
func (p *Pipeline) Interrupt() { p.conn.Close() }

// Abandon closes the connection without waiting. It is for a caller that cannot wait,
// because a Send is stuck in the caller's own reader. The goroutines end when that
// Send does.
func (p *Pipeline) Abandon() {
	p.conn.Close()
	go p.Close()
}

// Close closes the connection, lets every request in flight fail, and waits
// for the reading goroutine.
func (p *Pipeline) Close() error {
	err := p.conn.Close()
	p.order.Lock()
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.queue)
	}
	p.mu.Unlock()
	p.order.Unlock()
	<-p.gone
	return err
}
