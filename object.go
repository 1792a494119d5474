package s4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Object is what a key is.
type Object struct {
	Size     int64
	Modified time.Time // when it was written
	XXH64    uint64    // of its bytes
}

func toObject(m *wire.Object) Object {
	return Object{Size: int64(m.Size), Modified: time.Unix(0, m.Mtime), XXH64: m.Sum}
}

// Put writes a new key from r: size bytes, or all there are if size is -1.
// When it returns nil the key is whole on its server and every later read and
// list sees it. Otherwise there is no such key, unless the error is
// ErrUnavailable, ErrTimeout or ErrCanceled, which leave open whether the server
// still got it all. It fails with ErrExists if the key exists.
//
// A reader that has more or fewer than size bytes is an error. To know, Put reads
// once more after the last byte. A reader that then neither ends nor yields a byte
// within a second, as a pipe that stays open, counts as ended, and that Read may be
// under way when Put returns. Pass an io.LimitedReader where others read on from r.
//
// If ctx ends while r blocks, Put returns and r is read no further once that
// read ends.
func (c *Client) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	src := xfer.Source{R: r, Size: size}
	if size >= 0 {
		src.Check = func() error { return checkEnd(r, size) }
	}
	_, err := c.put(ctx, key, src)
	return err
}

// put is Put of a source.
func (c *Client) put(ctx context.Context, key string, src xfer.Source) (int64, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return 0, usage("put", key, err)
	}
	server := c.cluster.Place(name)
	var size int64
	err = c.request(ctx, server, mayBlock, c.putRequest(name, src, &size))
	if err != nil {
		return 0, c.opError(ctx, "put", key, server, err) // size may still be written
	}
	return size, nil
}

// putRequest makes the request that uploads src as a key, and sets size to how many
// bytes that was; Done is left to set.
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

// recvOK reads an OK or the *wire.Error in its place.
func recvOK(conn *xfer.Conn, tag uint16) error {
	m, err := conn.ReadReply(tag)
	if err == nil && m.Type() != wire.TypeOK {
		conn.Close()
		return unexpected(m)
	}
	return err
}

// PutFile writes a new key from the local file at path; see Put. A file that
// changes while it is read is an error, and there is no key: Put takes one that is
// meant to grow, up to where it ends.
func (c *Client) PutFile(ctx context.Context, path, key string) error {
	_, err := c.putFile(ctx, path, key)
	return err
}

// putFile is PutFile, and returns how many bytes there were.
func (c *Client) putFile(ctx context.Context, path, key string) (int64, error) {
	if _, err := names.ParseKey(key); err != nil {
		return 0, usage("put", key, err)
	}
	f, err := c.openSource(ctx, path, key)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return c.put(ctx, key, f.source())
}

// openSource opens the local file at path for key. The caller closes it.
func (c *Client) openSource(ctx context.Context, path, key string) (source, error) {
	src, err := await(ctx, func() (source, error) { return openSource(path) }, func(s source) { s.Close() })
	if err != nil && ctx.Err() != nil {
		return source{}, c.opError(ctx, "put", key, -1, err)
	}
	if err != nil {
		return source{}, &Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	return src, nil
}

// source is a local file open for upload.
type source struct {
	*os.File
	size  int64        // or -1 if it must be read to know
	check func() error // fails if it has changed since; nil for what is no regular file
}

func (s source) source() xfer.Source {
	return xfer.Source{R: s.File, Size: s.size, Check: s.check}
}

// openSource opens a local file for upload. What is no regular file has no
// known size, and what reports none may have some all the same, as the files
// in /proc do.
func openSource(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return source{}, err
	}
	fi, err := f.Stat()
	if err == nil && fi.IsDir() {
		err = &os.PathError{Op: "open", Path: path, Err: errIsDir}
	}
	if err != nil {
		f.Close()
		return source{}, err
	}
	src := source{File: f, size: fi.Size(), check: unchanged(f, fi)}
	if !fi.Mode().IsRegular() || fi.Size() == 0 {
		src.size = -1
	}
	return src, nil
}

