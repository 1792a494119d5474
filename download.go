package s4

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// GetTree copies every key below the directory of keys prefix to the local file
// dir/<the key's path relative to prefix>, from all servers in parallel. It replaces
// files and makes directories. report is called once for every key, by one goroutine at
// a time. A key that fails does not stop the others: report has its error. GetTree
// itself fails if a server cannot list, if nothing matches (ErrNotFound), or if ctx has
// ended.
func (c *Client) GetTree(ctx context.Context, prefix, dir string, report func(Transfer)) error {
	return c.getTree(ctx, prefix, dir, &CopyOptions{}, report)
}

// getTree is GetTree with a filter, or as a dry run.
func (c *Client) getTree(ctx context.Context, prefix, dir string, opts *CopyOptions, report func(Transfer)) error {
	name, err := names.ParsePrefix(prefix)
	if err != nil {
		return usage("get", prefix, err)
	}
	if !strings.HasSuffix(name, "/") {
		name += "/"
	}
	var (
		mu   sync.Mutex
		seen bool
	)
	done := func(t Transfer) {
		mu.Lock()
		defer mu.Unlock()
		seen = true
		report(t)
	}
	// Not eachServer: a server that fails must not cancel the others.
	errs := make([]error, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = c.opError(ctx, "get", prefix, i, c.download(ctx, i, name, dir, opts, done)) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return c.opError(ctx, "get", prefix, -1, ctx.Err())
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if !seen {
		return &Error{Op: "get", Key: prefix, Kind: ErrNotFound, Text: "no key below it"}
	}
	return nil
}

// fetch is one key on its way to a local file, or to another key.
type fetch struct {
	name string // the key without its scheme
	path string // of the file
	to   string // in place of path, the key that it is copied to, without its scheme
	size uint64 // as it was listed, or 0

	tries  int   // that have failed
	away   error // why the last try failed, if the server of to was not there
	exists error // if a try failed since the key to exists, and settleCopy is to look at it
	strict bool  // the key to may be a source as well, and is not to be taken for a copy
}

// transfer returns the outcome of the fetch.
func (f *fetch) transfer(err error) Transfer {
	t := Transfer{Key: Scheme + f.name, Path: f.path, Size: int64(f.size), Err: err}
	if f.to != "" {
		t.To = Scheme + f.to
	}
	return t
}

// download copies one server's keys.
func (c *Client) download(ctx context.Context, server int, prefix, dir string, opts *CopyOptions, done func(Transfer)) error {
	queue := make(chan fetch, xfer.Window)
	lost := new(lostServer)
	var wg sync.WaitGroup
	for range connsPerServer {
		wg.Go(func() { c.downloader(ctx, server, lost, opts, queue, done) })
	}
	l := c.listOne(ctx, server, wire.FlagRecursive, prefix, opts.Retries)
	var bad error
	for e := l.head(); e != nil; e = l.head() {
		switch {
		case e.Kind != wire.EntryKey:
		case !strings.HasPrefix(e.Name, prefix) || names.CheckKey(e.Name) != nil:
			// The name becomes a local path: do not let a server choose another place.
			bad = wire.Errorf(wire.CodeBadRequest, "it lists %q, which was not asked for", e.Name)
		case opts.Filter.Match(e.Name[len(prefix):]):
			f := fetch{name: e.Name, path: localPath(dir, e.Name[len(prefix):]), size: e.Size}
			switch {
			case f.skipGet(opts, done):
			case opts.DryRun:
				done(f.transfer(nil))
			default:
				queue <- f
			}
		}
		l.batch = l.batch[1:]
	}
	close(queue)
	wg.Wait()
	if l.err != nil {
		return l.err
	}
	return bad
}

// localPath returns the file in dir for a key's path relative to what is copied.
func localPath(dir, rel string) string { return filepath.Join(dir, filepath.FromSlash(rel)) }

// downloader fetches the keys of one queue over one connection, with many requests in
// flight.
func (c *Client) downloader(ctx context.Context, server int, lost *lostServer, opts *CopyOptions, queue <-chan fetch, done func(Transfer)) {
	conn := c.newWorkerConn(ctx, server, lost, opts.Retries)
	var dirs dirCache
	defer dirs.close() // after conn.close, which waits for the last request
	defer conn.close()
	var broken again[fetch]
	for f := range broken.each(queue, conn.wg.Wait) {
		finish := func(err error) {
			if f.tries < opts.Retries && broke(err) && ctx.Err() == nil {
				f.tries++
				broken.add(f)
				return
			}
			done(f.transfer(c.opError(ctx, "get", Scheme+f.name, server, err)))
		}
		p, err := conn.pipeline()
		if err != nil {
			finish(err)
			continue
		}
		conn.do(p, c.getRequest(f.name, func(conn *xfer.Conn, o *wire.Object) error {
			f.size = o.Size
			d, err := dirs.open(filepath.Dir(f.path))
			if err != nil {
				return drain(conn, &localError{f.path, err})
			}
			return receiveFile(conn, int(d.Fd()), f.path, o, opts.Moved)
		}), finish)
	}
}

// dirCache keeps the directory of the last file open. As keys come sorted, most files
// are in the directory of the one before. It is used by one goroutine at a time, that of
// the pipeline.
type dirCache struct {
	path string
	dir  *os.File
}

// open returns the directory at path, and makes it if it does not exist.
func (c *dirCache) open(path string) (*os.File, error) {
	if c.dir != nil && c.path == path {
		return c.dir, nil
	}
	c.close()
	if err := makeDir(path); err != nil {
		return nil, err
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	c.path, c.dir = path, d
	return d, nil
}

// makeDir is os.MkdirAll, but a file that is in the way is always ENOTDIR. If the file came
// while os.MkdirAll looked, its error is EEXIST.
func makeDir(path string) error {
	err := os.MkdirAll(path, 0o777)
	if at, ok := errors.AsType[*os.PathError](err); ok && at.Err == syscall.EEXIST {
		at.Err = syscall.ENOTDIR
	}
	return err
}

func (c *dirCache) close() {
	if c.dir != nil {
		c.dir.Close()
		c.dir = nil
	}
}
