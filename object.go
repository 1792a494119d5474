package s4

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Object describes a key.
type Object struct {
	Size     int64
	Modified time.Time // when it was written
	XXH64    uint64    // checksum of its bytes
}

func toObject(m *wire.Object) Object {
	return Object{Size: int64(m.Size), Modified: time.Unix(0, m.Mtime), XXH64: m.Sum}
}

// Put writes a new key from r, which has size bytes. If size is -1, it reads r to its
// end. It fails with ErrExists if the key exists.
//
// When Put returns nil, the key is complete on its server, and every later read and list
// sees it. After an error there is no such key, with three exceptions: ErrUnavailable,
// ErrTimeout and ErrCanceled do not tell whether the server has received everything.
//
// A reader that has more or fewer than size bytes is an error. To find out, Put reads
// once more after the last byte. If that Read blocks for longer than a second, as in a
// pipe that stays open, Put takes r as ended. The Read may then still be under way when
// Put returns. To leave what follows in r unread, pass an io.LimitedReader.
//
// If ctx ends while r blocks, Put returns at once. The Read that blocks is the last.
func (c *Client) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	src := xfer.Source{R: r, Size: size}
	if size >= 0 {
		src.Check = func() error { return checkEnd(r, size) }
	}
	_, err := c.put(ctx, key, src)
	return err
}

// put writes a new key from src, and returns how many bytes there were.
func (c *Client) put(ctx context.Context, key string, src xfer.Source) (int64, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return 0, usage("put", key, err)
	}
	server := c.cluster.Place(name)
	var size int64
	err = c.request(ctx, server, mayBlock, c.putRequest(name, src, &size))
	if err != nil {
		return 0, c.opError(ctx, "put", key, server, err) // not size, which Send may still set
	}
	return size, nil
}

// putRequest returns the request that writes src as a key. Its Send sets size to the
// number of bytes. The caller sets Done.
func (c *Client) putRequest(name string, src xfer.Source, size *int64) xfer.Request {
	head := &wire.Put{Size: wire.SizeUnknown, Key: name}
	if src.Size >= 0 {
		head.Size = uint64(src.Size)
	}
	src.Pack = c.opts.Compress.packing()
	flags := c.opts.Compress.flags() & wire.FlagLZ4
	return xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			var err error
			*size, _, err = conn.SendStream(tag, head, flags, src, refused)
			return err
		},
		Recv: recvOK,
	}
}

// recvOK reads the answer to a request, which is OK or an ERROR.
func recvOK(conn *xfer.Conn, tag uint16) error {
	m, err := conn.ReadReply(tag)
	if err == nil && m.Type() != wire.TypeOK {
		conn.Close()
		return unexpected(m)
	}
	return err
}

// PutFile writes a new key from the local file at path; see Put. It fails if the file
// changes while it is read. For a file that may grow, use Put with size -1, which reads
// it to its end.
func (c *Client) PutFile(ctx context.Context, path, key string) error {
	_, err := c.putFile(ctx, path, key, nil)
	return err
}

// putFile is PutFile. It returns how many bytes there were. moved, if not nil, counts
// them as they are sent.
func (c *Client) putFile(ctx context.Context, path, key string, moved *atomic.Int64) (int64, error) {
	if _, err := names.ParseKey(key); err != nil {
		return 0, usage("put", key, err)
	}
	f, err := c.openForPut(ctx, path, key)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return c.put(ctx, key, f.source(moved))
}

// Get writes the bytes of a key to w and compares them with the checksum that is stored
// with the key. If Get fails, w may have some of the bytes; after ErrChecksum they are
// wrong. GetFile writes a file only if all bytes are right.
//
// If ctx ends while a Write blocks, Get waits for that Write, so that nothing is written
// to w after it has returned.
func (c *Client) Get(ctx context.Context, key string, w io.Writer) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("get", key, err)
	}
	server := c.cluster.Place(name)
	var o Object
	err = c.request(ctx, server, singleGet, c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		o = toObject(m)
		stop := conn.KeepAlive(nil) // a Write to w may block for hours
		defer stop()
		n, sum, err := conn.Recv(w, nil)
		return verifyObject(m, n, sum, err)
	}))
	if err != nil {
		return Object{}, c.opError(ctx, "get", key, server, damagedOutput(err))
	}
	return o, nil
}

