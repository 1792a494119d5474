package s4

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"sync"
)

// comparison compares files with their keys, by their size and, with SyncOptions.Checksum,
// by their bytes, on all cores. It removes keys that are to be replaced, many at a time.
type comparison struct {
	s     *syncs
	put   func(name string, t Transfer, info func() (fs.FileInfo, error)) error // nil from keys to files
	slots chan struct{}                                                         // of files that are read
	wg    sync.WaitGroup

	old     chan string // keys to remove, or nil
	removed chan error  // how that ended, or nil

	mu      sync.Mutex
	changed map[string]change // by the keys in old; guarded by mu
	err     error             // the first that ends the sync; guarded by mu
}

// change is a file whose key is to be written anew.
type change struct {
	name string // the key without its scheme
	t    Transfer
	info func() (fs.FileInfo, error)
}

// newComparison returns a comparison. Its files that differ go to put, which may be called
// by many goroutines. The caller calls end.
func newComparison(s *syncs, put func(string, Transfer, func() (fs.FileInfo, error)) error) *comparison {
	return &comparison{s: s, put: put, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), changed: make(map[string]change)}
}

// fail takes note of an error that ends the sync.
func (c *comparison) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// same calls then when it is known whether the file at path, of that size, is what the key
// is: now, or in another goroutine if the file is to be read.
func (c *comparison) same(e Entry, path string, size int64, then func(same bool, err error) error) {
	if size != e.Size || !c.s.opts.Checksum {
		if err := then(size == e.Size, nil); err != nil {
			c.fail(err)
		}
		return
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.s.ctx.Done():
		c.fail(c.s.ctx.Err())
		return
	}
	c.wg.Go(func() {
		defer func() { <-c.slots }()
		size, sum, err := hashFile(path)
		if err = then(size == e.Size && sum == e.XXH64, err); err != nil {
			c.fail(err)
		}
	})
}

// file compares a file whose key exists, and calls p.done, or puts it.
func (c *comparison) file(p *puts, e Entry, t Transfer, info func() (fs.FileInfo, error)) {
	fi, err := info()
	if err != nil {
		t.Err = &Error{Op: "sync", Key: t.Key, Kind: ErrStorage, Text: err.Error(), Err: err}
		p.done(t)
		return
	}
	c.same(e, t.Path, fi.Size(), func(same bool, err error) error {
		switch {
		case err != nil:
			t.Err = &Error{Op: "sync", Key: t.Key, Kind: ErrStorage, Text: err.Error(), Err: err}
		case same:
			t.Size, t.Skip, t.Same = e.Size, true, true
		case !c.s.opts.DeleteChanged:
			t.Err = &Error{Op: "sync", Key: t.Key, Kind: ErrExists, Text: "the key differs from " + t.Path, Err: ErrDiffers}
		case c.s.opts.DryRun:
			return c.put(e.Name, t, info)
		default:
			return c.replace(p, change{e.Name, t, info})
		}
		p.done(t)
		return nil
	})
}

// key compares a key with the file that it becomes, and calls g.done, or gets it.
func (c *comparison) key(g *gets, e Entry, f fetch) error {
	get := func() error {
		if c.s.opts.DryRun {
			g.done(f.transfer(nil))
			return nil
		}
		return g.add(f)
	}
	fi, err := os.Stat(f.path)
	if err != nil || !fi.Mode().IsRegular() {
		return get()
	}
	c.same(e, f.path, fi.Size(), func(same bool, err error) error {
		if err == nil && !same {
			return get()
		}
		t := f.transfer(err)
		t.Same, t.Skip = same, same
		g.done(t)
		return nil
	})
	return nil
}

// replace removes a key, and puts its file when that is done.
func (c *comparison) replace(p *puts, ch change) error {
	c.mu.Lock()
	if c.old == nil {
		c.old, c.removed = make(chan string), make(chan error, 1)
		go func() { c.removed <- c.remove(p) }()
	}
	c.changed[ch.t.Key] = ch
	c.mu.Unlock()
	select {
	case c.old <- ch.t.Key:
		return nil
	case <-c.s.ctx.Done():
		return c.s.ctx.Err()
	}
}

// remove removes the keys of old until that is closed.
func (c *comparison) remove(p *puts) error {
	_, err := c.s.c.RemoveEach(c.s.ctx, func(yield func(string, error) bool) {
		more := true
		for key := range c.old {
			more = more && yield(key, nil) // what comes after that is let go
		}
	}, &RemoveOptions{Report: func(r Removal) {
		c.mu.Lock()
		ch := c.changed[r.Key]
		delete(c.changed, r.Key)
		c.mu.Unlock()
		if r.Err != nil && !errors.Is(r.Err, ErrNotFound) {
			ch.t.Err = r.Err
			p.done(ch.t)
		} else if err := c.put(ch.name, ch.t, ch.info); err != nil {
			c.fail(err)
		}
	}})
	return err
}

// end waits for all comparisons, and returns the first error that is not of one file.
func (c *comparison) end() error {
	c.wg.Wait()
	if c.old != nil {
		close(c.old)
		if err := <-c.removed; err != nil {
			return err
		}
	}
	return c.err
}
