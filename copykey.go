package s4

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// CopyKey makes the key dst of the key src. The servers do it among themselves: where both
// belong to one server, without moving a byte, else directly from one to the other, which
// compares the bytes with their checksum. The copy has the time of src, and is what
// CopyKey returns. It fails with ErrExists if dst exists. When it returns nil, the copy is
// complete, as after Put; what Put says of errors holds, too.
func (c *Client) CopyKey(ctx context.Context, src, dst string) (Object, error) {
	from, to, err := parseCopy(src, dst)
	if err != nil {
		return Object{}, err
	}
	var o Object
	server := c.cluster.Place(from)
	err = c.request(ctx, server, 0, c.copyRequest(from, to, &o, nil))
	return o, c.opError(ctx, "copy", src, server, err)
}

// parseCopy returns the names of two keys without their scheme.
func parseCopy(src, dst string) (from, to string, err error) {
	if from, err = names.ParseKey(src); err != nil {
		return "", "", usage("copy", src, err)
	}
	if to, err = names.ParseKey(dst); err != nil {
		return "", "", usage("copy", dst, err)
	}
	if from == to {
		return "", "", sameKey(src)
	}
	return from, to, nil
}

// sameKey returns the error for a copy of a key to itself.
func sameKey(key string) error {
	return &Error{Op: "cp", Key: key, Kind: ErrBadRequest, Text: "source and destination are the same key"}
}

// copyRequest returns the request that copies a key to another. Its Recv sets o, and adds
// to moved, if not nil, the bytes as they are copied. The caller sets Done.
func (c *Client) copyRequest(from, to string, o *Object, moved *atomic.Int64) xfer.Request {
	return xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, _ func() bool) error {
			return conn.Write(tag, c.opts.Compress.flags(), &wire.Copy{Src: from, Dst: to})
		},
		Recv: func(conn *xfer.Conn, tag uint16) error {
			for told := uint64(0); ; {
				m, err := conn.ReadReply(tag)
				if err != nil {
					return err
				}
				copied, ok := m.(*wire.Copied)
				if !ok {
					conn.Close()
					return unexpected(m)
				}
				if moved != nil {
					moved.Add(int64(copied.Bytes - told))
				}
				if told = copied.Bytes; copied.Last {
					*o = toObject(&wire.Object{Size: copied.Bytes, Mtime: copied.Mtime, Sum: copied.Sum})
					return nil
				}
			}
		},
	}
}

// copyKeys is Copy where both sides are keys, and src is no pattern.
func (c *Client) copyKeys(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	if opts.Recursive {
		return c.copyTree(ctx, src, dst, opts, report)
	}
	if strings.HasSuffix(src, "/") {
		return badCopy("%s is a directory of keys: use -r for all below it", src)
	}
	from, to, err := parseCopy(src, copyKeyTo(src, dst))
	if err != nil {
		return err
	}
	var failed error
	err = c.getMany(ctx, true, opts, func(t Transfer) {
		if failed = t.Err; t.Err == nil {
			report(t)
		}
	}, func(g *gets) error {
		return g.addKey(fetch{name: from, to: to})
	})
	if err == nil {
		err = failed
	}
	return c.opError(ctx, "copy", src, -1, err)
}

// copyKeyTo returns the key that a copy of the key src to dst writes. That is dst, or, if
// dst ends in a slash or is a bucket, src's last segment below it.
func copyKeyTo(src, dst string) string {
	name := strings.TrimPrefix(dst, Scheme)
	if name == "" || !strings.HasSuffix(name, "/") && strings.Contains(name, "/") {
		return dst
	}
	return strings.TrimSuffix(dst, "/") + "/" + names.Base(src)
}

// copyTree copies all below a directory of keys to another, by their paths relative to it.
func (c *Client) copyTree(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	from, err := names.ParsePrefix(src)
	if err != nil {
		return usage("copy", src, err)
	}
	to, err := names.ParsePrefix(dst)
	if err != nil {
		return usage("copy", dst, err)
	}
	from, to = strings.TrimSuffix(from, "/")+"/", strings.TrimSuffix(to, "/")+"/"
	if strings.HasPrefix(to, from) {
		return intoItself(src, dst)
	}
	some := false
	err = c.getMany(ctx, true, opts, report, func(g *gets) error {
		g.one = true
		_, n, err := g.addFound(Scheme+from, from, to)
		some = n > 0
		return err
	})
	if err != nil || some {
		return c.opError(ctx, "copy", src, -1, err)
	}
	if !strings.HasSuffix(src, "/") && strings.Contains(strings.TrimPrefix(src, Scheme), "/") {
		if _, err := c.Stat(ctx, src); err == nil {
			return &Error{Op: "copy", Key: src, Kind: wire.CodeInternal, Text: "it is a key, not a directory of keys (leave -r off)"}
		}
	}
	return &Error{Op: "copy", Key: src, Kind: ErrNotFound, Text: "no key below it"}
}

