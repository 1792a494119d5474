package s4

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/xfer"
)

// CopyAll copies many sources into one directory, of keys or local, as 's4 cp' does with
// more than two arguments. Each keeps its name: a file or key the last segment, with
// Recursive a directory its last segment and what is below it, and what a pattern
// matches its path from the first segment with a wildcard on. dst ends in a slash, or is
// a bucket or a local directory; with Recursive it may also be a name that is made one.
//
// Each failure goes to Report; a key for a file that another was copied to is one. A key
// that is meant twice is copied once. CopyAll itself fails with the error of srcs, if ctx has
// ended, if a server cannot list, or with ErrBadRequest for arguments that make no sense, which may
// be after some files have been copied.
func (c *Client) CopyAll(ctx context.Context, srcs iter.Seq2[string, error], dst string, opts *CopyOptions) error {
	if opts == nil {
		opts = new(CopyOptions)
	}
	report, first := opts.Report, error(nil)
	if report == nil {
		report = func(t Transfer) {
			if first == nil && !t.Skip {
				first = t.Err
			}
		}
	}
	if opts.Split != nil {
		return badCopy("a split cuts one file")
	}
	err := c.copyAll(ctx, srcs, dst, false, opts, report)
	if err == nil {
		err = first
	}
	return err
}

// copyAll is CopyAll, or with one set Copy of a pattern: that it matches nothing is then
// the error of the copy.
func (c *Client) copyAll(ctx context.Context, srcs iter.Seq2[string, error], dst string, one bool, opts *CopyOptions, report func(Transfer)) error {
	up := isRemote(dst)
	bucket := up && !strings.Contains(strings.TrimPrefix(dst, Scheme), "/")
	if up {
		if _, err := names.ParsePrefix(strings.TrimSuffix(dst, "/") + "/"); err != nil {
			return usage("put", dst, err)
		}
	}
	switch {
	case dst == "-":
		return badCopy("stdout takes one key: use 's4 cat' for more")
	case opts.Recursive, bucket, strings.HasSuffix(dst, "/"), !up && isLocalDir(dst):
	default:
		return badCopy("%s is no directory: end it in a slash to make it one", dst)
	}
	var noName error
	each := func(files, keys func(src string) error) error {
		for src, err := range srcs {
			if noName = err; err != nil {
				return err
			}
			if src == "-" {
				return badCopy("stdin has no name: copy it by itself")
			}
			add := keys
			if !isRemote(src) {
				if add = files; !up {
					return errNoRemote
				}
			}
			if err := add(src); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if up {
		var mu sync.Mutex
		err = c.copyTo(ctx, strings.TrimSuffix(dst, "/")+"/", one, opts, func(t Transfer) {
			mu.Lock()
			defer mu.Unlock()
			report(t)
		}, each)
	} else {
		err = c.getMany(ctx, false, opts, report, func(g *gets) error {
			g.one = one
			return each(nil, func(src string) error { return g.addSource(src, dst) })
		})
	}
	if noName != nil && ctx.Err() == nil {
		return noName
	}
	return c.opError(ctx, "cp", dst, -1, err)
}

// copyTo copies to base, which ends in a slash, the files and keys that each calls its
// arguments for. report may be called by two goroutines at a time.
func (c *Client) copyTo(ctx context.Context, base string, one bool, opts *CopyOptions, report func(Transfer), each func(files, keys func(src string) error) error) error {
	dir, err := names.ParsePrefix(base)
	if err != nil {
		return usage("cp", base, err)
	}
	return c.putMany(ctx, opts, report, func(p *puts) error {
		return c.getMany(ctx, true, opts, report, func(g *gets) error {
			g.one = one
			return each(func(src string) error { return p.addSource(src, base) },
				func(src string) error { return g.addSource(src, dir) })
		})
	})
}

// addSource adds a local file, or all below a directory, to be copied to base.
func (p *puts) addSource(src, base string) error {
	fi, err := os.Stat(src)
	var key string
	if err == nil {
		key, err = uploadKey(src, base)
	}
	if err == nil && fi.IsDir() && !p.opts.Recursive {
		err = errIsDir
	}
	if err != nil {
		p.done(Transfer{Path: src, Key: base, Err: &Error{Op: "put", Key: base, Kind: ErrStorage, Text: src + ": " + withoutPath(err), Err: err}})
		return nil
	}
	if fi.IsDir() {
		name, err := names.ParsePrefix(key + "/")
		if err == nil {
			err = p.walk(src, name)
		}
		if err != nil && p.ctx.Err() == nil {
			p.done(Transfer{Path: src, Key: key, Err: usage("put", key, err)})
			return nil
		}
		return err
	}
	if !p.opts.Filter.Match(names.Base(key)) {
		return nil
	}
	if p.opts.SkipExisting {
		if err := p.have.stat(p.ctx, p.c, key); err != nil {
			p.done(Transfer{Path: src, Key: key, Err: err})
			return nil
		}
	}
	return p.add(src, key, func() (fs.FileInfo, error) { return fi, nil })
}

// withoutPath returns what an error says, without the operation and path of an
// *fs.PathError.
func withoutPath(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// gets is a copy of many keys to local files.
type gets struct {
	c      *Client
	ctx    context.Context
	opts   *CopyOptions
	queues []chan fetch // of each server
	done   func(Transfer)
	one    bool // see copyAll
	remote bool // they are copied to other keys

	have keySizes // with remote and SkipExisting: the keys that exist

	// files has, of every file or key that is written to, a hash of its path, and one of the key
	// it is a copy of. Of many keys, the hashes are much less than the names.
	files map[uint64]uint64
	seed  maphash.Seed
}

// getMany is putMany for keys, which go to local files, or with remote to other keys.
func (c *Client) getMany(ctx context.Context, remote bool, opts *CopyOptions, report func(Transfer), feed func(*gets) error) error {
	var mu sync.Mutex
	g := &gets{c: c, ctx: ctx, opts: opts, remote: remote, queues: make([]chan fetch, len(c.cluster.Servers)), have: make(keySizes), files: make(map[uint64]uint64), seed: maphash.MakeSeed(), done: func(t Transfer) {
		mu.Lock()
		defer mu.Unlock()
		report(t)
	}}
	var wg sync.WaitGroup
	peers := make([]lostServer, len(g.queues))
	for i := range g.queues {
		g.queues[i] = make(chan fetch, xfer.Window)
		lost := new(lostServer)
		for range connsPerServer {
			wg.Go(func() {
				if remote {
					c.copier(ctx, i, lost, peers, opts, g.queues[i], g.done)
				} else {
					c.downloader(ctx, i, lost, opts, g.queues[i], g.done)
				}
			})
		}
	}
	err := feed(g)
	for _, q := range g.queues {
		close(q)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// addSource adds a key, what a pattern matches, or all below a directory of keys, to be
// copied to dir, which of keys ends in a slash and has no scheme.
func (g *gets) addSource(src, dir string) error {
	name, err := names.TrimScheme(src)
	if err != nil {
		return err
	}
	if g.opts.Glob && IsGlob(name) {
		p, err := names.ParsePattern(name)
		if err != nil {
			return g.failSource(src, usage("get", src, err))
		}
		if g.remote && p.Base == dir {
			return g.failSource(src, sameKey(src))
		}
		dirs, n, err := g.addFound(src, p.Base, dir)
		if err == nil && n == 0 {
			return g.failSource(src, noMatch("get", src, dirs))
		}
		return err
	}
	if g.opts.Recursive {
		base := strings.TrimSuffix(name, "/") + "/"
		if err := names.CheckPrefix(base); err != nil {
			return g.failSource(src, usage("get", src, err))
		}
		to := dir
		if _, below, _ := strings.Cut(strings.TrimSuffix(base, "/"), "/"); below != "" {
			to = g.join(dir, path.Base(below))
			if g.remote {
				to += "/"
			}
		}
		if g.remote && strings.HasPrefix(to, base) {
			return g.failSource(src, intoItself(src, Scheme+to))
		}
		_, n, err := g.addFound(Scheme+base, base, to)
		if err != nil || n > 0 {
			return err
		}
	}
	if err := names.CheckKey(name); err != nil {
		g.fail(src, usage("get", src, err))
		return nil
	}
	f := g.fetch(name, dir, names.Base(name), 0)
	if !g.opts.Filter.Match(names.Base(name)) || g.isTaken(&f) {
		return nil
	}
	return g.addKey(f)
}

// addKey adds one key, which was not listed.
func (g *gets) addKey(f fetch) error {
	has := false
	if g.opts.SkipExisting && g.remote {
		if err := g.have.stat(g.ctx, g.c, Scheme+f.to); err != nil {
			g.done(f.transfer(err))
			return nil
		}
		_, has = g.have[f.to]
	} else if g.opts.SkipExisting {
		has = isRegular(f.path)
	}
	if g.opts.DryRun || has {
		o, err := g.c.Stat(g.ctx, Scheme+f.name)
		f.size = uint64(o.Size)
		switch {
		case err == nil && g.skip(&f):
			return nil
		case err != nil || g.opts.DryRun:
			g.done(f.transfer(err))
			return nil
		}
	}
	return g.add(f)
}

// fetch returns the copy of a key to a path relative to dir.
func (g *gets) fetch(name, dir, rel string, size uint64) fetch {
	f := fetch{name: name, size: size}
	if g.remote {
		f.to = g.join(dir, rel)
	} else {
		f.path = g.join(dir, rel)
	}
	return f
}

// join returns the file or key for a key's path relative to what is copied.
func (g *gets) join(dir, rel string) string {
	if g.remote {
		return dir + rel
	}
	return localPath(dir, rel)
}

// addFound adds the keys that Find yields for name, by their paths relative to base. It
// returns how many there were, and whether there were directories that it left out.
func (g *gets) addFound(name, base, dir string) (dirs bool, n int, err error) {
	find := &FindOptions{Recursive: g.opts.Recursive, Glob: g.opts.Glob, Filter: g.opts.Filter, retries: g.opts.Retries}
	found := g.c.Find(g.ctx, name, find)
	if g.remote && g.opts.SkipExisting {
		if err := g.have.list(g.ctx, g.c, dir, g.opts.Retries); err != nil {
			return false, 0, err
		}
	}
	overlap := g.remote && (strings.HasPrefix(dir, base) || strings.HasPrefix(base, dir))
	if overlap {
		found = collect(found) // or it would find what is copied
	}
	for e, err := range found {
		if err != nil {
			return dirs, n, err
		}
		if e.Dir {
			dirs = true
			continue
		}
		if err := names.CheckKey(e.Name); err != nil {
			// The name becomes a local path: do not let a server choose another place.
			return dirs, n, err
		}
		n++
		f := g.fetch(e.Name, dir, e.Name[len(base):], uint64(e.Size))
		f.strict = overlap && g.opts.moves
		if g.isTaken(&f) || g.skip(&f) {
			continue
		}
		if g.opts.DryRun {
			g.done(f.transfer(nil))
		} else if err := g.add(f); err != nil {
			return dirs, n, err
		}
	}
	return dirs, n, nil
}

// collect returns what seq yields, when all of that has come.
func collect(seq iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	var list []Entry
	var end error
	for e, err := range seq {
		if end = err; err != nil {
			break
		}
		list = append(list, e)
	}
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(Entry{}, end)
		}
	}
}

// noMatch returns the error for a pattern that matches no key; dirs says that it matches
// directories.
func noMatch(op, pattern string, dirs bool) error {
	text := "no key matches"
	if dirs {
		text = "it matches directories of keys only: use -r for all below them"
	}
	return &Error{Op: op, Key: pattern, Kind: ErrNotFound, Text: text}
}

func (g *gets) fail(key string, err error) { g.done(Transfer{Key: key, Err: err}) }

// failSource is fail for a source, whose error is that of the copy if it is the only one.
func (g *gets) failSource(src string, err error) error {
	if g.one {
		return err
	}
	g.fail(src, err)
	return nil
}

// isTaken reports whether the file of f is a copy of the same key already, or of another,
// which is a failure of f: the second would silently replace the first. Within a single
// source, all keys have files of their own.
func (g *gets) isTaken(f *fetch) bool {
	if g.one {
		return false
	}
	to := f.path + f.to // one of them is empty
	file, key := maphash.String(g.seed, to), maphash.String(g.seed, f.name)
	was, taken := g.files[file]
	if taken && was != key {
		g.fail(Scheme+f.name, &Error{Op: "get", Key: Scheme + f.name, Kind: ErrStorage, Text: to + " was copied from another key before"})
	}
	if !taken {
		g.files[file] = key
	}
	return taken
}

// add puts f into the queue of its key's server. It fails only if ctx has ended.
func (g *gets) add(f fetch) error {
	if f.to == f.name {
		g.fail(Scheme+f.name, sameKey(Scheme+f.name))
		return nil
	}
	select {
	case g.queues[g.c.cluster.Place(f.name)] <- f:
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}
