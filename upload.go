package s4

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nathants/s4/xfer"

	"github.com/nathants/s4/names"
)

// Transfer is the outcome for one key of a copy of many.
type Transfer struct {
	Key  string // with its scheme
	Path string // local
	Size int64  // bytes moved
	Skip bool   // not copied, and no failure: Err says why
	Err  error  // nil if the key, or the file, is whole
}

// connsPerServer is how many connections a copy of many keys uses to each
// server: one keeps the wire busy with small keys, the second goes on while a
// large one is under way on the first.
const connsPerServer = 2

// upload is one local file on its way to a key.
type upload struct {
	path string
	name string // key without its scheme
}

// PutTree writes every regular file below dir as the key prefix + its path
// relative to dir, in parallel over all servers. Links to files are followed;
// what is no file is skipped. report is called once for every file, by one
// goroutine at a time. One failure does not stop the rest. The error is not
// about single files: dir cannot be read, or ctx has ended.
func (c *Client) PutTree(ctx context.Context, dir, prefix string, report func(Transfer)) error {
	base, err := names.ParsePrefix(prefix)
	if err != nil {
		return usage("put", prefix, err)
	}
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	var mu sync.Mutex
	done := func(t Transfer) {
		mu.Lock()
		defer mu.Unlock()
		report(t)
	}
	queues := make([]chan upload, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan upload, xfer.Window)
		lost := new(lostServer)
		for range connsPerServer {
			wg.Go(func() { c.uploader(ctx, i, lost, queues[i], done) })
		}
	}
	err = c.walk(ctx, dir, base, queues, done)
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return c.opError(ctx, "put", prefix, -1, ctx.Err())
	}
	if err != nil {
		return &Error{Op: "put", Key: prefix, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	return nil
}

// walk finds the files below dir and queues each for the server of its key.
func (c *Client) walk(ctx context.Context, dir, base string, queues []chan upload, done func(Transfer)) error {
	root := strings.TrimSuffix(dir, "/") + "/" // with it, a link to a directory is followed
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, relErr := filepath.Rel(root, path)
		if err = errors.Join(err, relErr); err != nil {
			if path == root {
				return err
			}
			done(Transfer{Path: path, Key: Scheme + base + rel, Err: err})
			return nil
		}
		if d.IsDir() {
			return nil
		}
		key := Scheme + base + filepath.ToSlash(rel)
		if d.Type()&fs.ModeSymlink != 0 {
			fi, err := os.Stat(path)
			if err != nil {
				done(Transfer{Path: path, Key: key, Err: err})
				return nil
			}
			d = fs.FileInfoToDirEntry(fi)
		}
		if !d.Type().IsRegular() {
			done(Transfer{Path: path, Key: key, Skip: true, Err: errors.New("not a regular file")})
			return nil
		}
		name, err := names.ParseKey(key)
		if err != nil {
			done(Transfer{Path: path, Key: key, Err: usage("put", key, err)})
			return nil
		}
		select {
		case queues[c.cluster.Place(name)] <- upload{path: path, name: name}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// lostServer remembers that a server cannot be reached, so that the keys that
// are left fail at once instead of each waiting for a timeout.
type lostServer struct {
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

// uploader sends the files of one queue over one connection, many in flight.
func (c *Client) uploader(ctx context.Context, server int, lost *lostServer, queue <-chan upload, done func(Transfer)) {
	line := c.newLine(ctx, server, lost)
	defer line.close()
	for u := range queue {
		key := Scheme + u.name
		t := Transfer{Path: u.path, Key: key}
		fail := func(err error) {
			t.Err = c.opError(ctx, "put", key, server, err)
			done(t)
		}
		p, err := line.pipe()
		if err != nil {
			fail(err)
			continue
		}
		f, err := openSource(u.path)
		if err != nil {
			fail(&Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err})
			continue
		}
		r := c.putRequest(u.name, f.source(), &t.Size)
		send := r.Send
		r.Send = func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			defer f.Close() // an answer may come much later
			return send(conn, tag, refused)
		}
		line.do(p, r, func(err error) {
			f.Close()
			fail(err)
		})
	}
}

// line is one worker's connection to a server, made anew when it breaks.
type line struct {
	c      *Client
	ctx    context.Context // of the worker's one operation
	server int
	lost   *lostServer
	p      *xfer.Pipeline
	stop   func() bool
	wg     sync.WaitGroup // requests in flight
}

func (c *Client) newLine(ctx context.Context, server int, lost *lostServer) *line {
	return &line{c: c, ctx: ctx, server: server, lost: lost}
}

// pipe returns a pipeline that works, or why there is none.
func (l *line) pipe() (*xfer.Pipeline, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	if l.p != nil && !l.p.Broken() {
		return l.p, nil
	}
	if err := l.lost.get(); err != nil {
		return nil, err
	}
	l.drop()
	p, err := l.c.pipe(l.ctx, l.server, false)
	if err != nil {
		l.lost.set(err)
		return nil, err
	}
	l.p = p
	l.stop = context.AfterFunc(l.ctx, func() { p.Interrupt() })
	return p, nil
}

// do runs r on p; done is called once, maybe later, and before close returns.
func (l *line) do(p *xfer.Pipeline, r xfer.Request, done func(error)) {
	l.wg.Add(1)
	r.Done = func(err error) {
		defer l.wg.Done()
		done(err)
	}
	p.Do(r)
}

// drop ends a broken pipeline.
func (l *line) drop() {
	if l.p != nil {
		l.stop()
		l.p.Close()
		l.p = nil
	}
}

// close waits for the requests in flight and gives the pipeline back.
func (l *line) close() {
	l.wg.Wait()
	if l.p == nil {
		return
	}
	if !l.stop() {
		l.p.Close()
		return
	}
	l.c.data.Put(l.server, l.p)
}
