package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sys/unix"
)

const (
	// rangeSize is how much of a large object one request asks for: so much that the time
	// between request and answer, some 20 ms with S3, is little beside the transfer.
	rangeSize = 16 << 20

	// chunkSize is that of a stream, which holds in memory what it has asked for.
	chunkSize = 4 << 20
)

// getter fetches objects. Its methods may be called by any goroutine.
type getter struct {
	c       *sdk.Client
	slots   chan struct{} // has an element for each GET under way
	buffers sync.Pool     // of *[]byte, of bodyBuffer

	rangeSize, chunkSize int64
}

func newGetter(c *sdk.Client, parallel int) *getter {
	return &getter{c: c, slots: make(chan struct{}, max(parallel, 1)), rangeSize: rangeSize, chunkSize: chunkSize,
		buffers: sync.Pool{New: func() any { b := make([]byte, bodyBuffer); return &b }}}
}

// errChanged is an object that is not what was listed any more.
var errChanged = errors.New("the object has changed since it was listed (import it again)")

// ifMatch makes a request fail if the object has changed.
func (r *record) ifMatch() *string {
	if r.ETag == "" {
		return nil
	}
	return &r.ETag
}

// fetch writes what r means to out. If out is a new and empty file, ranges are written
// to it in any order.
func (g *getter) fetch(ctx context.Context, r *record, out *os.File) error {
	switch {
	case r.Unpack != "":
		return g.unpack(ctx, r, out)
	case r.To > 0:
		return g.lines(ctx, r, out)
	case takesRanges(out):
		return g.toFile(ctx, r, out)
	}
	s, err := g.stream(ctx, r, 0, r.Size)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.WriteTo(out); err != nil {
		return err
	}
	return s.check()
}

func (g *getter) unpack(ctx context.Context, r *record, out io.Writer) error {
	if r.Size == 0 {
		return fmt.Errorf("--decompress %s: the object is empty", r.Unpack)
	}
	s, err := g.stream(ctx, r, 0, r.Size)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := unpackers[r.Unpack](out, s); err != nil {
		return fmt.Errorf("--decompress %s: %w", r.Unpack, err)
	}
	if _, err := io.Copy(io.Discard, s); err != nil { // what an unpacker has left
		return err
	}
	return s.check()
}

// takesRanges reports whether f is a file that is empty and can be written anywhere, and
// read to be hashed.
func takesRanges(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_APPEND != 0 || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode().IsRegular() && fi.Size() == 0
}

// toFile fetches all of an object, in ranges, to a file that is empty.
func (g *getter) toFile(ctx context.Context, r *record, f *os.File) error {
	// What is allocated at once is written faster. Not every file system can.
	if err := unix.Fallocate(int(f.Fd()), 0, 0, r.Size); r.Size > 0 && errors.Is(err, unix.ENOSPC) {
		return &os.PathError{Op: "write", Path: "standard output", Err: err}
	}
	if r.Size <= g.rangeSize {
		var sum *summer
		err := g.get(ctx, r, 0, r.Size, func(found facts) error {
			c, err := g.checksum(ctx, r, found)
			sum = c.summer()
			return err
		}, func(p []byte, off int64) error {
			_, _ = sum.Write(p)
			_, err := f.WriteAt(p, off)
			return err
		})
		if err != nil {
			return err
		}
		return sum.check()
	}
	c, err := g.head(ctx, r)
	if err != nil {
		return err
	}
	inOrder := c != nil && (c.crc == nil || c.part > 0)
	crcs := make([]uint64, (r.Size+g.rangeSize-1)/g.rangeSize)
	err = eachOf(ctx, len(crcs), cap(g.slots), func(ctx context.Context, i int) error {
		off := int64(i) * g.rangeSize
		return g.get(ctx, r, off, min(g.rangeSize, r.Size-off), nil, func(p []byte, off int64) error {
			if c != nil && !inOrder {
				crcs[i] = c.crc.update(crcs[i], p)
			}
			_, err := f.WriteAt(p, off)
			return err
		})
	})
	switch {
	case err != nil || c == nil:
		return err
	case inOrder:
		sum := c.summer()
		if _, err := io.CopyBuffer(sum, struct{ io.Reader }{io.NewSectionReader(f, 0, r.Size)}, make([]byte, bodyBuffer)); err != nil {
			return err
		}
		return sum.check()
	}
	var all uint64
	for i, crc := range crcs {
		all = c.crc.join(all, crc, min(g.rangeSize, r.Size-int64(i)*g.rangeSize))
	}
	return c.compare(c.crc.bytes(all))
}

