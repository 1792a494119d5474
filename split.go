package s4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/xfer"
)

// SplitOptions say where PutSplit cuts its input.
type SplitOptions struct {
	// Size is the least number of bytes of a part; the last may have fewer. A part
	// ends with the first line that ends at or after Size bytes, not counting a
	// repeated first line. Size is at least 1.
	Size int64
	// Header says to repeat the first line of the input at the start of every part.
	Header bool
}

// maxHeader is the length of the longest first line that can be repeated, as it is kept
// in memory.
const maxHeader = 1 << 20

// PutSplit cuts the content of r at line ends, and writes each part as a new key. For the
// key s4://b/dir/name these are s4://b/dir/00000_name, s4://b/dir/00001_name and so on;
// for s4://b/dir/ or a bucket they are 00000, 00001 and so on below it. The numbers spread
// the parts evenly over the servers. A line ends with a newline; the last line may have
// none. The parts together are the input, byte for byte. An empty input has no parts.
//
// PutSplit writes one part after the other while it reads r. Memory use depends neither
// on the size of a part nor on the length of a line. report is called for every part, by
// one goroutine at a time, with an empty Path and a Size that includes the repeated line.
// A part that fails, also because r does, is the last. The parts before it stay. PutSplit
// itself fails if key or opts make no sense, or if ctx has ended. If ctx ends while r
// blocks, PutSplit returns at once, and the Read that blocks is the last.
func (c *Client) PutSplit(ctx context.Context, r io.Reader, key string, opts SplitOptions, report func(Transfer)) error {
	if err := checkSplit(key, opts); err != nil {
		return usage("put", key, err)
	}
	return c.putParts(ctx, newStreamCutter(r, opts), 1, "", key, nil, report)
}

// PutSplitFile is PutSplit for the local file at path, and cuts at the same places. The
// parts of a regular file are written in parallel; if one fails, those under way are
// finished, and no other is begun. A Transfer has the path of the file. If the file
// changes while it is read, the parts that end after that fail. PutSplitFile itself also
// fails if it cannot open the file.
func (c *Client) PutSplitFile(ctx context.Context, path, key string, opts SplitOptions, report func(Transfer)) error {
	if err := checkSplit(key, opts); err != nil {
		return usage("put", key, err)
	}
	src, err := c.openForPut(ctx, path, key)
	if err != nil {
		return err
	}
	defer src.Close()
	if src.size < 0 {
		return c.putParts(ctx, newStreamCutter(src.File, opts), 1, path, key, src.check, report)
	}
	cut := &fileCutter{f: src.File, size: src.size, opts: opts}
	return c.putParts(ctx, cut, connsPerServer*len(c.cluster.Servers), path, key, src.check, report)
}

func checkSplit(key string, opts SplitOptions) error {
	if opts.Size < 1 {
		return fmt.Errorf("a part has at least 1 byte, not %d", opts.Size)
	}
	_, err := names.ParseKey(partKey(key, 0))
	return err
}

// partKey returns the key of part i, where key is that of the whole; see PutSplit.
func partKey(key string, i int) string {
	if !strings.Contains(strings.TrimPrefix(key, Scheme), "/") {
		key += "/" // it is a bucket
	}
	name := names.Base(key)
	dir := strings.TrimSuffix(key, name)
	if name != "" {
		name = "_" + name
	}
	return fmt.Sprintf("%s%05d%s", dir, i, name)
}

// cutter finds the parts of an input, in order.
type cutter interface {
	// next returns the next part, or io.EOF after the last. A part of a stream must
	// be read to its end before the next call.
	next() (part, error)
}

// part is the content of one key.
type part struct {
	io.Reader
	size int64 // -1 if it must be read to know
}

