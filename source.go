package s4

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/nathants/s4/xfer"
)

// openForPut opens the local file at path that becomes key, unless ctx ends first. The
// caller closes it.
func (c *Client) openForPut(ctx context.Context, path, key string) (localFile, error) {
	src, err := await(ctx, func() (localFile, error) { return openLocalFile(path) }, func(f localFile) { f.Close() })
	if err != nil && ctx.Err() != nil {
		return localFile{}, c.opError(ctx, "put", key, -1, err)
	}
	if err != nil {
		return localFile{}, &Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	return src, nil
}

// localFile is a local file that is open for upload.
type localFile struct {
	*os.File
	size  int64        // -1 if it must be read to know
	check func() error // fails if the file has changed; nil if it is not a regular file
	info  os.FileInfo
}

func (f localFile) source(moved *atomic.Int64) xfer.Source {
	return xfer.Source{R: f.File, Size: f.size, Check: f.check, Moved: moved}
}

// openLocalFile opens a local file for upload. The size of a pipe or device is not
// known. Neither is that of a regular file that reports 0: files in /proc do so and
// have content.
func openLocalFile(path string) (localFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return localFile{}, err
	}
	return newLocalFile(f)
}

// openFoundFile is openLocalFile for a file that was found to be a regular one.
func openFoundFile(path string) (localFile, error) {
	f, err := xfer.OpenRegular(path)
	if err != nil {
		return localFile{}, err
	}
	return newLocalFile(f)
}

// newLocalFile looks at a file, and closes it if it is none to upload.
func newLocalFile(f *os.File) (localFile, error) {
	fi, err := f.Stat()
	if err == nil && fi.IsDir() {
		err = &os.PathError{Op: "open", Path: f.Name(), Err: errIsDir}
	}
	if err != nil {
		f.Close()
		return localFile{}, err
	}
	src := localFile{File: f, size: fi.Size(), check: unchanged(f, fi), info: fi}
	if !fi.Mode().IsRegular() || fi.Size() == 0 {
		src.size = -1
	}
	return src, nil
}

// unchanged returns a function that fails if the regular file f is no longer what was
// says. What was read of it may then be of two versions. If f is not a regular file,
// unchanged returns nil. A call of the function costs one fstat(2).
func unchanged(f *os.File, was os.FileInfo) func() error {
	if !was.Mode().IsRegular() {
		return nil
	}
	return func() error {
		now, err := f.Stat()
		switch {
		case err != nil:
			return err
		case now.Size() != was.Size():
			return fmt.Errorf("%s: it changed while it was read, from %d to %d bytes (one that is still written to can be copied as a stream, from stdin)", f.Name(), was.Size(), now.Size())
		case was.Size() > 0 && !now.ModTime().Equal(was.ModTime()): // a file in /proc may have a new time at each stat
			return fmt.Errorf("%s: it changed while it was read", f.Name())
		}
		return nil
	}
}

// await runs open, which may block: open(2) of a named pipe waits for the other end. If
// ctx ends first, await returns at once, and undo is called with what open returns later.
func await[T any](ctx context.Context, open func() (T, error), undo func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := open()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			undo(r.v)
		}
	}()
	var none T
	return none, context.Cause(ctx)
}

// endWait is how long Put waits for a reader to end after its last byte. After that, it
// takes the reader as ended: a pipe may stay open.
const endWait = time.Second

// checkEnd returns nil if r, of which size bytes have been read, has no more. After
// endWait it no longer waits for the Read of r.
func checkEnd(r io.Reader, size int64) error {
	result := make(chan error, 1)
	go func() {
		var more [1]byte
		_, err := io.ReadFull(r, more[:])
		result <- err
	}()
	wait := time.NewTimer(endWait)
	defer wait.Stop()
	select {
	case err := <-result:
		switch err {
		case io.EOF:
			return nil
		case nil:
			return fmt.Errorf("the source has more than %d bytes", size)
		}
		return err
	case <-wait.C:
		return nil
	}
}
