package s4

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/xfer"
)

// Transfer is the outcome for one key of a copy of many.
type Transfer struct {
	Key  string // with its scheme
	Path string // local
	To   string // of a copy from Key to another key, that key with its scheme
	Size int64  // bytes copied
	Skip bool   // not copied, which is no failure: Err says why, unless Same is set
	Same bool   // with Skip: what SkipExisting found, of Size bytes, and Err is nil
	Err  error  // nil if the key or file is complete

	info fs.FileInfo // of the local file that was read, where a move needs it
}

// connsPerServer is how many connections a copy of many keys uses to each server. One is
// enough for small keys. With a second, they continue while a large key is under way on
// the first.
const connsPerServer = 2

// upload is one local file on its way to a key.
type upload struct {
	path string
	name string // the key without its scheme

	tries  int   // that have failed
	exists error // if a try failed since the key exists, and settle is to look at it
	info   fs.FileInfo
}

// PutTree writes every regular file below dir as the key prefix + its path relative to
// dir, to all servers in parallel. It follows symbolic links to files, and skips all that
// is neither a file nor a directory. report is called once for every file, by one
// goroutine at a time. A file that fails does not stop the others: report has its error.
// PutTree itself fails if dir cannot be read, or if ctx has ended.
func (c *Client) PutTree(ctx context.Context, dir, prefix string, report func(Transfer)) error {
	return c.putTree(ctx, dir, prefix, &CopyOptions{}, report)
}

