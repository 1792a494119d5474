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

	"github.com/nathants/s4/xfer"

	"github.com/nathants/s4/names"
)

// SplitOptions say where PutSplit cuts.
type SplitOptions struct {
	// Size is how many bytes a part has at least, but for the last: it ends
	// with the first line that ends at or after so many. At least 1. The
	// repeated first line does not count.
	Size int64
	// Header repeats the first line of the input at the start of every part.
	Header bool
}

// maxHeader is the longest first line that is repeated. It is the one line
// that is kept in memory.
const maxHeader = 1 << 20

// PutSplit cuts all that r yields at line ends and writes each part as a new
// key: for the key s4://b/dir/name, s4://b/dir/00000_name, …/00001_name and so
// on, which go to one server after the other; for s4://b/dir/ or a bucket,
// 00000, 00001 and so on below it. A line ends with a newline; the last may
// have none. No byte is changed, and an input without any makes no part.
//
// The parts are written one after the other as r yields them, in memory that
// depends neither on the size of a part nor on the length of a line. report is
// called for every part, by one goroutine at a time: Path is empty and Size
// counts the repeated line. The first part that fails, be it because r does,
// is the last; those before it stay. The error is not about single parts: key
// or opts are no good, or ctx has ended. If it ends while r blocks, PutSplit
// returns and r is read no further once that read ends.
func (c *Client) PutSplit(ctx context.Context, r io.Reader, key string, opts SplitOptions, report func(Transfer)) error {
	if err := checkSplit(key, opts); err != nil {
		return usage("put", key, err)
	}
	return c.putParts(ctx, newStreamCutter(r, opts), 1, "", key, nil, report)
}

// PutSplitFile is PutSplit for the local file at path, cut at the same places.
// The parts of a regular file are written in parallel over all servers; if one
// fails, those under way are finished and no other is begun. Transfer has its
// Path. A file that changes while it is read fails the parts that end after that.
// The error may also be that the file cannot be opened.
func (c *Client) PutSplitFile(ctx context.Context, path, key string, opts SplitOptions, report func(Transfer)) error {
	if err := checkSplit(key, opts); err != nil {
		return usage("put", key, err)
	}
	src, err := c.openSource(ctx, path, key)
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

// partKey returns the key of part number i of what would be key if it were not
// cut; see PutSplit.
func partKey(key string, i int) string {
	if !strings.Contains(strings.TrimPrefix(key, Scheme), "/") {
		key += "/" // a bucket
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
	// next returns the next part, or io.EOF behind the last. A part that is
	// not of a file must be read to its end before the next call.
	next() (part, error)
}

// part is what becomes one key.
type part struct {
	io.Reader
	size int64 // or -1 if it must be read to know
}

// putParts writes the parts that cut finds with so many workers. A part goes
// to whichever worker is free, and not to one of its server: as the numbers
// spread them evenly, all servers are busy all the same. check, if not nil, is
// called at the end of each part.
func (c *Client) putParts(ctx context.Context, cut cutter, workers int, path, key string, check func() error, report func(Transfer)) error {
	var (
		mu   sync.Mutex // held while cut or report runs
		n    int        // the next part
		over bool       // there is none, or a part has failed
	)
	work := func() {
		mu.Lock()
		defer mu.Unlock()
		for !over {
			// next may block for as long as the input pauses.
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

// readHeader reads the first line, which may be all there is.
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

// cutBuffer is how much is read at once in search of a line end.
const cutBuffer = 64 << 10

// streamCutter cuts a stream as it passes.
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
	left int64 // bytes to go to where the first line end is the part's
	done bool
}

func (s *streamPart) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	if s.left > 1 { // a newline that is the last of left is the end
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

// stickyReader does not read on after an error: a terminal would yield more
// after its end.
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

// fileCutter cuts the first size bytes of a file. It reads little more than
// what is around the cuts, and its parts can be read in any order, at once.
type fileCutter struct {
	f      io.ReaderAt
	size   int64
	opts   SplitOptions
	begun  bool
	header []byte
	off    int64  // where the next part begins
	buf    []byte // of lineEnd
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

// lineEnd returns the offset behind the first newline at off or after it, or
// the file's size.
func (f *fileCutter) lineEnd(off int64) (int64, error) {
	if f.buf == nil {
		f.buf = make([]byte, cutBuffer)
	}
	// Most lines are short. Few are so long that it takes another read.
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
