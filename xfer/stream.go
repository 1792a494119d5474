package xfer

import (
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// Stream is an io.Reader over a stream of DATA frames, where Recv writes to an
// io.Writer. It is used by one goroutine at a time, the one that may read from the
// connection. Close must be called.
type Stream struct {
	conn   *Conn
	digest xxhash.Digest
	total  int64
	left   int     // bytes of the frame under way
	buf    *buffer // a packed frame
	out    *buffer // the same frame, unpacked
	plain  []byte  // the part of out that was not read yet
	err    error   // io.EOF after a trailer that matches
}

// Stream returns the stream that comes next on c.
func (c *Conn) Stream() *Stream {
	s := &Stream{conn: c}
	s.digest.Reset()
	return s
}

// Read reads plain bytes. It returns io.EOF when the trailer has come and its
// length and checksum are those of all bytes read; other errors are those of Recv.
func (s *Stream) Read(p []byte) (int, error) {
	for s.err == nil && len(p) > 0 {
		switch {
		case len(s.plain) > 0:
			n := copy(p, s.plain)
			s.plain = s.plain[n:]
			return s.took(p[:n]), nil
		case s.left > 0:
			n, err := s.conn.read(p[:min(len(p), s.left)])
			s.left -= n
			if n > 0 {
				return s.took(p[:n]), nil // an error comes again at the next call
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			s.err = s.conn.fail(err)
		default:
			s.err = s.next()
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, s.err
}

func (s *Stream) took(p []byte) int {
	_, _ = s.digest.Write(p)
	s.total += int64(len(p))
	return len(p)
}

// next reads the next header, and a packed frame with it.
func (s *Stream) next() error {
	h, err := s.conn.ReadHeader()
	switch {
	case err == io.EOF:
		return s.conn.fail(io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case h.Type == wire.TypeData && h.Flags&wire.FlagLZ4 == 0:
		s.left = int(h.Len)
		return nil
	case h.Type == wire.TypeData:
		return s.unpack(h)
	}
	if err := s.conn.streamEnd(h, uint64(s.total), s.digest.Sum64()); err != nil {
		return err
	}
	s.conn.stats.Received.Add(s.total)
	return io.EOF
}

func (s *Stream) unpack(h wire.Header) error {
	if h.Len > wire.MaxPacked {
		return s.conn.fail(wire.Errorf(wire.CodeTooLarge, "lz4 frame of %d bytes, at most %d", h.Len, wire.MaxPacked))
	}
	if s.buf == nil {
		s.buf, s.out = getBuffer(), getBuffer()
	}
	body := s.buf.space(int(h.Len))
	if err := s.conn.readFull(body); err != nil {
		return err
	}
	plain, err := unpack(body, s.out.space(wire.MaxPacked))
	if err != nil {
		return s.conn.fail(err) // reading the rest would be in vain
	}
	s.plain = plain
	return nil
}

// Sum returns how many plain bytes have been read so far, and their xxh64.
func (s *Stream) Sum() (int64, uint64) { return s.total, s.digest.Sum64() }

// Ended reports whether the stream has been read to its end, so that the
// connection can go on.
func (s *Stream) Ended() bool { return s.err != nil && !s.conn.noReads.Load() }

// Close gives the stream's buffers back.
func (s *Stream) Close() {
	if s.buf != nil {
		putBuffer(s.buf)
		putBuffer(s.out)
		s.buf, s.out, s.plain = nil, nil, nil
	}
}
