package node

import (
	"sync"

	"github.com/nathants/s4/wire"
)

// outbox holds what a job has to tell a client, until the client has taken it. So neither
// the job nor its tasks wait for a client that is slow or has stopped. It stays short: of
// PROGRESS only the last one counts, and TASKS are read from the job's log when it is
// their turn.
type outbox struct {
	node  *Node
	write func(wire.Message) error // to the connection
	close func()                   // the connection

	mu     sync.Mutex
	queue  []letter
	report *report       // or nil
	idle   chan struct{} // closed when all is sent; nil if nothing is being sent
	over   bool          // nothing more is sent
	shut   chan struct{} // closed when over
}

// letter is one thing to do with a client: to send it a message or, without one, what is
// new in the log. With hangUp, it is to close the connection.
type letter struct {
	m      wire.Message
	hangUp bool
}

func newOutbox(n *Node, write func(wire.Message) error, close func()) *outbox {
	return &outbox{node: n, write: write, close: close, shut: make(chan struct{})}
}

// put takes a letter. It does not wait.
func (o *outbox) put(l letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return
	}
	if l.m == nil || l.m.Type() == wire.TypeProgress {
		for i, q := range o.queue {
			if l.hangUp == q.hangUp && (l.m == nil) == (q.m == nil) && (l.m == nil || q.m.Type() == l.m.Type()) {
				o.queue[i] = l
				return
			}
		}
	}
	o.queue = append(o.queue, l)
	if o.idle == nil {
		o.idle = make(chan struct{})
		o.node.wg.Go(o.run) // who puts something is counted, so wg is not zero
	}
}

// setReport sets what TASKS are taken from. The outbox closes it.
func (o *outbox) setReport(r *report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		r.close()
		return
	}
	o.report = r
}

// run sends what is in the queue, until there is nothing.
func (o *outbox) run() {
	for {
		l, r, ok := o.next()
		if !ok {
			return
		}
		var err error
		switch {
		case l.hangUp:
			o.close()
		case l.m != nil:
			err = o.write(l.m)
		case r != nil:
			err = r.send(o.write)
		}
		if err != nil {
			o.drop() // the session sees a lost client
		}
	}
}

func (o *outbox) next() (l letter, r *report, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		close(o.idle)
		o.idle = nil
		return l, nil, false
	}
	l = o.queue[0]
	o.queue = o.queue[1:]
	return l, o.report, true
}

// drain waits until all is sent, or the client is lost.
func (o *outbox) drain() {
	o.mu.Lock()
	idle := o.idle
	o.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-o.shut:
	}
}

// drop ends the outbox. What is being sent may still be sent.
func (o *outbox) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return
	}
	o.over, o.queue = true, nil
	close(o.shut)
	if o.report != nil {
		o.report.close()
	}
}
