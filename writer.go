package s4

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Writer writes a new key. It is an io.WriteCloser for one goroutine at a time;
// Abort may be called from any. Its errors are *Error.
//
// Either Close or Abort must be called, and none of the Writer's goroutines is left
// when that returns.
type Writer struct {
	key    string
	in     *io.PipeWriter
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the request is over
	err    error         // its outcome; set before done is closed
}

var (
	_ io.WriteCloser = (*Writer)(nil)

	errAborted      error = wire.Errorf(wire.CodeCanceled, "aborted")
	errWriterClosed       = errors.New("the writer is closed")
)

// Create begins to write a new key of any size, as Put does. It does not wait for
// the server: what that says, such as ErrExists, is the error of a later Write, or
// of Close. When ctx ends before Close has returned, the key is given up.
func (c *Client) Create(ctx context.Context, key string) (*Writer, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return nil, usage("put", key, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	out, in := io.Pipe()
	w := &Writer{key: key, in: in, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer cancel(nil)
		w.err = c.create(ctx, key, name, out)
		_ = out.CloseWithError(w.failure())
	}()
	return w, nil
}

// create writes a key from out. When ctx ends, or the server refuses the key, out
// is closed, so that nothing waits for what is not written any more.
func (c *Client) create(ctx context.Context, key, name string, out *io.PipeReader) error {
	server := c.cluster.Place(name)
	stop := context.AfterFunc(ctx, func() { _ = out.CloseWithError(c.opError(ctx, "put", key, server, context.Cause(ctx))) })
	defer stop()
	r := c.putRequest(name, xfer.Source{R: out, Size: -1}, new(int64))
	var refusal error
	recv := r.Recv
	r.Recv = func(conn *xfer.Conn, tag uint16) error {
		err := recv(conn, tag)
		if err != nil {
			refusal = err
			_ = out.CloseWithError(c.opError(ctx, "put", key, server, err))
		}
		return err
	}
	err := c.request(ctx, server, 0, r)
	if err != nil && refusal != nil {
		err = refusal // what Send says then is that out is closed
	}
	return c.opError(ctx, "put", key, server, err)
}

// failure is what Write returns after the request is over.
func (w *Writer) failure() error {
	if w.err != nil {
		return w.err
	}
	return &Error{Op: "put", Key: w.key, Kind: ErrBadRequest, Text: errWriterClosed.Error(), Err: fs.ErrClosed}
}

// Write writes p. After an error, which may be about what was written before, there
// will be no such key.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.in.Write(p)
	if err == io.ErrClosedPipe {
		<-w.done
		err = w.failure()
	}
	return n, err
}

// Close ends the key and waits until the server has it. When it returns nil, the
// key is whole and every later read and list sees it; see Put for when it does not.
// A second Close returns the same.
func (w *Writer) Close() error {
	_ = w.in.Close() // never fails
	<-w.done
	return w.err
}

// Abort gives the key up: it does not appear. After Close it does nothing.
func (w *Writer) Abort() {
	w.cancel(errAborted)
	<-w.done
}
