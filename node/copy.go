package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// How COPY is answered.
const (
	// copySmall is the size in bytes of the largest key that is sent to a peer before the
	// answer to the one before has come.
	copySmall = 1 << 20
	// copyBytes is how many bytes of such keys may be without an answer.
	copyBytes = 8 << 20
	// copyTell is the time between two COPIED of a larger key.
	copyTell = time.Second
	// copyIdle is how many idle connections for copies are kept to a peer.
	copyIdle = 2
)

// copies are COPY requests of a session that came together: those of small keys of other
// servers are under way at once. They are answered in the order in which they came.
type copies struct {
	s     *session
	list  []*copying // that are not answered yet
	bytes int64      // in them
	conns []*copyConn
	down  map[int]error // servers that could not be reached
}

// copyConn is a connection to a server that nobody else uses meanwhile.
type copyConn struct {
	server int
	p      *xfer.Pipeline
	stop   func() bool // as context.AfterFunc returns it
}

// copying is one COPY.
type copying struct {
	tag   uint16
	m     *wire.Copy
	start time.Time
	of    wire.Object   // what the source is
	done  chan struct{} // closed when it has ended, nil for one that has
	err   error         // after done
}

// copyKeys answers a COPY, and those that have come behind it.
func (s *session) copyKeys(h wire.Header, m *wire.Copy) error {
	c := &copies{s: s}
	defer c.close()
	for {
		if err := c.add(h, m); err != nil {
			return err
		}
		if len(c.list) == 0 || len(c.list) == xfer.Window || c.bytes > copyBytes || s.conn.Next() != wire.TypeCopy {
			return c.answer()
		}
		var err error
		if h, err = s.conn.ReadHeader(); err != nil {
			return err
		}
		next, err := s.conn.ReadMessage(h)
		if err != nil {
			return errors.Join(c.answer(), err)
		}
		m = next.(*wire.Copy)
	}
}

// add begins a copy, and answers it if it has ended and no other is before it.
func (c *copies) add(h wire.Header, m *wire.Copy) error {
	n := c.s.node
	one := &copying{tag: h.Tag, m: m, start: time.Now()}
	o, err := n.copySource(m)
	if one.err = err; err == nil {
		one.of = *o.head()
		if to := n.cfg.Cluster.Place(m.Dst); to != n.cfg.Index {
			err = c.push(one, o, to, h.Flags)
		} else {
			one.err = c.s.copyHere(o, m)
			o.Close()
		}
	}
	switch {
	case err != nil && one.err == nil:
		return err
	case len(c.list) == 0 && one.done == nil:
		return c.s.copied(one)
	}
	c.list = append(c.list, one)
	c.bytes += int64(one.of.Size)
	return nil
}

// copySource checks the names of a copy, and opens its source.
func (n *Node) copySource(m *wire.Copy) (*object, error) {
	if n.ctx.Err() != nil {
		return nil, errShutdown
	}
	if err := n.checkOwner(m.Src); err != nil {
		return nil, err
	}
	if err := names.CheckKey(m.Dst); err != nil {
		return nil, err
	}
	return n.store.get(m.Src)
}

// copyHere makes a copy that belongs to this server.
func (s *session) copyHere(o *object, m *wire.Copy) error {
	st := s.node.store
	if ok, err := st.link(o, m.Src, m.Dst); ok {
		return err
	}
	if err := s.conn.SendHeld(); err != nil {
		return err
	}
	ctx, stop := s.watched()
	defer stop()
	return storeError(st.duplicate(ctx, o, m.Src, m.Dst), m.Dst)
}

// push sends the source of a copy to another server. It returns when it is sent; of a
// large key, which others would wait for, when it has ended. The error is one of the
// connection to the client.
func (c *copies) push(one *copying, o *object, server int, flags byte) error {
	if o.size <= copySmall {
		c.send(context.Background(), one, o, server, flags)
		return nil
	}
	if err := c.answer(); err != nil {
		o.Close()
		return err
	}
	ctx, stop := c.s.watched()
	defer stop()
	c.send(ctx, one, o, server, flags)
	if one.done != nil {
		<-one.done
		one.done = nil
	}
	return nil
}

