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
	each := func(add func(src string) error) error {
		for src, err := range srcs {
			if noName = err; err != nil {
				return err
			}
			if src == "-" {
				return badCopy("stdin has no name: copy it by itself")
			}
			if err := checkSides(up, isRemote(src)); err != nil {
				return err
			}
			if err := add(src); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if up {
		base := strings.TrimSuffix(dst, "/") + "/"
		err = c.putMany(ctx, opts, report, func(p *puts) error {
			return each(func(src string) error { return p.addSource(src, base) })
		})
	} else {
		err = c.getMany(ctx, opts, report, func(g *gets) error {
			g.one = one
			return each(func(src string) error { return g.addSource(src, dst) })
		})
	}
	if noName != nil && ctx.Err() == nil {
		return noName
	}
	return c.opError(ctx, "cp", dst, -1, err)
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
		if err := p.statSize(key); err != nil {
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

	// files has, of every file that is written to, a hash of its path, and one of the key
	// it is a copy of. Of many keys, the hashes are much less than the names.
	files map[uint64]uint64
	seed  maphash.Seed
}

// getMany is putMany for keys.
func (c *Client) getMany(ctx context.Context, opts *CopyOptions, report func(Transfer), feed func(*gets) error) error {
	var mu sync.Mutex
	g := &gets{c: c, ctx: ctx, opts: opts, queues: make([]chan fetch, len(c.cluster.Servers)), files: make(map[uint64]uint64), seed: maphash.MakeSeed(), done: func(t Transfer) {
		mu.Lock()
		defer mu.Unlock()
		report(t)
	}}
	var wg sync.WaitGroup
	for i := range g.queues {
		g.queues[i] = make(chan fetch, xfer.Window)
		lost := new(lostServer)
		for range connsPerServer {
			wg.Go(func() { c.downloader(ctx, i, lost, opts, g.queues[i], g.done) })
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
// copied to dir.
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
			to = localPath(dir, path.Base(below))
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
	f := fetch{name: name, path: localPath(dir, names.Base(name))}
	if !g.opts.Filter.Match(names.Base(name)) || g.isTaken(&f) {
		return nil
	}
	if g.opts.DryRun || g.opts.SkipExisting && isRegular(f.path) {
		o, err := g.c.Stat(g.ctx, src)
		f.size = uint64(o.Size)
		switch {
		case err == nil && f.skipGet(g.opts, g.done):
			return nil
		case err != nil || g.opts.DryRun:
			g.done(f.transfer(err))
			return nil
		}
	}
	return g.add(f)
}

// addFound adds the keys that Find yields for name, by their paths relative to base. It
// returns how many there were, and whether there were directories that it left out.
func (g *gets) addFound(name, base, dir string) (dirs bool, n int, err error) {
	find := &FindOptions{Recursive: g.opts.Recursive, Glob: g.opts.Glob, Filter: g.opts.Filter, retries: g.opts.Retries}
	for e, err := range g.c.Find(g.ctx, name, find) {
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
		f := fetch{name: e.Name, path: localPath(dir, e.Name[len(base):]), size: uint64(e.Size)}
		if g.isTaken(&f) || f.skipGet(g.opts, g.done) {
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
	file, key := maphash.String(g.seed, f.path), maphash.String(g.seed, f.name)
	was, taken := g.files[file]
	if taken && was != key {
		g.fail(Scheme+f.name, &Error{Op: "get", Key: Scheme + f.name, Kind: ErrStorage, Text: f.path + " was copied from another key before"})
	}
	if !taken {
		g.files[file] = key
	}
	return taken
}

// add puts f into the queue of its key's server. It fails only if ctx has ended.
func (g *gets) add(f fetch) error {
	select {
	case g.queues[g.c.cluster.Place(f.name)] <- f:
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}
