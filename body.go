package s4

import (
	"context"
	"io"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// body is the answer to one GET, of a key or the rest of one, for a reader that
// pulls. The pipeline's goroutine reads the head of it, and then waits until the
// body is closed: meanwhile the connection is the body's.
type body struct {
	c      *Client
	server int
	p      *xfer.Pipeline
	head   wire.Object
	conn   *xfer.Conn
	stream *xfer.Stream
	start  int64 // of the bytes that come
	at     int64 // of the next byte
	inStep bool  // the end has been read: the connection can go on

	ready   chan struct{} // closed when head and conn are there
	over    chan struct{} // closed when the body is
	done    chan error    // how the request ended
	quiet   func()        // ends the pings
	release func() bool   // parts with the context; false if that has ended
}

const (
	// smallRest is what is read and dropped rather than asked for anew, or left
	// together with its connection.
	smallRest = 1 << 20
	// dropTime is how long it may take to drop what is small.
	dropTime = time.Second
)

// openBody asks for a key from offset on. If the server knows no ranges, all of it
// comes, and body.at tells. The end of ctx closes the connection, and then nothing
// is left even if close is never called.
func (c *Client) openBody(ctx context.Context, server int, name string, offset int64) (*body, error) {
	c.singles.Add(1)
	p, err := c.pipe(ctx, server, true)
	if err != nil {
		c.singles.Add(-1)
		return nil, err
	}
	b := &body{c: c, server: server, p: p, ready: make(chan struct{}), over: make(chan struct{}), done: make(chan error, 1)}
	b.release = context.AfterFunc(ctx, func() { p.Close() })
	r := c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		b.head, b.conn = *m, conn
		close(b.ready)
		select {
		case <-b.over:
		case <-ctx.Done(): // the connection is closed: a read under way fails
		}
		return nil
	})
	r.Send = func(conn *xfer.Conn, tag uint16, _ func() bool) error {
		if conn.Features()&wire.FeatureRange != 0 {
			b.start, b.at = offset, offset
		}
		return conn.Write(tag, c.opts.Compress.flags(), &wire.Get{Key: name, Offset: uint64(b.start)})
	}
	r.Done = func(err error) { b.done <- err }
	p.Do(r)
	select {
	case <-b.ready:
	case err := <-b.done:
		b.giveBack()
		return nil, err
	}
	b.quiet = b.conn.KeepAlive(nil) // the caller may take hours
	b.stream = b.conn.Stream()
	return b, nil
}

// left returns how many bytes are still to come.
func (b *body) left() int64 { return int64(b.head.Size) - b.at }

// read reads some bytes, or returns io.EOF. Of the last ones, the check is part of
// the read: they come only if it says that they are right.
func (b *body) read(p []byte) (int, error) {
	if b.left() <= 0 {
		return 0, b.end()
	}
	n, err := b.stream.Read(p[:min(int64(len(p)), b.left())])
	b.at += int64(n)
	if err == nil && b.left() == 0 {
		err = b.end()
		if err == io.EOF {
			return n, nil // the next call says so
		}
		b.at -= int64(n)
		return 0, err
	}
	if err == io.EOF {
		err = b.compare() // it ended too early
	}
	if err != nil {
		b.inStep = b.stream.Ended()
	}
	return n, err
}

// end reads what follows the last byte, and returns io.EOF if all is as it should be.
func (b *body) end() error {
	if b.inStep {
		return io.EOF
	}
	var more [1]byte
	n, err := b.stream.Read(more[:])
	if n > 0 {
		return wire.Errorf(wire.CodeChecksum, "more than the %d bytes came that were announced", b.head.Size)
	}
	if err == io.EOF {
		err = b.compare()
	}
	b.inStep = b.stream.Ended()
	if err == nil {
		return io.EOF
	}
	return err
}

// compare compares what came with the head that came before.
func (b *body) compare() error {
	n, sum := b.stream.Sum()
	want := b.head
	if b.start > 0 {
		want.Size -= uint64(b.start)
		want.Sum = sum // the trailer has that of the part
	}
	return checked(&want)(n, sum, nil)
}

// skip reads n bytes and drops them.
func (b *body) skip(n int64) error {
	_, err := io.CopyN(io.Discard, readFunc(b.read), n)
	return err
}

// writeTo writes all that is left to w.
func (b *body) writeTo(w io.Writer) (int64, error) {
	count := countingWriter{w: w}
	if b.start > 0 || b.at > 0 || b.inStep {
		_, err := io.CopyBuffer(&count, readFunc(b.read), make([]byte, xfer.ChunkSize))
		if count.err != nil {
			err = &xfer.SinkError{Err: count.err}
		}
		return count.n, err
	}
	err := checked(&b.head)(b.conn.Recv(&count, func(error) {
		if int64(b.head.Size)-count.n > smallRest {
			b.conn.Close() // not all that for nothing
		}
	}))
	b.inStep = !b.conn.Broken()
	b.at = int64(b.head.Size)
	if count.err != nil {
		err = &xfer.SinkError{Err: count.err}
	}
	return count.n, err
}

// close ends the body and gives its connection back, if there is little to read
// until that can be used again.
func (b *body) close() {
	if !b.inStep && !b.conn.Broken() && b.left() <= smallRest {
		late := time.AfterFunc(dropTime, func() { b.conn.Close() })
		_, _ = io.Copy(io.Discard, b.stream) // why it failed matters to nobody
		late.Stop()
		b.inStep = b.stream.Ended()
	}
	if !b.inStep {
		b.conn.Close()
	}
	b.quiet()
	b.stream.Close()
	close(b.over)
	<-b.done
	b.giveBack()
}

// giveBack ends the use of the pipeline.
func (b *body) giveBack() {
	b.c.singles.Add(-1)
	if !b.release() {
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