// damagedOutput adds to a checksum error that the wrong bytes have been written. It is
// for gets that write before they can compare.
func damagedOutput(err error) error {
	var we *wire.Error
	if !errors.As(err, &we) || we.Code != wire.CodeChecksum {
		return err
	}
	told := *we
	told.Text = "what was written is damaged: " + we.Text
	return &told
}

// verifyObject compares the stream that Recv has read, and returns these results, with
// the head that came before it.
func verifyObject(head *wire.Object, n int64, sum uint64, err error) error {
	if err == nil && (uint64(n) != head.Size || sum != head.Sum) {
		err = wire.Errorf(wire.CodeChecksum, "%d bytes of xxh64 %016x came, %d of %016x were announced", n, sum, head.Size, head.Sum)
	}
	return err
}

// getRequest returns the request for a key. recv reads the stream that follows the
// OBJECT. The caller sets Done.
func (c *Client) getRequest(name string, recv func(*xfer.Conn, *wire.Object) error) xfer.Request {
	return xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, _ func() bool) error {
			return conn.Write(tag, c.opts.Compress.flags(), &wire.Get{Key: name})
		},
		Recv: func(conn *xfer.Conn, tag uint16) error {
			m, err := conn.ReadReply(tag)
			if err != nil {
				return err
			}
			o, ok := m.(*wire.Object)
			if !ok {
				conn.Close()
				return unexpected(m)
			}
			return recv(conn, o)
		},
	}
}

// GetFile copies a key to the local file at path, and replaces a file that is there.
// The file appears when it is complete and verified, or not at all.
func (c *Client) GetFile(ctx context.Context, key, path string) (Object, error) {
	return c.getFile(ctx, key, path, nil)
}

// getFile is GetFile. moved, if not nil, counts the bytes as they are written.
func (c *Client) getFile(ctx context.Context, key, path string, moved *atomic.Int64) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("get", key, err)
	}
	dst, err := await(ctx, func() (*target, error) { return openTarget(path) }, (*target).close)
	if err != nil && ctx.Err() != nil {
		return Object{}, c.opError(ctx, "get", key, -1, err)
	}
	if err != nil {
		return Object{}, &Error{Op: "get", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	defer dst.close()
	server := c.cluster.Place(name)
	kind := singleGet
	if dst.dev != nil {
		kind |= mayBlock
	}
	var o Object
	err = c.request(ctx, server, kind, c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		o = toObject(m)
		stop := conn.KeepAlive(nil)
		defer stop()
		return dst.receive(conn, m, moved)
	}))
	if dst.dev != nil {
		err = damagedOutput(err)
	}
	return o, c.opError(ctx, "get", key, server, err)
}

// Stat returns the size, time and checksum of a key, or ErrNotFound.
func (c *Client) Stat(ctx context.Context, key string) (Object, error) {
	l, err := c.stat(ctx, key, 0)
	return l.Object, err
}

// Location says what a key is, and where.
type Location struct {
	Object
	Server Server
	Path   string // of its file on the server's disk, empty if the server does not say
}

// Locate returns what a key is, and where, or ErrNotFound.
func (c *Client) Locate(ctx context.Context, key string) (Location, error) {
	return c.stat(ctx, key, wire.FlagPath)
}

func (c *Client) stat(ctx context.Context, key string, flags byte) (Location, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Location{}, usage("stat", key, err)
	}
	server := c.cluster.Place(name)
	l := Location{Server: c.cluster.Servers[server]}
	err = c.ask(ctx, server, flags, &wire.Stat{Key: name}, func(m wire.Message) (bool, error) {
		head, ok := m.(*wire.Object)
		if !ok {
			return true, unexpected(m)
		}
		l.Object, l.Path = toObject(head), head.Path
		return true, nil
	})
	return l, c.opError(ctx, "stat", key, server, err)
}