// unchanged returns a function that fails if a regular file is not what it was:
// what was read of it may be a part of it then, or of two states. For anything else
// it returns nil. The cost is one fstat(2).
func unchanged(f *os.File, was os.FileInfo) func() error {
	if !was.Mode().IsRegular() {
		return nil
	}
	return func() error {
		now, err := f.Stat()
		switch {
		case err != nil:
			return err
		case now.Size() != was.Size():
			return fmt.Errorf("%s: it changed while it was read, from %d to %d bytes (one that is still written to can be copied as a stream, from stdin)", f.Name(), was.Size(), now.Size())
		case was.Size() > 0 && !now.ModTime().Equal(was.ModTime()): // files of /proc may have any time
			return fmt.Errorf("%s: it changed while it was read", f.Name())
		}
		return nil
	}
}

// await runs open, which may block for as long as a named pipe has nobody at
// its other end. If ctx ends first, await returns, and undo gets what open
// returns later.
func await[T any](ctx context.Context, open func() (T, error), undo func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := open()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			undo(r.v)
		}
	}()
	var none T
	return none, context.Cause(ctx)
}

// Get writes a key's bytes to w and checks them against the checksum stored
// with the key. If it fails, w may have got some bytes, and must not be
// trusted: with ErrChecksum, wrong ones. GetFile leaves no such doubt.
//
// Nothing is written to w once Get has returned: if ctx ends while a Write blocks,
// Get waits for that Write.
func (c *Client) Get(ctx context.Context, key string, w io.Writer) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("get", key, err)
	}
	server := c.cluster.Place(name)
	var o Object
	err = c.request(ctx, server, singleGet, c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		o = toObject(m)
		stop := conn.KeepAlive(nil) // w may block for hours
		defer stop()
		return checked(m)(conn.Recv(w, nil))
	}))
	if err != nil {
		return Object{}, c.opError(ctx, "get", key, server, passedOn(err))
	}
	return o, nil
}

// passedOn is the error of a get whose bytes have gone on to a reader, who may not
// trust them.
func passedOn(err error) error {
	var we *wire.Error
	if !errors.As(err, &we) || we.Code != wire.CodeChecksum {
		return err
	}
	told := *we
	told.Text = "what was written is damaged: " + we.Text
	return &told
}

// checked compares what Recv returns with the head that came before.
func checked(m *wire.Object) func(int64, uint64, error) error {
	return func(n int64, sum uint64, err error) error {
		if err == nil && (uint64(n) != m.Size || sum != m.Sum) {
			err = wire.Errorf(wire.CodeChecksum, "%d bytes of xxh64 %016x came, %d of %016x were announced", n, sum, m.Size, m.Sum)
		}
		return err
	}
}

// getRequest makes the request for a key; recv reads the stream that follows
// the OBJECT. Done is left to set.
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

// GetFile copies a key to the local file at path, replacing what is there.
// The file appears when it is whole and verified, or not at all.
func (c *Client) GetFile(ctx context.Context, key, path string) (Object, error) {
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
		return dst.receive(conn, m)
	}))
	if dst.dev != nil {
		err = passedOn(err)
	}
	return o, c.opError(ctx, "get", key, server, err)
}

// Stat tells what a key is, or ErrNotFound.
func (c *Client) Stat(ctx context.Context, key string) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("stat", key, err)
	}
	server := c.cluster.Place(name)
	var o Object
	err = c.ask(ctx, server, 0, &wire.Stat{Key: name}, func(m wire.Message) (bool, error) {
		head, ok := m.(*wire.Object)
		if !ok {
			return true, unexpected(m)
		}
		o = toObject(head)
		return true, nil
	})
	return o, c.opError(ctx, "stat", key, server, err)
}
