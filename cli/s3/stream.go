package s3

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// stream reads a range of an object in order, and asks for what comes next meanwhile. The
// caller closes it.
type stream struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	chunks chan chan chunk // in order
	now    bytes.Reader    // of the chunk that is read
	left   int64           // bytes that were not taken from chunks yet
	err    error
	sum    *summer // nil for a part of an object
}

// chunk is a part of a stream, or why there is none.
type chunk struct {
	data []byte
	err  error
}

// stream opens bytes from to to of an object. If that is all of it, check compares it.
func (g *getter) stream(ctx context.Context, r *record, from, to int64) (*stream, error) {
	var sum *summer
	if from == 0 && to == r.Size {
		c, err := g.head(ctx, r)
		if err != nil {
			return nil, err
		}
		sum = c.summer()
	}
	ctx, cancel := context.WithCancel(ctx)
	// With one that is read, and one that waits to be put in, as many as there are slots.
	s := &stream{cancel: cancel, sum: sum, left: max(to-from, 0), chunks: make(chan chan chunk, max(cap(g.slots)-2, 0))}
	s.wg.Go(func() {
		defer close(s.chunks)
		for off := from; off < to; off += g.chunkSize {
			c := make(chan chunk, 1)
			select {
			case s.chunks <- c:
			case <-ctx.Done():
				return
			}
			s.wg.Go(func() {
				data, err := g.chunk(ctx, r, off, min(g.chunkSize, to-off))
				c <- chunk{data, err}
			})
		}
	})
	return s, nil
}

// chunk fetches a range to memory.
func (g *getter) chunk(ctx context.Context, r *record, off, n int64) ([]byte, error) {
	data := make([]byte, 0, n)
	err := g.get(ctx, r, off, n, nil, func(p []byte, _ int64) error {
		data = append(data, p...)
		return nil
	})
	return data, err
}

// Read reads the next bytes.
func (s *stream) Read(p []byte) (int, error) {
	for s.err == nil && s.now.Len() == 0 {
		s.next()
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.now.Read(p)
}

// WriteTo writes all that is left.
func (s *stream) WriteTo(w io.Writer) (n int64, err error) {
	for s.err == nil && err == nil {
		var m int64
		m, err = s.now.WriteTo(w)
		n += m
		if err == nil {
			s.next()
		}
	}
	if err == nil && s.err != io.EOF {
		err = s.err
	}
	return n, err
}

// next takes the next chunk, or sets err.
func (s *stream) next() {
	future, ok := <-s.chunks
	switch {
	case !ok && s.left == 0:
		s.err = io.EOF
		return
	case !ok: // the context has ended
		s.err = context.Canceled
		return
	}
	c := <-future
	if c.err != nil {
		s.err = c.err
		return
	}
	s.left -= int64(len(c.data))
	_, _ = s.sum.Write(c.data)
	s.now.Reset(c.data)
}

// check compares an object that was read to its end with what S3 has.
func (s *stream) check() error { return s.sum.check() }

// Close ends the requests that are under way.
func (s *stream) Close() error {
	s.cancel()
	s.wg.Wait()
	return nil
}
