package s4

import (
	"context"
	"io"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// body is the answer to one GET, of a whole key or the rest of one, as an io.Reader
// has it. The pipeline's goroutine reads its head and then waits until the body is
// closed. Until then, the connection belongs to the body.
type body struct {
	c      *Client
	server int
	p      *xfer.Pipeline
	head   wire.Object
	conn   *xfer.Conn
	stream *xfer.Stream
	start  int64 // offset in the key of the first byte that comes
	offset int64 // offset in the key of the next byte
	atEnd  bool  // the stream has been read to its end: the connection can be used again

	ready      chan struct{} // closed when head and conn are set
	closed     chan struct{} // closed by close
	done       chan error    // how the request ended
	stopPings  func()        // ends the pings
	stopCancel func() bool   // as context.AfterFunc returns it: false if ctx has ended
}

const (
	// maxDrain is how many bytes are read and dropped to keep a connection in use.
	// For more, a new connection is cheaper.
	maxDrain = 1 << 20
	// drainTimeout is how long that may take.
	drainTimeout = time.Second
)

// openBody asks for a key from offset on. A server without ranges sends the whole key,
// and body.offset is 0. When ctx ends, the connection is closed, so that nothing is left
// even if close is never called.
func (c *Client) openBody(ctx context.Context, server int, name string, offset int64) (*body, error) {
	c.singleGets.Add(1)
	p, err := c.pipeline(ctx, server, true)
	if err != nil {
		c.singleGets.Add(-1)
		return nil, err
	}
	b := &body{c: c, server: server, p: p, ready: make(chan struct{}), closed: make(chan struct{}), done: make(chan error, 1)}
	b.stopCancel = context.AfterFunc(ctx, func() { p.Close() })
	r := c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		b.head, b.conn = *m, conn
		close(b.ready)
		select {
		case <-b.closed:
		case <-ctx.Done(): // AfterFunc closes the connection, and a read under way fails
		}
		return nil
	})
	r.Send = func(conn *xfer.Conn, tag uint16, _ func() bool) error {
		if conn.Features()&wire.FeatureRange != 0 {
			b.start, b.offset = offset, offset
		}
		return conn.Write(tag, c.opts.Compress.flags(), &wire.Get{Key: name, Offset: uint64(b.start)})
	}
	r.Done = func(err error) { b.done <- err }
	p.Do(r)
	select {
	case <-b.ready:
	case err := <-b.done:
		b.putBack()
		return nil, err
	}
	b.stopPings = b.conn.KeepAlive(nil) // the caller may take hours between two reads
	b.stream = b.conn.Stream()
	return b, nil
}

// remaining returns how many bytes are still to come.
func (b *body) remaining() int64 { return int64(b.head.Size) - b.offset }

// read reads some bytes, or returns io.EOF. The last bytes are returned only if the
// checksum matches.
func (b *body) read(p []byte) (int, error) {
	if b.remaining() <= 0 {
		return 0, b.readEnd()
	}
	n, err := b.stream.Read(p[:min(int64(len(p)), b.remaining())])
	b.offset += int64(n)
	if err == nil && b.remaining() == 0 {
		err = b.readEnd()
		if err == io.EOF {
			return n, nil // the next call returns io.EOF
		}
		b.offset -= int64(n)
		return 0, err
	}
	if err == io.EOF {
		err = b.verify() // it ended too early
	}
	if err != nil {
		b.atEnd = b.stream.Ended()
	}
	return n, err
}

// readEnd reads what follows the last byte, and returns io.EOF if the stream is right.
func (b *body) readEnd() error {
	if b.atEnd {
		return io.EOF
	}
	var more [1]byte
	n, err := b.stream.Read(more[:])
	if n > 0 {
		return wire.Errorf(wire.CodeChecksum, "more than the %d bytes came that were announced", b.head.Size)
	}
	if err == io.EOF {
		err = b.verify()
	}
	b.atEnd = b.stream.Ended()
	if err == nil {
		return io.EOF
	}
	return err
}

// verify compares the stream with the head that came before it.
func (b *body) verify() error {
	n, sum := b.stream.Sum()
	want := b.head
	if b.start > 0 {
		want.Size -= uint64(b.start)
		want.Sum = sum // the head has that of the whole key; Stream has checked the part
	}
	return verifyObject(&want, n, sum, nil)
}

// discard reads n bytes and drops them.
func (b *body) discard(n int64) error {
	_, err := io.CopyN(io.Discard, readFunc(b.read), n)
	return err
}

// writeTo writes the rest to w.
func (b *body) writeTo(w io.Writer) (int64, error) {
	count := countingWriter{w: w}
	if b.start > 0 || b.offset > 0 || b.atEnd {
		_, err := io.CopyBuffer(&count, readFunc(b.read), make([]byte, xfer.ChunkSize))
		if count.err != nil {
			err = &xfer.SinkError{Err: count.err}
		}
		return count.n, err
	}
	n, sum, err := b.conn.Recv(&count, func(error) {
		if int64(b.head.Size)-count.n > maxDrain {
			b.conn.Close() // w has failed: the rest would come for nothing
		}
	})
	err = verifyObject(&b.head, n, sum, err)
	b.atEnd = !b.conn.Broken()
	b.offset = int64(b.head.Size)
	if count.err != nil {
		err = &xfer.SinkError{Err: count.err}
	}
	return count.n, err
}

// close ends the body. If little is left to read, it reads that and keeps the
// connection.
func (b *body) close() {
	if !b.atEnd && !b.conn.Broken() && b.remaining() <= maxDrain {
		late := time.AfterFunc(drainTimeout, func() { b.conn.Close() })
		_, _ = io.Copy(io.Discard, b.stream) // the caller has closed: no error matters
		late.Stop()
		b.atEnd = b.stream.Ended()
	}
	if !b.atEnd {
		b.conn.Close()
	}
	b.stopPings()
	b.stream.Close()
	close(b.closed)
	<-b.done
	b.putBack()
}

// putBack returns the pipeline to the pool, or closes it.
func (b *body) putBack() {
	b.c.singleGets.Add(-1)
	if !b.stopCancel() {
		b.p.Close()
		return
	}
	b.c.data.Put(b.server, b.p)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// countingWriter counts what it writes, and remembers why it could not.
type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	c.err = err
	return n, err
}
