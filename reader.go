package s4

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// Reader reads a key. It is an io.ReadSeekCloser and an io.WriterTo, for one
// goroutine at a time. Its errors are *Error.
//
// A Reader that has come from the first byte to the last, in one go, has checked
// them against the checksum stored with the key. If they differ, the last Read has
// ErrChecksum in place of the last bytes, so that nobody who reads to the end gets
// damaged ones for good. A part of the key, as after a Seek, is checked only for
// its way from the server.
type Reader struct {
	c      *Client
	ctx    context.Context // of Open, for the whole life of the Reader
	key    string
	name   string
	server int
	head   wire.Object
	off    int64 // of the next byte to read
	body   *body // what is being read, or nil
	err    error // of the last Read; nil after a Seek
	closed bool
}

var (
	_ io.ReadSeekCloser = (*Reader)(nil)
	_ io.WriterTo       = (*Reader)(nil)
)

// Open opens a key for reading, or fails with ErrNotFound. The caller closes the
// Reader. When ctx ends, so does the Reader: its connection is closed, and reads
// fail with ErrCanceled and the context's cause. A caller may take as much time
// between two reads as it likes.
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

// Object tells what the key is.
func (r *Reader) Object() Object { return toObject(&r.head) }

// Read reads up to len(p) bytes, and returns io.EOF at the end of the key.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.ready(); err != nil || len(p) == 0 {
		return 0, err
	}
	if r.body == nil {
		return 0, io.EOF
	}
	n, err := r.body.read(p)
	r.off += int64(n)
	if r.body.inStep {
		r.drop() // somebody else may have the connection
	}
	return n, r.ended(err)
}

// WriteTo writes the rest of the key to w. It returns the error of w wrapped in an
// *Error. If the rest is the whole key, what was written may be damaged after
// ErrChecksum.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	err := r.ready()
	if err == io.EOF || err == nil && r.body == nil {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := r.body.writeTo(w)
	r.off += n
	if r.body.inStep {
		r.drop()
	}
	return n, r.ended(passedOn(err))
}

// Seek sets where the next Read begins, which then asks the server for the rest of
// the key from there on. It may be beyond the end: the next Read returns io.EOF.
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

// Close ends the Reader. It does not wait for the rest of a large key: the
// connection is closed then, and otherwise used again.
func (r *Reader) Close() error {
	if r.closed {
		return r.closedError()
	}
	r.closed = true
	r.drop()
	return nil
}

// ready makes r.body what comes from r.off on, nil at the end of the key.
func (r *Reader) ready() error {
	switch size := int64(r.head.Size); {
	case r.closed:
		return r.closedError()
	case r.err != nil:
		return r.err
	case r.body != nil && r.body.at == r.off:
		return nil
	case r.body != nil && r.body.at < r.off && r.off <= size && r.off-r.body.at <= smallRest:
		// Sooner done than asked for, and the whole key is checked.
		return r.ended(r.body.skip(r.off - r.body.at))
	case r.off >= size:
		r.drop()
		return nil
	}
	r.drop()
	b, err := r.c.openBody(r.ctx, r.server, r.name, r.off)
	if err != nil {
		return r.ended(err)
	}
	r.body = b
	if b.head != r.head {
		return r.ended(wire.Errorf(wire.CodeNotFound, "what was opened is gone, another key has its name now"))
	}
	return r.ended(b.skip(r.off - b.at))
}

// ended takes in an error of the body, after which it is over.
func (r *Reader) ended(err error) error {
	if err == nil {
		return nil
	}
	r.drop()
	if err != io.EOF {
		err = r.opError(err)
	}
	r.err = err
	return err
}

func (r *Reader) drop() {
	if r.body != nil {
		r.body.close()
		r.body = nil
	}
}

func (r *Reader) opError(err error) error { return r.c.opError(r.ctx, "get", r.key, r.server, err) }

func (r *Reader) closedError() error {
	return &Error{Op: "get", Key: r.key, Kind: ErrBadRequest, Text: "the reader is closed", Err: fs.ErrClosed}
}
