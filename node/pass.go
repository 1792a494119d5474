package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// pass compares keys with the checksums stored with them: for VERIFY, and for scrub.
type pass struct {
	store   *store
	readers int                                    // goroutines that read
	begin   func()                                 // each of them calls it first; may be nil
	pace    func(ctx context.Context, n int) error // called before n bytes or fewer are read; may be nil
	remove  bool                                   // keys that are damaged
	found   chan<- *wire.Damaged
	match   *names.Pattern // of keys; nil for all

	removeNoSum bool                                   // remove files that have no checksum
	unlink      func(key string, fd int) (bool, error) // removes a key if it is the file that is open; for remove and removeNoSum

	keys, bytes, damaged atomic.Uint64 // so far
}

// run makes the pass over the keys that begin with prefix, or all if it is empty. Keys
// that are written or removed meanwhile may be left out.
func (p *pass) run(ctx context.Context, prefix string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	queue := make(chan string)
	for range p.readers {
		wg.Go(func() {
			if p.begin != nil {
				p.begin()
			}
			for key := range queue {
				if err := p.check(ctx, key); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	err := p.store.eachKey(ctx, prefix, func(key string) error {
		if p.match != nil && !p.match.Match(key) && p.match.Dir(key) == "" {
			return nil
		}
		select {
		case queue <- key:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(queue)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// check compares one key. The error is one that ends the pass: what is about this key
// alone goes to found.
func (p *pass) check(ctx context.Context, key string) error {
	fd, f, err := p.store.lookAt(key)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil // removed meanwhile, or a directory has taken its place
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return storeError(err, key) // it would be so for every key
	case err != nil:
		return p.tell(ctx, &wire.Damaged{Key: key, Text: "it cannot be opened: " + toWire(storeError(err, key)).Text})
	}
	defer unix.Close(fd)
	if err = f.noSum; err == nil {
		forget := forgetAfter(fd, f.size)
		err = p.compare(ctx, fd, f.size, f.sum)
		forget()
	}
	var damage *wire.Error
	if err != nil && (!errors.As(err, &damage) || damage.Code != wire.CodeChecksum) {
		return err
	}
	p.bytes.Add(uint64(f.size))
	if damage == nil {
		p.keys.Add(1)
		return nil
	}
	d := &wire.Damaged{Key: key, Size: uint64(f.size), Text: damage.Text, NoChecksum: damage == errNoSum}
	if d.NoChecksum && p.removeNoSum || !d.NoChecksum && p.remove {
		if d.Removed, err = p.unlink(key, fd); err != nil {
			d.Failed = toWire(storeError(err, key)).Text
		}
	}
	return p.tell(ctx, d)
}

// tell counts a key that is damaged or has no checksum, and sends it to found.
func (p *pass) tell(ctx context.Context, d *wire.Damaged) error {
	p.keys.Add(1)
	if !d.NoChecksum {
		p.damaged.Add(1)
	}
	select {
	case p.found <- d:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pass) compare(ctx context.Context, fd int, size int64, sum uint64) error {
	if p.pace == nil {
		return verifyFile(ctx, fd, size, sum)
	}
	return verifyReader(ctx, &paced{contents{ctx: ctx, fd: fd, size: size}, p.pace}, sum)
}

// paced reads in the pace of a pass.
type paced struct {
	contents
	pace func(context.Context, int) error
}

func (r *paced) Read(b []byte) (int, error) {
	n := len(b)
	if r.size >= 0 { // a small key is not charged for a whole buffer
		n = int(min(int64(n), max(0, r.size-r.off)))
	}
	if err := r.pace(r.ctx, n); err != nil {
		return 0, err
	}
	return r.contents.Read(b)
}

// forgetAfter returns what to call when a large file has been read. If it was not in the
// page cache before, it is dropped from there, so that a pass over all keys does not push
// out what others read.
func forgetAfter(fd int, size int64) func() {
	const large = 1 << 20
	var cached unix.Cachestat_t
	// cachestat(2) is of Linux 6.5.
	if size < large || unix.Cachestat(uint(fd), &unix.CachestatRange{}, &cached, 0) != nil ||
		cached.Cache > uint64(size)/uint64(unix.Getpagesize())/2 {
		return func() {}
	}
	return func() { _ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) }
}

// eachKey calls each for every key that begins with prefix, or for all.
func (s *store) eachKey(ctx context.Context, prefix string, each func(key string) error) error {
	list := func(prefix string) error {
		return s.list(ctx, prefix, true, func(e *wire.Entry) error { return each(e.Name) })
	}
	if prefix != "" {
		return list(prefix)
	}
	return s.listBuckets(ctx, func(b *wire.Entry) error { return list(b.Name + "/") })
}

// removeIfSame removes a key if its file is still the one that is open as fd, and reports
// whether it did. Between the look and the removal, another client would have to remove
// the key and to write it again to lose what it wrote.
func (s *store) removeIfSame(key string, fd int) (bool, error) {
	parent, base := splitName(key)
	dir, err := s.keys.openDir(parent, false)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var open, named unix.Stat_t
	if err = unix.Fstat(fd, &open); err == nil {
		err = unix.Fstatat(dir, base, &named, unix.AT_SYMLINK_NOFOLLOW)
	}
	same := err == nil && open.Dev == named.Dev && open.Ino == named.Ino
	if same {
		err = s.unlink(dir, base)
	}
	unix.Close(dir)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil && same {
		s.keys.prune(parent)
	}
	return same && err == nil, err
}
