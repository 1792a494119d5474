package xfer

import (
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// SinkError is an error of the writer that Recv wrote to: a full disk, say.
// The rest of the stream was read and dropped, and the connection is usable.
type SinkError struct{ Err error }

func (e *SinkError) Error() string { return e.Err.Error() }

// Unwrap returns the writer's error.
func (e *SinkError) Unwrap() error { return e.Err }

// PeerError is an ERROR that the peer has sent in place of the rest of a stream.
type PeerError struct{ Said *wire.Error }

func (e *PeerError) Error() string { return e.Said.Error() }

// Unwrap returns what the peer said.
func (e *PeerError) Unwrap() error { return e.Said }

// Recv receives a stream of DATA frames up to its trailer, writes the plain
// bytes to w and checks length and xxh64 against the trailer: when it returns
// no error, w got exactly the bytes the trailer vouches for. onSinkError, if
// not nil, is called once, at once, when w fails, to tell the sender early;
// Recv goes on to drop the rest, so that the connection stays in step.
//
// The bytes are copied through a pooled buffer of ChunkSize, and hashed there. That
// way the hash is of the bytes that came and not of those read back from disk. Other
// ways were no faster (bench/NOTES.md, Get). The buffer is small so that many
// connections at once need little memory.
//
// Errors: *wire.Error of kind checksum, or canceled if the sender gave up;
// *PeerError; *SinkError. Any other error has broken the connection.
func (c *Conn) Recv(w io.Writer, onSinkError func(error)) (int64, uint64, error) {
	buf := getBuffer()
	defer putBuffer(buf)
	var plain *buffer // for lz4 frames, if any come
	defer func() {
		if plain != nil {
			putBuffer(plain)
		}
	}()
	var (
		digest  xxhash.Digest
		total   int64
		sinkErr error
		badData error
	)
	digest.Reset()
	take := func(p []byte) {
		_, _ = digest.Write(p)
		total += int64(len(p))
		if sinkErr != nil {
			return
		}
		if _, err := w.Write(p); err != nil {
			sinkErr = &SinkError{err}
			if onSinkError != nil {
				onSinkError(err)
			}
		}
	}
	for {
		h, err := c.ReadHeader()
		if err != nil {
			if err == io.EOF {
				err = c.fail(io.ErrUnexpectedEOF)
			}
			return total, 0, err
		}
		switch h.Type {
		case wire.TypeData:
			if h.Flags&wire.FlagLZ4 == 0 {
				if err := c.recvPlain(int(h.Len), buf, take); err != nil {
					return total, 0, err
				}
				break
			}
			if h.Len > wire.MaxPacked {
				return total, 0, c.fail(wire.Errorf(wire.CodeTooLarge, "lz4 frame of %d bytes, at most %d", h.Len, wire.MaxPacked))
			}
			body := buf.space(int(h.Len))
			if err := c.readFull(body); err != nil {
				return total, 0, err
			}
			if plain == nil {
				plain = getBuffer()
			}
			p, err := unpack(body, plain.space(wire.MaxPacked))
			if err != nil {
				badData = err
			} else {
				take(p)
			}
		default:
			err := c.streamEnd(h, uint64(total), digest.Sum64())
			switch {
			case c.noReads.Load() || h.Type == wire.TypeError:
			case sinkErr != nil:
				err = sinkErr
			case badData != nil && h.Type == wire.TypeTrailer:
				err = badData
			}
			if err != nil {
				return total, 0, err
			}
			c.stats.Received.Add(total)
			return total, digest.Sum64(), nil
		}
	}
}

// streamEnd reads the frame h that ends a stream: any other than DATA. total and sum
// are the length and xxh64 of the bytes received. It returns nil if the frame is a
// TRAILER that states the same.
func (c *Conn) streamEnd(h wire.Header, total, sum uint64) error {
	switch h.Type {
	case wire.TypeTrailer, wire.TypeAbort, wire.TypeError:
	default:
		return c.fail(wire.Errorf(wire.CodeBadRequest, "a %s frame stands inside a stream", h.Type))
	}
	m, err := c.ReadMessage(h)
	if err != nil {
		return c.fail(err)
	}
	switch m := m.(type) {
	case *wire.Error:
		return &PeerError{m}
	case *wire.Trailer:
		switch {
		case m.Length != total:
			return wire.Errorf(wire.CodeChecksum, "got %d bytes, the sender counted %d", total, m.Length)
		case m.Sum != sum:
			return wire.Errorf(wire.CodeChecksum, "the bytes that came have xxh64 %016x, expected %016x", sum, m.Sum)
		}
		return nil
	}
	return wire.Errorf(wire.CodeCanceled, "the sender gave up after %d bytes", total)
}

// gathered is how many bytes a read waits for inside of a large body. Over loopback
// that is two segments: one is 64 KiB less its headers. More was no gain
// (bench/NOTES.md, Get).
const gathered = 64 << 10

// gatherMin is the size of a body from which on gather is worth its two system calls.
const gatherMin = 1 << 20

// pageSize is the size of a page of memory on most machines; the space of a buffer begins
// with one.
const pageSize = 4096

// recvPlain reads a DATA body of n bytes, piece by piece as it arrives.
func (c *Conn) recvPlain(n int, buf *buffer, take func([]byte)) error {
	s, gathers := c.tcp.(*blockingSocket)
	if gathers = gathers && n >= gatherMin; gathers {
		if err := s.gather(gathered); err != nil {
			return c.fail(err)
		}
	}
	for at := 0; n > 0; {
		// The bytes lie in memory as they do in the pages of the file that they come from,
		// if sendfile(2) has sent them, relative to the page: the kernel's copy takes half
		// the time of one that is shifted. What was read ahead has shifted what follows.
		skew := at % pageSize
		p := buf.space(min(skew+n, ChunkSize))[skew:]
		m, err := c.read(p)
		if m > 0 {
			take(p[:m])
			n -= m
			at += m
		}
		if err != nil && n > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return c.fail(err)
		}
		if gathers && n < 2*gathered {
			if err := s.gather(1); err != nil {
				return c.fail(err)
			}
			gathers = false
		}
	}
	return nil
}

// ReadBytes reads the body of a DATA or STDERR frame and writes it to w. An error of
// w is a *SinkError and breaks the connection: the rest of the stream has no taker.
func (c *Conn) ReadBytes(h wire.Header, w io.Writer) error {
	if h.Flags&wire.FlagLZ4 != 0 {
		return c.fail(wire.Errorf(wire.CodeBadRequest, "a packed %s frame stands where none belongs", h.Type))
	}
	buf := getBuffer()
	defer putBuffer(buf)
	var sinkErr error
	err := c.recvPlain(int(h.Len), buf, func(p []byte) {
		if sinkErr == nil {
			_, sinkErr = w.Write(p)
		}
	})
	if err == nil && sinkErr != nil {
		err = c.fail(&SinkError{sinkErr})
	}
	return err
}
