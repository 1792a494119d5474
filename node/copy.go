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
	copyTell = time.Second // between two COPIED of a key that is sent to a peer
	copyIdle = 8           // idle connections for copies that are kept to a peer
)

// copying is one COPY.
type copying struct {
	s     *session
	tag   uint16
	flags byte
	m     *wire.Copy
	of    *object // the source
}

// copyKey answers COPY.
func (s *session) copyKey(h wire.Header, m *wire.Copy) error {
	start := time.Now()
	c := &copying{s: s, tag: h.Tag, flags: h.Flags, m: m}
	var size int64
	err := c.open()
	if err == nil {
		size = c.of.size
		if to := s.node.cfg.Cluster.Place(m.Dst); to == s.node.cfg.Index {
			err = c.here()
		} else {
			err = c.sendTo(to)
		}
		c.of.Close()
	}
	s.logRequest("copy", m.Src+" to "+m.Dst, size, start, err)
	if err != nil {
		return s.reply(h.Tag, err)
	}
	return s.conn.WriteSoon(h.Tag, 0, c.copied(size, true))
}

// copied tells that so many bytes are copied; last says that these are all.
func (c *copying) copied(bytes int64, last bool) *wire.Copied {
	return &wire.Copied{Bytes: uint64(bytes), Mtime: c.of.mtime, Sum: c.of.sum, Last: last}
}

// open checks the names, and opens the source.
func (c *copying) open() (err error) {
	n := c.s.node
	if n.ctx.Err() != nil {
		return errShutdown
	}
	if err := n.checkOwner(c.m.Src); err != nil {
		return err
	}
	if err := names.CheckKey(c.m.Dst); err != nil {
		return err
	}
	c.of, err = n.store.get(c.m.Src)
	return err
}

// here makes a copy that belongs to this server.
func (c *copying) here() error {
	st := c.s.node.store
	if ok, err := st.link(c.of, c.m.Src, c.m.Dst); ok {
		return err
	}
	ctx, stop := c.s.watched()
	defer stop()
	return storeError(st.duplicate(ctx, c.of, c.m.Src, c.m.Dst), c.m.Dst)
}

// sendTo sends the source to another server, as the client would put it, with its time
// and the checksum that is stored with it. It ends early if the client goes away.
func (c *copying) sendTo(server int) error {
	n := c.s.node
	if err := c.s.conn.SendHeld(); err != nil {
		return err
	}
	ctx, stop := c.s.watched()
	defer stop()
	p, ok := n.cfg.shared.copies.Get(server)
	if !ok {
		d := n.dialer(server)
		d.Stats = &n.stats
		conn, err := d.Dial(ctx, wire.ChannelData)
		if err != nil {
			return c.failed(ctx, server, err)
		}
		p = xfer.NewPipeline(conn)
	}
	// At the end of a shutdown, nobody waits for a peer's answer.
	rest := context.AfterFunc(n.late, func() { p.Interrupt() })
	done := make(chan error, 1)
	p.Do(c.put(ctx, done))
	err := <-done
	if rest() {
		n.cfg.shared.copies.Put(server, p)
	} else {
		p.Close()
	}
	return c.failed(ctx, server, err)
}

// put returns the request that sends the source to a peer. Now and then it tells the
// client how much has been sent.
func (c *copying) put(ctx context.Context, done chan<- error) xfer.Request {
	head := &wire.Put{Size: uint64(c.of.size), Key: c.m.Dst, Mtime: c.of.mtime}
	pack := packing(c.flags&wire.FlagLZ4 != 0, c.flags&wire.FlagPackAll != 0)
	told := time.Now()
	return xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			return conn.SendFile(tag, head, c.flags&wire.FlagLZ4, c.of.File, c.of.size, c.of.sum, pack, false, func() bool {
				if time.Since(told) > copyTell {
					told = time.Now()
					c.tell()
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
		Done: func(err error) { done <- err },
	}
}

// tell tells the client how much of the source has been sent.
func (c *copying) tell() {
	if at, err := c.of.Seek(0, io.SeekCurrent); err == nil {
		_ = c.s.conn.Write(c.tag, 0, c.copied(at, false)) // if the client is gone, ctx of the copy ends
	}
}

// failed returns the client's error for one of a copy to another server.
func (c *copying) failed(ctx context.Context, server int, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the client is gone, or this server stops
	}
	if errors.Is(err, unix.EIO) {
		return &wire.Error{Code: wire.CodeStorage, Key: c.m.Src, Text: "reading it failed: " + err.Error()}
	}
	n := c.s.node
	e := &wire.Error{Code: wire.CodeUnavailable, Text: fmt.Sprintf("the connection from server %d was lost", n.cfg.Index)}
	var said *wire.Error
	if errors.As(err, &said) {
		*e = *said
	}
	if e.Code == wire.CodeChecksum { // what was read is not what was stored
		e.Key = c.m.Src
		return e
	}
	e.Key = cmp.Or(e.Key, c.m.Dst)
	e.Server = cmp.Or(e.Server, n.cfg.Cluster.Servers[server].String())
	return e
}