// head asks what checksum the object has.
func (g *getter) head(ctx context.Context, r *record) (*checksum, error) {
	out, err := g.c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &r.Bucket, Key: &r.Key, IfMatch: r.ifMatch(), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return nil, err
	}
	if r.changed(out.ETag) || aws.ToInt64(out.ContentLength) != r.Size {
		return nil, errChanged
	}
	return g.checksum(ctx, r, factsOfHead(out))
}

// changed is for services that do not know If-Match.
func (r *record) changed(etag *string) bool {
	return r.ETag != "" && etag != nil && *etag != r.ETag
}

// get calls use for all bytes of a range, in order; off is where they are in the object.
// begin, if not nil, is called once before. Of a connection that breaks, it gets the rest
// by another. Errors of begin and use are returned at once.
func (g *getter) get(ctx context.Context, r *record, off, n int64, begin func(facts) error, use func(p []byte, off int64) error) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-g.slots }()
	end := off + n
	for attempt := 1; ; attempt++ {
		at := off
		err := g.getOnce(ctx, r, &off, end, &begin, use)
		var broken *brokenError
		if !errors.As(err, &broken) || ctx.Err() != nil || attempt == attempts {
			return err
		}
		if off > at {
			attempt = 1 // it gets on
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// brokenError is an answer that ended too early.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// getOnce sends one request, and moves off on.
func (g *getter) getOnce(ctx context.Context, r *record, off *int64, end int64, begin *func(facts) error, use func(p []byte, off int64) error) error {
	in := &sdk.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key, IfMatch: r.ifMatch()}
	if *off > 0 || end < r.Size {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", *off, end-1))
	}
	out, err := g.c.GetObject(ctx, in, askForChecksum)
	if err != nil {
		return err
	}
	defer out.Body.Close()
	switch got := aws.ToInt64(out.ContentLength); {
	case r.changed(out.ETag):
		return errChanged
	case got != end-*off && in.Range == nil:
		return errChanged
	case got != end-*off:
		return fmt.Errorf("S3 answered with %d bytes where %d were asked for", got, end-*off)
	}
	if *begin != nil {
		if err := (*begin)(factsOfGet(out)); err != nil {
			return err
		}
		*begin = nil
	}
	buf := g.buffers.Get().(*[]byte)
	defer g.buffers.Put(buf)
	for *off < end {
		p, err := out.Body.Read(*buf)
		if p > 0 {
			if err := use((*buf)[:p], *off); err != nil {
				return err
			}
			*off += int64(p)
		}
		if err == nil || *off == end && err == io.EOF {
			continue
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return &brokenError{fmt.Errorf("the connection broke after %d of %d bytes: %w", *off, r.Size, err)}
	}
	return nil
}

// askForChecksum has GET answer with the stored checksum, without that the SDK compares it
// with the body itself.
func askForChecksum(o *sdk.Options) {
	o.APIOptions = append(o.APIOptions, smithy.SetHeaderValue("X-Amz-Checksum-Mode", "ENABLED"))
}

// firstPause is how long is waited before a range is asked for again.
const firstPause = 200 * time.Millisecond

// pause waits before attempt+1.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(min(firstPause<<(attempt-1), longestPause)):
		return nil
	}
}

// eachOf calls f for 0 to n-1, with so many at once, and returns the first error, after
// which no other is begun.
func eachOf(ctx context.Context, n, atOnce int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu   sync.Mutex
		next int // guarded by mu
		wg   sync.WaitGroup
	)
	for range min(n, atOnce) {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
