package s4

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// GetTree copies every key below the directory of keys prefix to the local
// file dir/<its path relative to prefix>, in parallel over all servers,
// replacing files and making directories. report is called once for every
// key, by one goroutine at a time. One failure does not stop the rest. The
// error is not about single keys: a server cannot list, nothing matched
// (ErrNotFound), or ctx has ended.
func (c *Client) GetTree(ctx context.Context, prefix, dir string, report func(Transfer)) error {
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
	// No server's trouble ends the others' part: not eachServer.
	errs := make([]error, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = c.opError(ctx, "get", prefix, i, c.download(ctx, i, name, dir, done)) })
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

// download copies one server's keys.
func (c *Client) download(ctx context.Context, server int, prefix, dir string, done func(Transfer)) error {
	queue := make(chan wire.Entry, xfer.Window)
	lost := new(lostServer)
	var wg sync.WaitGroup
	for range connsPerServer {
		wg.Go(func() { c.downloader(ctx, server, lost, prefix, dir, queue, done) })
	}
	l := c.listOne(ctx, server, wire.FlagRecursive, prefix)
	var bad error
	for e := l.head(); e != nil; e = l.head() {
		switch {
		case e.Kind != wire.EntryKey:
		case !strings.HasPrefix(e.Name, prefix) || names.CheckKey(e.Name) != nil:
			// A local path is made of it: it must be what was asked for.
			bad = wire.Errorf(wire.CodeBadRequest, "it lists %q, which was not asked for", e.Name)
		default:
			queue <- *e
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

// downloader fetches the keys of one queue over one connection, many in
// flight.
func (c *Client) downloader(ctx context.Context, server int, lost *lostServer, prefix, dir string, queue <-chan wire.Entry, done func(Transfer)) {
	line := c.newLine(ctx, server, lost)
	var dirs dirCache
	defer dirs.close() // after the last request, see line.close
	defer line.close()
	for e := range queue {
		key := Scheme + e.Name
		t := Transfer{Key: key, Path: filepath.Join(dir, filepath.FromSlash(e.Name[len(prefix):])), Size: int64(e.Size)}
		finish := func(err error) {
			t.Err = c.opError(ctx, "get", key, server, err)
			done(t)
		}
		p, err := line.pipe()
		if err != nil {
			finish(err)
			continue
		}
		line.do(p, c.getRequest(e.Name, func(conn *xfer.Conn, o *wire.Object) error {
			d, err := dirs.open(filepath.Dir(t.Path))
			if err != nil {
				return drain(conn, &localError{t.Path, err})
			}
			return receiveFile(conn, int(d.Fd()), t.Path, o)
		}), finish)
	}
}

// dirCache keeps the directory of the last file open: keys come sorted. It is
// used by one goroutine at a time, a pipeline's.
type dirCache struct {
	path string
	dir  *os.File
}

// open returns the directory, made if it is absent.
func (c *dirCache) open(path string) (*os.File, error) {
	if c.dir != nil && c.path == path {
		return c.dir, nil
	}
	c.close()
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	c.path, c.dir = path, d
	return d, nil
}

func (c *dirCache) close() {
	if c.dir != nil {
		c.dir.Close()
		c.dir = nil
	}
}
