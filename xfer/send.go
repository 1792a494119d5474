package xfer

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// ErrRefused is what a sender returns when refused reported true: the peer has
// answered before the stream's end, and its answer says why.
var ErrRefused = errors.New("refused by the peer")

// abort gives the stream up; c.wmu is held.
func (c *Conn) abort(tag uint16) error {
	c.wbuf = c.frame(c.wbuf[:0], tag, 0, wire.Empty{T: wire.TypeAbort})
	if err := c.send(c.wbuf, false); err != nil {
		return err
	}
	return ErrRefused
}

// Source is what SendStream sends.
type Source struct {
	R    io.Reader
	Size int64 // how many bytes R must yield, or -1 for all there are
	Pack Packing
	// Sum, if not nil, is what the trailer says instead of the xxh64 of the
	// bytes read: the checksum stored with them.
	Sum *uint64
	// Check, if not nil, is called when R has yielded all, before the trailer is
	// sent. Its error counts as one of R: the stream is given up.
	Check func() error
	// Moved, if not nil, counts the bytes as they are sent.
	Moved *atomic.Int64
}

// SourceError is an error of the reader that SendStream read from. The stream
// was given up with ABORT and the connection is usable.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }

// Unwrap returns the reader's error.
func (e *SourceError) Unwrap() error { return e.Err }

// SendStream sends head, everything src yields, hashed as it passes, and the
// trailer. While src blocks, the peer is pinged. It returns how many bytes it
// sent and their xxh64. An error is a *SourceError, ErrRefused, or breaks the
// connection.
//
// A chunk goes out in one write together with its frame header. The first chunk
// takes head along, and the last one the trailer, so a small object is one system
// call. Over loopback this is faster than sendfile, and the bytes hashed are the bytes
// sent, even if a file changes meanwhile.
func (c *Conn) SendStream(tag uint16, head wire.Message, headFlags byte, src Source, refused func() bool) (int64, uint64, error) {
	stop := c.KeepAlive(nil)
	defer stop()
	if src.Size < 0 {
		growPipe(src.R)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	var packer *packer
	defer func() {
		if packer != nil {
			putPacker(packer)
		}
	}()
	var digest xxhash.Digest
	digest.Reset()
	var total int64
	first := true
	if src.Size < 0 || src.Size > ChunkSize {
		// The source may pause before it yields anything: let the peer know
		// what comes, so that it waits for it.
		if err := c.Write(tag, headFlags, head); err != nil {
			return 0, 0, err
		}
		first = false
	}
	for {
		want := int64(ChunkSize)
		if src.Size >= 0 {
			want = min(want, src.Size-total)
		}
		n, err := fill(src.R, buf.space(int(want)))
		last := want < ChunkSize || n < ChunkSize
		if err == io.EOF {
			err = nil
			if src.Size >= 0 && total+int64(n) != src.Size {
				err = fmt.Errorf("ended after %d of %d bytes: it changed while it was read", total+int64(n), src.Size)
			}
		}
		if err == nil && last && src.Check != nil {
			err = src.Check()
		}
		if err == nil && refused != nil && total > 0 && refused() {
			err = ErrRefused
		}
		if err != nil {
			c.wmu.Lock()
			defer c.wmu.Unlock()
			if first {
				c.wbuf = c.frame(c.wbuf[:0], tag, headFlags, head)
				if werr := c.send(c.wbuf, true); werr != nil {
					return total, 0, werr
				}
			}
			if aerr := c.abort(tag); !errors.Is(aerr, ErrRefused) || errors.Is(err, ErrRefused) {
				return total, 0, aerr
			}
			return total, 0, &SourceError{err}
		}
		plain := buf.space(n)
		_, _ = digest.Write(plain)
		total += int64(n)

		// Build [head] header chunk [trailer] around the chunk where it lies.
		body, flags := plain, byte(0)
		from := buf
		if c.worthStream(src.Pack, n) {
			if packer == nil {
				packer = getPacker()
			}
			if b, ok := c.pack(src.Pack, packer, plain); ok {
				from, body, flags = &packer.out, b, wire.FlagLZ4
			}
		}
		front := buf.front[:0]
		if first {
			front = c.frame(front, tag, headFlags, head)
		}
		if n > 0 {
			front = wire.Header{Len: uint32(len(body)), Type: wire.TypeData, Flags: flags, Tag: tag}.Append(front)
		}
		start := frontRoom - len(front)
		copy(from.b[start:], front)
		out := from.b[start : frontRoom+len(body)]
		if last {
			sum := digest.Sum64()
			if src.Sum != nil {
				sum = *src.Sum
			}
			out = c.frame(out, tag, 0, &wire.Trailer{Length: uint64(total), Sum: sum})
		}
		c.wmu.Lock()
		err = c.send(out, false)
		c.wmu.Unlock()
		if err != nil {
			return total, 0, err
		}
		c.stats.Copied.Add(int64(n))
		if src.Moved != nil {
			src.Moved.Add(int64(n))
		}
		if last {
			return total, digest.Sum64(), nil
		}
		first = false
	}
}

// fill reads until p is full, or r ends with io.EOF. Unlike io.ReadFull it never makes
// an io.ErrUnexpectedEOF of its own. If r returns one, r's input was cut short, which
// is an error and not an end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) && err == io.EOF {
		err = nil // the next call, if there is one, gets it again
	}
	return n, err
}

// WriteData writes p, of at most wire.MaxData bytes, as one DATA or STDERR
// frame.
func (c *Conn) WriteData(tag uint16, t wire.Type, p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = wire.Header{Len: uint32(len(p)), Type: t, Tag: tag}.Append(c.wbuf[:0])
	if err := c.send(c.wbuf, len(p) > 0); err != nil {
		return err
	}
	return c.send(p, false)
}