// send sends the source of a copy, with its time and the checksum that is stored with it,
// until ctx ends. It closes the file.
func (c *copies) send(ctx context.Context, one *copying, o *object, server int, flags byte) {
	p, err := c.peer(server)
	if err != nil {
		o.Close()
		one.err = c.s.node.copyError(one.m, server, err)
		return
	}
	done := make(chan struct{})
	one.done = done
	told := time.Now()
	head := &wire.Put{Size: uint64(o.size), Key: one.m.Dst, Mtime: o.mtime}
	pack := packing(flags&wire.FlagLZ4 != 0, flags&wire.FlagPackAll != 0)
	p.Do(xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			defer o.Close()
			return conn.SendFile(tag, head, flags&wire.FlagLZ4, o.File, o.size, o.sum, pack, false, func() bool {
				if time.Since(told) > copyTell {
					told = time.Now()
					c.tell(one, o)
				}
				return refused() || ctx.Err() != nil
			})
		},
		Recv: func(conn *xfer.Conn, tag uint16) error {
			m, err := conn.ReadReply(tag)
			if err == nil && m.Type() != wire.TypeOK {
				err = wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", m.Type())
			}
			return err
		},
		Done: func(err error) {
			o.Close()
			if ctx.Err() != nil && err != nil {
				err = context.Cause(ctx) // the client is gone, or the server stops
			}
			one.err = c.s.node.copyError(one.m, server, err)
			close(done)
		},
	})
}

// tell tells the client how much of a key has been sent.
func (c *copies) tell(one *copying, o *object) {
	if at, err := o.Seek(0, io.SeekCurrent); err == nil {
		// If the client is gone, the context of the copy ends.
		_ = c.s.conn.Write(one.tag, 0, &wire.Copied{Bytes: uint64(at), Mtime: one.of.Mtime, Sum: one.of.Sum})
	}
}

// peer returns a connection to a server.
func (c *copies) peer(server int) (*xfer.Pipeline, error) {
	for _, conn := range c.conns {
		if conn.server == server && !conn.p.Broken() {
			return conn.p, nil
		}
	}
	if err := c.down[server]; err != nil {
		return nil, err
	}
	n := c.s.node
	p, ok := n.cfg.shared.copies.Get(server)
	if !ok {
		if err := c.s.conn.SendHeld(); err != nil {
			return nil, err
		}
		ctx, stop := c.s.watched()
		d := n.dialer(server)
		d.Stats = &n.stats
		conn, err := d.Dial(ctx, wire.ChannelData)
		stop()
		if err != nil {
			if c.down == nil {
				c.down = make(map[int]error)
			}
			c.down[server] = err // the others of these fail at once
			return nil, err
		}
		p = xfer.NewPipeline(conn)
	}
	// At the end of a shutdown, nobody waits for a peer's answer.
	c.conns = append(c.conns, &copyConn{server, p, context.AfterFunc(n.late, func() { p.Interrupt() })})
	return p, nil
}

// answer waits for the copies that are not answered yet, and answers them.
func (c *copies) answer() error {
	if len(c.list) == 0 {
		return nil
	}
	if err := c.s.conn.SendHeld(); err != nil {
		return err
	}
	for _, one := range c.list {
		if one.done != nil {
			<-one.done
		}
		if err := c.s.copied(one); err != nil {
			return err
		}
	}
	c.list, c.bytes = c.list[:0], 0
	return nil
}

// copied answers a copy that has ended.
func (s *session) copied(one *copying) error {
	s.logRequest("copy", one.m.Src+" to "+one.m.Dst, int64(one.of.Size), one.start, one.err)
	if one.err != nil {
		return s.reply(one.tag, one.err)
	}
	return s.conn.WriteSoon(one.tag, 0, &wire.Copied{Bytes: one.of.Size, Mtime: one.of.Mtime, Sum: one.of.Sum, Last: true})
}

// close waits for what is under way, and gives the connections back.
func (c *copies) close() {
	for _, one := range c.list {
		if one.done != nil {
			<-one.done
		}
	}
	for _, conn := range c.conns {
		if conn.stop() {
			c.s.node.cfg.shared.copies.Put(conn.server, conn.p)
		} else {
			conn.p.Close()
		}
	}
}

// copyError returns why a copy to another server has failed.
func (n *Node) copyError(m *wire.Copy, server int, err error) error {
	if err == nil || err == errShutdown {
		return err
	}
	e := &wire.Error{Code: wire.CodeUnavailable, Text: fmt.Sprintf("the connection from server %d was lost: %v", n.cfg.Index, err)}
	var said *wire.Error
	switch {
	case errors.As(err, &said):
		*e = *said
	case errors.Is(err, unix.EIO):
		return &wire.Error{Code: wire.CodeStorage, Key: m.Src, Text: "reading it failed: " + err.Error()}
	}
	e.Server = cmp.Or(e.Server, n.cfg.Cluster.Servers[server].String())
	switch {
	case e.Code == wire.CodeChecksum: // what was stored is not what was read
		e.Key, e.Server = m.Src, ""
	case e.Key == "":
		e.Key = m.Dst
	}
	return e
}