// putParts writes the parts that cut finds, with this many workers. A part goes to any
// worker that is free. Workers need no server of their own: the numbers of the parts
// spread them evenly, so that all servers are busy. check, if not nil, is called at the
// end of each part.
func (c *Client) putParts(ctx context.Context, cut cutter, workers int, path, key string, check func() error, report func(Transfer)) error {
	var (
		mu   sync.Mutex // held while cut or report runs
		n    int        // the next part
		over bool       // there is no next part, or a part has failed
	)
	work := func() {
		mu.Lock()
		defer mu.Unlock()
		for !over {
			// next may block if the input is a pipe.
			p, err := await(ctx, cut.next, func(part) {})
			if err == io.EOF || ctx.Err() != nil {
				over = true
				return
			}
			t := Transfer{Key: partKey(key, n), Path: path}
			n++
			if err != nil {
				t.Err = &Error{Op: "put", Key: t.Key, Kind: ErrStorage, Text: err.Error(), Err: err}
			} else {
				mu.Unlock()
				t.Size, t.Err = c.put(ctx, t.Key, xfer.Source{R: p, Size: p.size, Check: check})
				mu.Lock()
			}
			over = over || t.Err != nil
			report(t)
		}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
	return c.opError(ctx, "put", key, -1, ctx.Err())
}

// readHeader reads the first line. It may be the only one, without a newline.
func readHeader(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		some, err := r.ReadSlice('\n')
		line = append(line, some...)
		switch {
		case len(line) > maxHeader:
			return nil, fmt.Errorf("the first line is longer than %d bytes, too long to repeat", maxHeader)
		case err == nil || err == io.EOF:
			return line, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// cutBuffer is how much is read at once to find a line end.
const cutBuffer = 64 << 10

// streamCutter cuts a stream while it is read.
type streamCutter struct {
	r      *bufio.Reader
	opts   SplitOptions
	begun  bool
	header []byte
}

func newStreamCutter(r io.Reader, opts SplitOptions) *streamCutter {
	return &streamCutter{r: bufio.NewReaderSize(&stickyReader{r: r}, cutBuffer), opts: opts}
}

func (s *streamCutter) next() (part, error) {
	if _, err := s.r.Peek(1); err != nil {
		return part{}, err
	}
	if s.opts.Header && !s.begun {
		var err error
		if s.header, err = readHeader(s.r); err != nil {
			return part{}, err
		}
	}
	s.begun = true
	body := &streamPart{r: s.r, left: s.opts.Size}
	return part{io.MultiReader(bytes.NewReader(s.header), body), -1}, nil
}

// streamPart reads from r to the end of one part.
type streamPart struct {
	r    *bufio.Reader
	left int64 // the part ends with the first newline at or after this many bytes
	done bool
}

func (s *streamPart) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	if s.left > 1 { // these bytes but the last cannot end the part
		n, err := s.r.Read(p[:min(int64(len(p)), s.left-1)])
		s.left -= int64(n)
		return n, err
	}
	if _, err := s.r.Peek(1); err != nil {
		return 0, err
	}
	here, _ := s.r.Peek(min(s.r.Buffered(), len(p)))
	if i := bytes.IndexByte(here, '\n'); i >= 0 {
		here, s.done = here[:i+1], true
	}
	n := copy(p, here)
	_, err := s.r.Discard(n)
	return n, err
}

// stickyReader does not read again after an error. A terminal may yield more after its
// end.
type stickyReader struct {
	r   io.Reader
	err error
}

func (s *stickyReader) Read(p []byte) (n int, err error) {
	if s.err == nil {
		n, s.err = s.r.Read(p)
	}
	return n, s.err
}

// fileCutter cuts the first size bytes of a file. It reads little except around the cuts.
// Its parts can be read in parallel.
type fileCutter struct {
	f      io.ReaderAt
	size   int64
	opts   SplitOptions
	begun  bool
	header []byte
	off    int64  // offset of the next part
	buf    []byte // used by lineEnd
}

func (f *fileCutter) next() (part, error) {
	if f.begun && f.off >= f.size {
		return part{}, io.EOF
	}
	if f.opts.Header && !f.begun {
		var err error
		if f.header, err = readHeader(bufio.NewReader(io.NewSectionReader(f.f, 0, f.size))); err != nil {
			return part{}, err
		}
		f.off = int64(len(f.header))
	}
	f.begun = true
	start, end := f.off, f.size
	if f.opts.Size < f.size-start {
		var err error
		if end, err = f.lineEnd(start + f.opts.Size - 1); err != nil {
			return part{}, err
		}
	}
	f.off = end
	body := io.NewSectionReader(f.f, start, end-start)
	return part{io.MultiReader(bytes.NewReader(f.header), body), int64(len(f.header)) + end - start}, nil
}

// lineEnd returns the offset after the first newline at or after off, or the file's size.
func (f *fileCutter) lineEnd(off int64) (int64, error) {
	if f.buf == nil {
		f.buf = make([]byte, cutBuffer)
	}
	// Most lines are short: read little first, and more only if that has no newline.
	for want := int64(4 << 10); off < f.size; want = cutBuffer {
		buf := f.buf[:min(want, f.size-off)]
		n, err := f.f.ReadAt(buf, off)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return off + int64(i) + 1, nil
		}
		if n < len(buf) {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("ended after %d of %d bytes: it changed while it was read", off+int64(n), f.size)
			}
			return 0, err
		}
		off += int64(n)
	}
	return f.size, nil
}
