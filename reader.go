package s4

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// Reader reads a key. It is an io.ReadSeekCloser and an io.WriterTo, for one goroutine at
// a time. Its errors are *Error.
//
// A Reader that reads a key from the first byte to the last compares the bytes with the
// checksum that is stored with the key. If they differ, the last Read returns ErrChecksum
// in place of the last bytes: whoever reads to the end does not take damaged data for
// good. After a Seek, the bytes are checked only for damage on their way from the server.
type Reader struct {
	c      *Client
	ctx    context.Context // that of Open, for all that the Reader does
	key    string
	name   string
	server int
	head   wire.Object
	off    int64 // offset of the next byte to read
	body   *body // the answer that is being read, or nil
	err    error // of the last Read; nil after a Seek
	closed bool
}

var (
	_ io.ReadSeekCloser = (*Reader)(nil)
	_ io.WriterTo       = (*Reader)(nil)
)

// Open opens a key for reading, or fails with ErrNotFound. The caller closes the Reader.
// When ctx ends, the Reader's connection is closed, and reads fail with ErrCanceled and
// the context's cause. There is no limit on the time between two reads.
func (c *Client) Open(ctx context.Context, key string) (*Reader, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return nil, usage("get", key, err)
	}
	r := &Reader{c: c, ctx: ctx, key: key, name: name, server: c.cluster.Place(name)}
	if r.body, err = c.openBody(ctx, r.server, name, 0); err != nil {
		return nil, r.opError(err)
	}
	r.head = r.body.head
	return r, nil
}

// Object returns the size, time and checksum of the key.
func (r *Reader) Object() Object { return toObject(&r.head) }

// Read reads up to len(p) bytes, and returns io.EOF at the end of the key.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.prepare(); err != nil || len(p) == 0 {
		return 0, err
	}
	if r.body == nil {
		return 0, io.EOF
	}
	n, err := r.body.read(p)
	r.off += int64(n)
	if r.body.atEnd {
		r.closeBody() // so that the connection can be used for other requests
	}
	return n, r.fail(err)
}

// WriteTo writes the rest of the key to w. It returns an error of w wrapped in an *Error.
// If the rest is the whole key, it is compared only after it has been written: after
// ErrChecksum, w has damaged bytes.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	err := r.prepare()
	if err == io.EOF || err == nil && r.body == nil {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := r.body.writeTo(w)
	r.off += n
	if r.body.atEnd {
		r.closeBody()
	}
	return n, r.fail(damagedOutput(err))
}

// Seek sets where the next Read begins. That Read asks the server for the rest of the key
// from there on. An offset after the end is allowed: the next Read returns io.EOF.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	if r.closed {
		return 0, r.closedError()
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += int64(r.head.Size)
	default:
		return 0, usage("get", r.key, errors.New("seek: there is no such whence"))
	}
	if offset < 0 {
		return 0, usage("get", r.key, errors.New("seek: the offset is before the first byte"))
	}
	if offset != r.off {
		r.off, r.err = offset, nil
	}
	return offset, nil
}

// Close closes the Reader. If much of the key is unread, Close also closes the
// connection, and does not wait for the rest.
func (r *Reader) Close() error {
	if r.closed {
		return r.closedError()
	}
	r.closed = true
	r.closeBody()
	return nil
}

// prepare makes r.body the answer that continues at r.off, or nil at the end of the key.
func (r *Reader) prepare() error {
	switch size := int64(r.head.Size); {
	case r.closed:
		return r.closedError()
	case r.err != nil:
		return r.err
	case r.body != nil && r.body.offset == r.off:
		return nil
	case r.body != nil && r.body.offset < r.off && r.off <= size && r.off-r.body.offset <= maxDrain:
		// Faster than a new request, and the key is still checked as a whole.
		return r.fail(r.body.discard(r.off - r.body.offset))
	case r.off >= size:
		r.closeBody()
		return nil
	}
	r.closeBody()
	b, err := r.c.openBody(r.ctx, r.server, r.name, r.off)
	if err != nil {
		return r.fail(err)
	}
	r.body = b
	if b.head != r.head {
		return r.fail(wire.Errorf(wire.CodeNotFound, "what was opened is gone, another key has its name now"))
	}
	return r.fail(b.discard(r.off - b.offset))
}

// fail closes the body after an error, and returns and keeps the error, as an *Error. It
// does nothing if err is nil.
func (r *Reader) fail(err error) error {
	if err == nil {
		return nil
	}
	r.closeBody()
	if err != io.EOF {
		err = r.opError(err)
	}
	r.err = err
	return err
}

func (r *Reader) closeBody() {
	if r.body != nil {
		r.body.close()
		r.body = nil
	}
}

func (r *Reader) opError(err error) error { return r.c.opError(r.ctx, "get", r.key, r.server, err) }

func (r *Reader) closedError() error {
	return &Error{Op: "get", Key: r.key, Kind: ErrBadRequest, Text: "the reader is closed", Err: fs.ErrClosed}
}