// intoItself returns the error for a copy of a directory to a place below it.
func intoItself(src, dst string) error {
	return badCopy("%s is %s, or below it: a directory is not copied into itself", dst, src)
}

// copier copies the keys of one queue, which belong to server, to other keys. It has many
// requests in flight on one connection. peers are the servers that the copies belong to,
// as server reaches them.
func (c *Client) copier(ctx context.Context, server int, lost *lostServer, peers []lostServer, opts *CopyOptions, queue <-chan fetch, done func(Transfer)) {
	conn := c.newWorkerConn(ctx, server, lost, opts.Retries)
	defer conn.close()
	var broken again[fetch]
	for f := range broken.each(queue, conn.wg.Wait) {
		peer := c.cluster.Place(f.to)
		var o Object
		finish := func(err error) {
			switch {
			case err == nil:
				peers[peer].met.Store(true)
				f.size = uint64(o.Size)
			case f.exists == nil && !f.strict && (f.tries > 0 || opts.SkipExisting || opts.confirm) && errors.Is(toError("", err), ErrExists):
				f.exists = c.opError(ctx, "copy", Scheme+f.name, server, err)
				broken.add(f)
				return
			case f.tries < opts.Retries && (broke(err) || isAway(err)) && ctx.Err() == nil:
				f.tries++
				if f.away = nil; isAway(err) {
					f.away = err
				}
				broken.add(f)
				return
			case isAway(err):
				peers[peer].set(err)
			}
			done(f.transfer(c.opError(ctx, "copy", Scheme+f.name, server, err)))
		}
		if f.exists != nil {
			done(c.settleCopy(ctx, &f, opts))
			continue
		}
		err := peers[peer].get()
		if err == nil && f.away != nil && !c.awaitServer(ctx, peer, peers[peer].met.Load()) {
			err = f.away
		}
		if err != nil {
			f.tries = opts.Retries // it was waited for
			finish(err)
			continue
		}
		p, err := conn.pipeline()
		if err != nil {
			finish(err)
			continue
		}
		conn.do(p, c.copyRequest(f.name, f.to, &o, opts.Moved), finish)
	}
}

// isAway reports whether err says that a server has lost another one, or cannot reach it.
func isAway(err error) bool {
	var we *wire.Error
	return errors.As(err, &we) && we.Code == wire.CodeUnavailable && we.Server != ""
}

// awaitServer waits for a server, a moment at least, and reports whether it is there. One
// that has not been met, as there was no connection to it before, must be there at once.
func (c *Client) awaitServer(ctx context.Context, server int, met bool) bool {
	if !met {
		p, err := c.pipeline(ctx, server, false)
		if err != nil {
			return false
		}
		c.data.Put(server, p)
	}
	p, err := c.reconnect(ctx, server)
	if err == nil {
		c.data.Put(server, p)
	}
	return err == nil
}

// settleCopy returns the outcome for a copy that was refused since the key exists. If it
// has the size and xxh64 of the source, a copy whose answer was lost has succeeded.
func (c *Client) settleCopy(ctx context.Context, f *fetch, opts *CopyOptions) Transfer {
	src, err := c.Stat(ctx, Scheme+f.name)
	var dst Object
	if err == nil {
		dst, err = c.Stat(ctx, Scheme+f.to)
	}
	t := f.transfer(err)
	switch t.Size = src.Size; {
	case err != nil:
	case opts.SkipExisting && src.Size != dst.Size:
		t.Err = errExistsOther(Scheme+f.to, dst.Size, src.Size)
	case opts.SkipExisting:
		t.Skip, t.Same = true, true
	case src.Size != dst.Size || src.XXH64 != dst.XXH64:
		t.Err = f.exists
	}
	return t
}
