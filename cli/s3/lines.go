package s3

import (
	"bufio"
	"bytes"
	"context"
	"io"
)

// firstTail is how much is asked for at first to find the end of a part's last line.
const firstTail = 64 << 10

// lines writes the lines that begin from r.From on and before r.To: none if all of that is
// in the middle of a line. A line begins after a newline, so the byte before tells.
func (g *getter) lines(ctx context.Context, r *record, w io.Writer) error {
	last := r.To - 1 // a newline here ends the last line, as the next begins at To
	if r.To == r.Size {
		last = r.Size
	}
	s, err := g.stream(ctx, r, max(r.From-1, 0), last)
	if err != nil {
		return err
	}
	defer s.Close()
	s.sum = nil // it is a part, also if it is nearly all
	in := bufio.NewReaderSize(s, bodyBuffer)
	if r.From > 0 {
		for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; {
			_, err = in.ReadSlice('\n')
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if _, err := in.WriteTo(w); err != nil {
		return err
	}
	for size := int64(firstTail); last < r.Size; size = min(2*size, g.chunkSize) {
		tail, err := g.chunk(ctx, r, last, min(size, r.Size-last))
		if err != nil {
			return err
		}
		last += int64(len(tail))
		end := bytes.IndexByte(tail, '\n')
		if end >= 0 {
			tail = tail[:end+1]
		}
		if _, err := w.Write(tail); err != nil || end >= 0 {
			return err
		}
	}
	return nil
}
