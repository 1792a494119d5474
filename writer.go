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
// The caller must call Close or Abort. When that returns, the Writer has no goroutine
// left.
type Writer struct {
	key    string
	in     *io.PipeWriter
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the request has ended
	err    error         // of the request; set before done is closed
}

var (
	_ io.WriteCloser = (*Writer)(nil)

	errAborted      error = wire.Errorf(wire.CodeCanceled, "aborted")
	errWriterClosed       = errors.New("the writer is closed")
)

// Create starts to write a new key of any size. It does not wait for the server: an error
// such as ErrExists is that of a later Write, or of Close. If ctx ends before Close has
// returned, the key is not written.
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

// create writes a key from out. When ctx ends, or the server refuses the key, it closes
// out, so that a Write under way returns.
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
		err = refusal // Send only reports that out is closed
	}
	return c.opError(ctx, "put", key, server, err)
}

// failure returns the error of a Write after the request has ended.
func (w *Writer) failure() error {
	if w.err != nil {
		return w.err
	}
	return &Error{Op: "put", Key: w.key, Kind: ErrBadRequest, Text: errWriterClosed.Error(), Err: fs.ErrClosed}
}

// Write writes p. An error may be about an earlier Write. After an error, the key is not
// written.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.in.Write(p)
	if err == io.ErrClosedPipe {
		<-w.done
		err = w.failure()
	}
	return n, err
}

// Close ends the key and waits for the server. When it returns nil, the key is complete,
// and every later read and list sees it. See Put for what an error means. A second Close
// returns the same.
func (w *Writer) Close() error {
	_ = w.in.Close() // never fails
	<-w.done
	return w.err
}

// Abort ends the Writer without writing the key. After Close it does nothing.
func (w *Writer) Abort() {
	w.cancel(errAborted)
	<-w.done
}
