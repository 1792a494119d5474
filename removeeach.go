package s4

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// RemoveOptions say what RemoveEach removes. The zero value removes keys.
type RemoveOptions struct {
	// Recursive removes what RemoveAll removes for a name, and directories of keys that
	// a pattern matches.
	Recursive bool

	// Whole says, with Recursive, that a name which no key or directory has stands for
	// none, and not for all that begin with it: in a list, it may have been removed since.
	Whole bool

	// Prefix makes every name a prefix of strings, as for Remove with recursive set.
	Prefix bool

	// Glob lets names be patterns of keys; see IsGlob.
	Glob bool

	// Filter, if not nil, leaves out what it does not mean. Its rules look at paths
	// relative to a directory that is removed, see FindOptions, or at the last segment
	// of a key.
	Filter *Filter

	// DryRun calls Report for what would be removed, and removes nothing.
	DryRun bool

	// Report, if not nil, is called for every key, by one goroutine at a time.
	Report func(Removal)
}

// Removal is the outcome for one key, or for a name that stands for none.
type Removal struct {
	Key string // with its scheme
	Err error  // nil if the key is removed
}

// RemoveEach removes what many names stand for, with few round trips: the requests of a
// server go over one connection, many at a time. It returns how many keys it has removed,
// or would remove. A name that fails, or that stands for no key, does not stop the
// others: Report has its error. RemoveEach itself fails with the error of keys, if a
// server cannot list, or if ctx has ended.
func (c *Client) RemoveEach(ctx context.Context, keys iter.Seq2[string, error], opts *RemoveOptions) (int64, error) {
	if opts == nil {
		opts = new(RemoveOptions)
	}
	r := &removals{c: c, ctx: ctx, opts: opts, queues: make([]chan string, len(c.cluster.Servers))}
	var wg sync.WaitGroup
	for i := range r.queues {
		r.queues[i] = make(chan string, xfer.Window)
		wg.Go(func() { r.remover(i) })
	}
	var err, noName error
	for name, nerr := range keys {
		if noName = nerr; nerr != nil {
			break
		}
		if err = r.addName(name); err != nil {
			break
		}
	}
	for _, q := range r.queues {
		close(q)
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case noName != nil:
		return r.removed, noName
	}
	return r.removed, c.opError(ctx, "rm", "", -1, err)
}

// removals is one run of RemoveEach.
type removals struct {
	c      *Client
	ctx    context.Context
	opts   *RemoveOptions
	queues []chan string // of each server: keys without their scheme

	mu      sync.Mutex
	removed int64 // guarded by mu
}

// done takes note of the outcome for a key.
func (r *removals) done(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.removed++
	}
	if r.opts.Report != nil {
		r.opts.Report(Removal{Key: key, Err: err})
	}
}