// putTree is PutTree with a filter, or as a dry run.
func (c *Client) putTree(ctx context.Context, dir, prefix string, opts *CopyOptions, report func(Transfer)) error {
	base, err := names.ParsePrefix(prefix)
	if err != nil {
		return usage("put", prefix, err)
	}
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	err = c.putMany(ctx, opts, report, func(p *puts) error { return p.walk(dir, base) })
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*Error)) {
		err = &Error{Op: "put", Key: prefix, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	return c.opError(ctx, "put", prefix, -1, err)
}

// puts is a copy of many local files to keys.
type puts struct {
	c      *Client
	ctx    context.Context
	opts   *CopyOptions
	queues []chan upload // of each server
	done   func(Transfer)
	have   keySizes // with SkipExisting: the keys that exist

	// skip, if not nil, reports whether add has no more to do for a file: skip calls done
	// or put for it, now or before feed returns.
	skip func(name string, t Transfer, info func() (fs.FileInfo, error)) bool
}

// putMany copies the files that feed adds, to all servers in parallel, and returns the
// error of feed, or of ctx. report is called once for every file, by one goroutine at a
// time.
func (c *Client) putMany(ctx context.Context, opts *CopyOptions, report func(Transfer), feed func(*puts) error) error {
	var mu sync.Mutex
	p := &puts{c: c, ctx: ctx, opts: opts, queues: make([]chan upload, len(c.cluster.Servers)), have: make(keySizes), done: func(t Transfer) {
		mu.Lock()
		defer mu.Unlock()
		report(t)
	}}
	if opts.SkipExisting {
		p.skip = p.skipPut
	}
	var wg sync.WaitGroup
	for i := range p.queues {
		p.queues[i] = make(chan upload, xfer.Window)
		lost := new(lostServer)
		for range connsPerServer {
			wg.Go(func() { c.uploader(ctx, i, lost, opts, p.queues[i], p.done) })
		}
	}
	err := feed(p)
	for _, q := range p.queues {
		close(q)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// walk finds the files below dir, and puts each as a key below base.
func (p *puts) walk(dir, base string) error {
	if p.opts.SkipExisting {
		if err := p.have.list(p.ctx, p.c, base, p.opts.Retries); err != nil {
			return err
		}
	}
	root := strings.TrimSuffix(dir, "/") + "/" // with the slash, dir may be a link to a directory
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		rel, relErr := filepath.Rel(root, path)
		if err = errors.Join(err, relErr); err != nil {
			if path == root {
				return err
			}
			p.done(Transfer{Path: path, Key: Scheme + base + rel, Err: err})
			return nil
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && path != root && p.opts.Filter.prunes(rel) {
			return fs.SkipDir
		}
		if d.IsDir() || !p.opts.Filter.Match(rel) {
			return nil
		}
		key := Scheme + base + rel
		if d.Type()&fs.ModeSymlink != 0 {
			fi, err := os.Stat(path)
			if err != nil {
				p.done(Transfer{Path: path, Key: key, Err: err})
				return nil
			}
			d = fs.FileInfoToDirEntry(fi)
		}
		if !d.Type().IsRegular() {
			p.done(Transfer{Path: path, Key: key, Skip: true, Err: errors.New("not a regular file")})
			return nil
		}
		return p.add(path, key, d.Info)
	})
}

// add puts the file at path into the queue of its key's server. It fails only if ctx
// has ended.
func (p *puts) add(path, key string, info func() (fs.FileInfo, error)) error {
	name, err := names.ParseKey(key)
	if err != nil {
		p.done(Transfer{Path: path, Key: key, Err: usage("put", key, err)})
		return nil
	}
	t := Transfer{Path: path, Key: key}
	if p.skip != nil && p.skip(name, t, info) {
		return nil
	}
	return p.put(name, t, info)
}

// put is add for a file that is not to be skipped.
func (p *puts) put(name string, t Transfer, info func() (fs.FileInfo, error)) error {
	if p.opts.DryRun {
		fi, err := info()
		if t.Err = err; err == nil {
			t.Size = fi.Size()
		}
		p.done(t)
		return nil
	}
	select {
	case p.queues[p.c.cluster.Place(name)] <- upload{path: t.Path, name: name}:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// lostServer remembers that a server cannot be reached, so that the keys that are left
// fail at once, and not each after a timeout. The workers of a server have one.
type lostServer struct {
	met atomic.Bool // there was a connection: it may be waited for
	mu  sync.Mutex
	err error
}

func (l *lostServer) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lostServer) set(err error) {
	if isLost(err) {
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
}

// uploader sends the files of one queue over one connection, with many requests in
// flight.
func (c *Client) uploader(ctx context.Context, server int, lost *lostServer, opts *CopyOptions, queue <-chan upload, done func(Transfer)) {
	conn := c.newWorkerConn(ctx, server, lost, opts.Retries)
	defer conn.close()
	var broken again[upload]
	for u := range broken.each(queue, conn.wg.Wait) {
		key := Scheme + u.name
		t := Transfer{Path: u.path, Key: key}
		fail := func(err error) {
			switch {
			case err != nil && u.exists == nil && (u.tries > 0 || opts.SkipExisting || opts.confirm) && errors.Is(toError("", err), ErrExists):
				u.exists = c.opError(ctx, "put", key, server, err)
				broken.add(u)
				return
			case u.tries < opts.Retries && broke(err) && ctx.Err() == nil:
				u.tries++
				broken.add(u)
				return
			}
			t.Err = c.opError(ctx, "put", key, server, err)
			done(t)
		}
		if u.exists != nil {
			done(c.settle(ctx, &u, opts))
			continue
		}
		p, err := conn.pipeline()
		if err != nil {
			fail(err)
			continue
		}
		f, err := openFoundFile(u.path)
		if err != nil {
			fail(&Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err})
			continue
		}
		if u.info == nil {
			u.info = f.info
		}
		t.info = u.info
		r := c.putRequest(u.name, f.source(opts.Moved), &t.Size)
		send := r.Send
		r.Send = func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			defer f.Close() // at once: the answer may come much later
			return send(conn, tag, refused)
		}
		conn.do(p, r, func(err error) {
			f.Close()
			fail(err)
		})
	}
}

// workerConn is the connection of an uploader or downloader to its server. If it breaks,
// the next request makes a new one.
type workerConn struct {
	c      *Client
	ctx    context.Context // that of the whole copy
	server int
	lost   *lostServer
	again  bool           // wait for a server that was connected
	p      *xfer.Pipeline // nil before the first request
	stop   func() bool    // as context.AfterFunc returns it
	wg     sync.WaitGroup // requests in flight
}

func (c *Client) newWorkerConn(ctx context.Context, server int, lost *lostServer, retries int) *workerConn {
	return &workerConn{c: c, ctx: ctx, server: server, lost: lost, again: retries > 0}
}

// pipeline returns a pipeline that is not broken, or why there is none.
func (w *workerConn) pipeline() (*xfer.Pipeline, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if w.p != nil && !w.p.Broken() {
		return w.p, nil
	}
	if err := w.lost.get(); err != nil {
		return nil, err
	}
	w.drop()
	var p *xfer.Pipeline
	var err error
	if w.again && w.lost.met.Load() {
		p, err = w.c.reconnect(w.ctx, w.server)
	} else {
		p, err = w.c.pipeline(w.ctx, w.server, false)
	}
	if err != nil {
		w.lost.set(err)
		return nil, err
	}
	w.lost.met.Store(true)
	w.p = p
	w.stop = context.AfterFunc(w.ctx, func() { p.Interrupt() })
	return p, nil
}

// do runs r on p. done is called once, before close returns.
func (w *workerConn) do(p *xfer.Pipeline, r xfer.Request, done func(error)) {
	w.wg.Add(1)
	r.Done = func(err error) {
		defer w.wg.Done()
		done(err)
	}
	p.Do(r)
}

// drop closes a broken pipeline.
func (w *workerConn) drop() {
	if w.p != nil {
		w.stop()
		w.p.Close()
		w.p = nil
	}
}

// close waits for the requests in flight, and returns the pipeline to the pool.
func (w *workerConn) close() {
	w.wg.Wait()
	if w.p == nil {
		return
	}
	if !w.stop() {
		w.p.Close()
		return
	}
	w.c.data.Put(w.server, w.p)
}
