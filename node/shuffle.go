package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// pushes are those of one task. Those that a peer was lost with are sent again.
type pushes struct {
	job  *job
	slot *ioSlot                               // the task's
	open func(name string) (*xfer.File, error) // opens an output again

	conn   *peerConn // of the last push, to server; the task's goroutine's
	server int

	mu      sync.Mutex
	pending int           // not answered yet; guarded by mu
	idle    chan struct{} // of settled, closed when none is pending; guarded by mu
	err     error         // the first; guarded by mu
	lost    []*pushed     // to be sent again; guarded by mu
	down    map[int]bool  // servers of lost; guarded by mu
	lostAt  error         // why the last of lost was lost; guarded by mu
}

// pushed is one push.
type pushed struct {
	server int
	file   string // in the task's directory
	key    string
	size   int64
	sum    uint64
}

func newPushes(j *job, slot *ioSlot, open func(name string) (*xfer.File, error)) *pushes {
	return &pushes{job: j, slot: slot, open: open}
}

// lose notes a push that failed with err, to be sent again, if that can be expected to
// help.
func (b *pushes) lose(p *pushed, err error) {
	j := b.job
	if j.msg.Wait == 0 || !isLost(err) || j.ctx.Err() != nil {
		b.fail(j.peerError(p.server, "push", p.key, err))
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = append(b.lost, p)
	if b.down == nil {
		b.down = make(map[int]bool)
	}
	b.down[p.server] = true
	if err != errDown { // which was told before
		b.lostAt = j.peerError(p.server, "push", p.key, err)
	}
}

// errDown is why a push is not tried.
var errDown = wire.Errorf(wire.CodeUnavailable, "the server is down")

// isDown reports whether a push to a server was lost and not sent again yet.
func (b *pushes) isDown(server int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down[server]
}

// repeat sends lost pushes again, until all have arrived or it is too late.
func (b *pushes) repeat() error {
	for r := xfer.NewBackoff(b.job.patience()); ; {
		b.mu.Lock()
		lost, why := b.lost, b.lostAt
		b.lost, b.down = nil, nil
		b.mu.Unlock()
		if len(lost) == 0 {
			return b.failed()
		}
		b.slot.release() // push takes it again
		if !r.Wait(b.job.ctx) {
			e := *toWire(why)
			e.Text = fmt.Sprintf("a server was lost, and did not come back within %v: %s", b.job.patience(), e.Text)
			b.fail(&e)
			return b.failed()
		}
		for _, p := range lost {
			if b.failed() != nil {
				break
			}
			if b.isDown(p.server) {
				b.lose(p, errDown)
				continue
			}
			f, err := b.open(p.file)
			if err != nil {
				b.fail(storeError(err, p.key))
				break
			}
			b.push(p, f, nil)
		}
		if err := b.settled(); err != nil {
			return err
		}
	}
}

func (b *pushes) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *pushes) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

// answered counts the end of a push.
func (b *pushes) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending--; b.pending == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// wait waits until all pushes have arrived.
func (b *pushes) wait() error {
	err := b.settled()
	if err == nil {
		err = b.repeat()
	}
	var we *wire.Error
	if errors.As(err, &we) && (we.Code == wire.CodeCanceled || we.Code == wire.CodeNoJob) {
		// The job has failed at the peer, and the client is told why. It will
		// send DISCARD with that reason, which is better than ours: wait for it.
		b.slot.release()
		select {
		case <-b.job.ctx.Done():
		case <-time.After(b.job.node.cfg.IOTimeout):
		}
	}
	return err
}

// settled waits for the answers to the pushes under way.
func (b *pushes) settled() error {
	b.mu.Lock()
	idle := make(chan struct{})
	if b.pending == 0 {
		close(idle)
	} else {
		b.idle = idle
	}
	b.mu.Unlock()
	select {
	case <-idle:
	case <-b.job.ctx.Done():
		return context.Cause(b.job.ctx) // nobody needs the answers any more
	}
	return b.failed()
}

// smallPush is the size in bytes of the largest output that is sent from memory, and on
// the same connection as the one before: one of these is no wait for the next, and the
// peer reads several at once.
const smallPush = 16 << 10

// push sends one output, whose file is f, to its server, from disk to socket in the
// kernel unless it is packed, or is in memory as body. It closes f and returns as soon as
// the file is sent.
func (b *pushes) push(out *pushed, f *xfer.File, body []byte) {
	j := b.job
	if b.conn == nil || b.server != out.server || out.size > smallPush {
		b.conn, b.server = j.node.peers.turn(out.server), out.server
	}
	// Nobody must wait for a server that this task waits for.
	p, err := j.node.peers.get(j, out.server, b.conn, b.slot.release)
	err = errors.Join(err, b.slot.acquire(j.ctx))
	if err != nil {
		f.Close()
		b.lose(out, err)
		return
	}
	b.mu.Lock()
	b.pending++
	b.mu.Unlock()
	head := &wire.Push{Size: uint64(out.size), Job: j.id, Key: out.key}
	if j.epoch != 0 {
		head.Source, head.Epoch = uint32(j.node.cfg.Index), j.epoch
	}
	pack := packing(j.has(wire.JobLZ4), j.has(wire.JobPackAll))
	var flags byte
	if pack != xfer.PackNever {
		flags = wire.FlagLZ4
	}
	p.Do(xfer.Request{
		Send: func(c *xfer.Conn, tag uint16, refused func() bool) error {
			defer f.Close()
			stop := func() bool { return refused() || j.ctx.Err() != nil }
			var src xfer.Stored = f
			if body != nil {
				src = &inMemory{f, bytes.NewReader(body)}
			}
			return c.SendFile(tag, head, flags, src, out.size, out.sum, pack, false, stop)
		},
		Recv: func(c *xfer.Conn, tag uint16) error {
			m, err := c.ReadReply(tag)
			if err == nil && m.Type() != wire.TypeOK {
				err = wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", m.Type())
			}
			return err
		},
		Done: func(err error) {
			f.Close()
			if err != nil {
				b.lose(out, err)
			} else {
				j.pushed.Add(uint64(out.size))
				j.node.pushed[out.server].Add(out.size)
				j.traffic.add(out.server, out.size)
			}
			b.answered()
		},
	})
}

// inMemory is a file whose bytes were read before.
type inMemory struct {
	*xfer.File
	body *bytes.Reader
}

func (m *inMemory) Read(p []byte) (int, error) { return m.body.Read(p) }

// peerError names the peer with which something has failed.
func (j *job) peerError(server int, what, name string, err error) error {
	at := j.node.cfg.Cluster.Servers[server]
	var we *wire.Error
	if errors.As(err, &we) {
		e := *we
		e.Text = fmt.Sprintf("%s to %s failed with %q", what, at, we.Text) // the client adds on which server
		if e.Key == "" {
			e.Key = name
		}
		return &e
	}
	return &wire.Error{Code: wire.CodeUnavailable, Key: name, Text: fmt.Sprintf("%s to %s: %v", what, at, err)}
}