// addName adds what a name stands for.
func (r *removals) addName(name string) error {
	opts := r.opts
	if opts.Glob && IsGlob(name) {
		if strings.HasSuffix(name, "/") && !opts.Recursive { // it lists what is in directories
			r.done(name, noMatch("rm", name, true))
			return nil
		}
		return r.addFound(name, &FindOptions{Recursive: opts.Recursive, Glob: true, Filter: opts.Filter})
	}
	all := &FindOptions{Recursive: true, Filter: opts.Filter}
	if opts.Prefix {
		return r.addFound(name, all)
	}
	if !opts.Recursive {
		return r.addKey(name)
	}
	parts, err := r.c.meant(r.ctx, name)
	if err != nil {
		if r.ctx.Err() != nil || isLost(err) {
			return err
		}
		r.done(name, err)
		return nil
	}
	for _, p := range parts {
		if p.loose && opts.Whole {
			r.done(name, &Error{Op: "rm", Key: name, Kind: ErrNotFound, Text: "no key or directory has this name (of many names, use --prefix for all that begins with each)"})
			return nil
		}
		if p.recursive {
			err = r.addFound(p.name, all)
		} else {
			err = r.addKey(p.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addFound adds the keys that Find yields.
func (r *removals) addFound(name string, find *FindOptions) error {
	some, dirs := false, false
	for e, err := range r.c.Find(r.ctx, name, find) {
		switch {
		case errors.Is(err, ErrBadKey):
			r.done(name, err)
			return nil
		case err != nil:
			return err
		case e.Dir:
			dirs = true
			continue
		}
		some = true
		if err := r.add(e.Name); err != nil {
			return err
		}
	}
	if !some {
		r.done(name, noMatch("rm", name, dirs))
	}
	return nil
}

// addKey adds one key by its name.
func (r *removals) addKey(key string) error {
	name, err := names.ParseKey(key)
	switch {
	case err != nil:
		r.done(key, usage("rm", key, err))
		return nil
	case !r.opts.Filter.Match(names.Base(name)):
		return nil
	case r.opts.DryRun:
		_, err := r.c.Stat(r.ctx, key)
		r.done(key, err)
		return nil
	}
	return r.add(name)
}

// add puts a key into the queue of its server. It fails only if ctx has ended.
func (r *removals) add(name string) error {
	if r.opts.DryRun {
		r.done(Scheme+name, nil)
		return nil
	}
	select {
	case r.queues[r.c.cluster.Place(name)] <- name:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// remover removes the keys of one queue, as many at a time as are in it.
func (r *removals) remover(server int) {
	var lost error
	queue := r.queues[server]
	batch := make([]string, 0, xfer.Window)
	for name := range queue {
		batch = append(batch[:0], name)
		for more := true; more && len(batch) < cap(batch); {
			select {
			case name, ok := <-queue:
				if more = ok; ok {
					batch = append(batch, name)
				}
			default:
				more = false
			}
		}
		rest, err := batch, lost
		if lost == nil {
			rest, err = r.removeBatch(server, batch)
		}
		for _, name := range rest { // the answer did not come
			r.done(Scheme+name, r.c.opError(r.ctx, "rm", Scheme+name, server, err))
		}
		if len(rest) > 0 && isLost(err) {
			lost = err
		}
	}
}

// removeBatch sends a request for each key, and then reads the answers. It returns the
// keys that had none, and why.
func (r *removals) removeBatch(server int, batch []string) (rest []string, err error) {
	conn, err := r.c.controlConn(r.ctx, server)
	if err != nil {
		return batch, err
	}
	stop := context.AfterFunc(r.ctx, func() { conn.Close() })
	defer func() {
		if stop() && err == nil {
			r.c.control.Put(server, conn)
			return
		}
		conn.Close()
	}()
	requests := make([]wire.Message, len(batch))
	for i, name := range batch {
		requests[i] = &wire.Remove{Prefix: name}
	}
	if err := conn.WriteAll(0, requests); err != nil {
		return batch, err
	}
	for i, name := range batch {
		m, err := conn.ReadReply(uint16(i))
		var refused *wire.Error
		if errors.As(err, &refused) && !conn.Broken() {
			err = r.c.opError(r.ctx, "rm", Scheme+name, server, err)
		} else if err != nil {
			return batch[i:], err
		} else if _, ok := m.(*wire.Removed); !ok {
			return batch[i:], unexpected(m)
		}
		r.done(Scheme+name, err)
	}
	return nil, nil
}

// scope is a key, or a directory of keys, that a name of RemoveAll means.
type scope struct {
	name      string
	recursive bool
	loose     bool // nothing has the name: all that begins with it is meant
}

// meant returns what RemoveAll removes for a name.
func (c *Client) meant(ctx context.Context, name string) ([]scope, error) {
	prefix, err := names.ParsePrefix(name)
	if err != nil {
		return nil, usage("rm", name, err)
	}
	if strings.HasSuffix(prefix, "/") {
		return []scope{{name: name, recursive: true}}, nil
	}
	key, dir, others, err := c.lookUp(ctx, name, prefix)
	switch {
	case err != nil:
		return nil, err
	case !key && !dir:
		return []scope{{name: name, recursive: true, loose: true}}, nil
	case len(others) > 0:
		return nil, &Error{Op: "rm", Key: name, Kind: ErrBadRequest, Text: ambiguous(name, key, dir, others), Err: ErrAmbiguous}
	}
	// Not by prefix: since the listing, another key may exist whose name begins so.
	var parts []scope
	if key {
		parts = append(parts, scope{name: name})
	}
	if dir {
		parts = append(parts, scope{name: name + "/", recursive: true})
	}
	return parts, nil
}
