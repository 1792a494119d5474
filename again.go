package s4

import (
	"context"
	"errors"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// reconnectTime is how long a copy waits for a server that it was connected to, before
// each new try: a server that is started again takes a second or a few.
const reconnectTime = 10 * time.Second

// broke reports whether err means that the connection failed in mid transfer, so that
// another try may succeed. That no connection could be made is another error: the copy
// then has not begun.
func broke(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		e = toError("", err)
	}
	switch e.Kind {
	case ErrTimeout, wire.CodeShuttingDown:
		return true
	case ErrUnavailable:
		return e.Err != nil // of this process: what Dial and servers say has none
	}
	return false
}

// reconnect returns a data pipeline to a server that was connected before. It waits for
// the server for a while, a moment at least.
func (c *Client) reconnect(ctx context.Context, server int) (*xfer.Pipeline, error) {
	var last error
	for b := xfer.NewBackoff(reconnectTime); b.Wait(ctx); {
		p, err := c.pipeline(ctx, server, false)
		if err == nil || !broke(err) && toError("", err).Kind != ErrUnavailable {
			return p, err
		}
		last = err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !isLost(last) {
		last = wire.Errorf(wire.CodeUnavailable, "the connection was lost, and no other could be made within %v", reconnectTime)
	}
	return nil, last
}

// tryAgain calls transfer, and up to retries times more while the connection to the
// server breaks.
func (c *Client) tryAgain(ctx context.Context, op, key string, server, retries int, transfer func(try int) error) error {
	err := transfer(0)
	for try := 1; try <= retries && broke(err) && ctx.Err() == nil; try++ {
		p, cerr := c.reconnect(ctx, server)
		if cerr != nil {
			return c.opError(ctx, op, key, server, cerr)
		}
		c.data.Put(server, p) // for transfer to take
		err = transfer(try)
	}
	return err
}

// putFileAgain is putFile with more tries for a regular file.
func (c *Client) putFileAgain(ctx context.Context, path, key string, opts *CopyOptions) (int64, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return 0, usage("put", key, err)
	}
	retries := opts.Retries
	if retries > 0 && !isRegular(path) {
		retries = 0
	}
	var size int64
	err = c.tryAgain(ctx, "put", key, c.cluster.Place(name), retries, func(try int) (err error) {
		size, err = c.putFile(ctx, path, key, opts.Moved)
		if try > 0 && errors.Is(err, ErrExists) {
			size, err = c.confirmPut(ctx, key, path, err)
		}
		return err
	})
	return size, err
}

// getFileAgain is GetFile with more tries, unless path is no regular file.
func (c *Client) getFileAgain(ctx context.Context, key, path string, opts *CopyOptions) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("get", key, err)
	}
	retries := opts.Retries
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		retries = 0 // it may have some of the bytes
	}
	var o Object
	err = c.tryAgain(ctx, "get", key, c.cluster.Place(name), retries, func(int) (err error) {
		o, err = c.getFile(ctx, key, path, opts.Moved)
		return err
	})
	return o, err
}

// confirmPut returns nil if key, which is said to exist, has the bytes of the local file:
// a put of it, whose answer was lost, has succeeded. Else it returns exists.
func (c *Client) confirmPut(ctx context.Context, key, path string, exists error) (int64, error) {
	o, err := c.Stat(ctx, key)
	if err != nil {
		return 0, err
	}
	size, sum, err := hashFile(path)
	if err != nil {
		return 0, &Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	if o.Size != size || o.XXH64 != sum {
		return 0, exists
	}
	return size, nil
}

// settle returns the outcome for a file whose put was refused since the key exists. That
// may be due to a put whose answer was lost, or to one of a copy before this one, which
// was interrupted and ended late.
func (c *Client) settle(ctx context.Context, u *upload, opts *CopyOptions) Transfer {
	t := Transfer{Key: Scheme + u.name, Path: u.path, info: u.info}
	if opts.SkipExisting {
		if same, ok, err := c.skipPutOf(ctx, u.path, t.Key); ok || err != nil {
			same.Err = err
			return same
		}
	}
	t.Size, t.Err = c.confirmPut(ctx, t.Key, u.path, u.exists)
	return t
}

// hashFile returns the size and xxh64 of a regular file.
func hashFile(path string) (int64, uint64, error) {
	f, err := xfer.OpenRegular(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size, sum, err := xfer.Hash(f)
	if check := unchanged(f, fi); err == nil && check != nil {
		err = check()
	}
	return size, sum, err
}

// isRegular reports whether path is a regular file, or a link to one.
func isRegular(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// again holds the transfers of one worker that broke and are to be tried again.
type again[T any] struct {
	mu   sync.Mutex
	list []T // guarded by mu
}

// add adds a transfer. It may be called by any goroutine.
func (a *again[T]) add(t T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, t)
}

func (a *again[T]) take() (t T, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) == 0 {
		return t, false
	}
	t, a.list = a.list[0], a.list[1:]
	return t, true
}

// each yields the transfers of queue and of a. When queue has ended, it calls wait, which
// waits for those in flight, as they may break, too.
func (a *again[T]) each(queue <-chan T, wait func()) iter.Seq[T] {
	next := func() (T, bool) {
		if t, ok := a.take(); ok {
			return t, true
		}
		if t, ok := <-queue; ok {
			return t, true
		}
		wait()
		return a.take()
	}
	return func(yield func(T) bool) {
		for {
			if t, ok := next(); !ok || !yield(t) {
				return
			}
		}
	}
}
