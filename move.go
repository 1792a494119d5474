package s4

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// Move is Copy, and removes each file or key of src as soon as its copy is complete and
// verified. It fails, and removes nothing, where Copy fails, with one exception: a key
// that exists with the size and xxh64 of its source is taken for the copy, so that a Move
// that was interrupted can be repeated. Until it is removed, a source is there beside its
// copy: at no moment there is neither.
//
// A local file that has changed since it was read stays, which is an error. Of a symbolic
// link, the link is removed. Local directories stay. A source that another client removes
// and writes anew meanwhile may be lost, and so may one that another client moves in the
// opposite direction meanwhile: each can take the other's source for its copy.
//
// opts may have no Split and no SkipExisting, which does not compare what is there with
// its source.
func (c *Client) Move(ctx context.Context, src, dst string, opts *CopyOptions) error {
	return c.moving(ctx, dst, opts, func(opts *CopyOptions) error {
		if src == "-" || dst == "-" {
			return badCopy("stdin and stdout are not moved: use cp")
		}
		return c.Copy(ctx, src, dst, opts)
	})
}

// MoveAll is CopyAll, and removes sources as Move does.
func (c *Client) MoveAll(ctx context.Context, srcs iter.Seq2[string, error], dst string, opts *CopyOptions) error {
	return c.moving(ctx, dst, opts, func(opts *CopyOptions) error { return c.CopyAll(ctx, srcs, dst, opts) })
}

// moving calls run, which copies, and removes the sources of what it reports.
func (c *Client) moving(ctx context.Context, dst string, opts *CopyOptions, run func(*CopyOptions) error) error {
	var o CopyOptions
	if opts != nil {
		o = *opts
	}
	if o.Split != nil || o.SkipExisting {
		return badCopy("a move takes no split, and skips nothing")
	}
	o.Stdin, o.Stdout, o.moves, o.confirm = nil, nil, true, true
	if o.DryRun {
		return run(&o)
	}
	m := &mover{c: c, ctx: ctx, up: isRemote(dst), opts: o, keys: make(chan string), waiting: make(map[string][]Transfer)}
	o.Report = m.copied
	var wg sync.WaitGroup
	wg.Go(func() {
		m.remove(func(yield func(string, error) bool) {
			for key := range m.keys {
				if !yield(key, nil) {
					return
				}
			}
		})
		for range m.keys { // ctx has ended
		}
	})
	err := run(&o)
	close(m.keys)
	wg.Wait()
	m.finish()
	switch {
	case err != nil || m.first == nil:
	case ctx.Err() != nil:
		err = c.opError(ctx, "rm", dst, -1, ctx.Err()) // all is copied, and not all removed
	case opts.report() == nil:
		err = m.first
	}
	return err
}

// report returns Report, also of no options.
func (o *CopyOptions) report() func(Transfer) {
	if o == nil {
		return nil
	}
	return o.Report
}

// mover removes the sources of copies.
type mover struct {
	c    *Client
	ctx  context.Context
	up   bool        // files become keys
	opts CopyOptions // as the caller gave them
	keys chan string // to be removed

	mu      sync.Mutex
	waiting map[string][]Transfer // by keys that are copied and not removed yet, their copies; guarded by mu
	again   []string              // keys whose server was lost; guarded by mu
	first   error                 // guarded by mu
}

// copied takes a transfer that is reported.
func (m *mover) copied(t Transfer) {
	switch {
	case t.Err != nil || t.Skip:
	case m.up && t.To == "":
		t.Err = t.removeFile()
	case t.To == "" && !isRegular(t.Path): // /dev/null keeps nothing
		t.Err = notRemoved(t.Key, errors.New(t.Path+" is no regular file"))
	default:
		m.mu.Lock()
		m.waiting[t.Key] = append(m.waiting[t.Key], t)
		m.mu.Unlock()
		m.keys <- t.Key
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report(t)
}

// report tells the caller of a transfer that is over; m.mu is held.
func (m *mover) report(t Transfer) {
	if m.first == nil && !t.Skip {
		m.first = t.Err
	}
	if m.opts.Report != nil {
		m.opts.Report(t)
	}
}

// remove removes keys. Those whose server is lost it keeps for another try.
func (m *mover) remove(keys iter.Seq2[string, error]) {
	// Every failure is reported: what the call returns says no more.
	_, _ = m.c.RemoveEach(m.ctx, keys, &RemoveOptions{Report: func(r Removal) {
		m.mu.Lock()
		defer m.mu.Unlock()
		copies := m.waiting[r.Key]
		if broke(r.Err) || errors.Is(r.Err, ErrUnavailable) {
			m.again = append(m.again, r.Key)
			for i := range copies {
				if copies[i].Err == nil {
					copies[i].Err = notRemoved(r.Key, r.Err)
				}
			}
			return
		}
		t := copies[0]
		if m.waiting[r.Key] = copies[1:]; len(copies) == 1 {
			delete(m.waiting, r.Key)
		}
		if t.Err = nil; r.Err != nil && !errors.Is(r.Err, ErrNotFound) { // another client was first
			t.Err = notRemoved(t.Key, r.Err)
		}
		m.report(t)
	}})
}

// finish tries again to remove the keys whose server was lost, and reports what is left.
func (m *mover) finish() {
	for try := 0; try < m.opts.Retries && len(m.again) > 0 && m.ctx.Err() == nil; try++ {
		keys := m.again
		m.again = nil
		back := make(map[int]bool) // by server
		var wait []string
		for _, key := range keys {
			server := m.c.cluster.Place(key[len(Scheme):])
			if _, known := back[server]; !known {
				back[server] = m.c.awaitServer(m.ctx, server, true)
			}
			if back[server] {
				wait = append(wait, key)
			}
		}
		m.remove(func(yield func(string, error) bool) {
			for _, key := range wait {
				if !yield(key, nil) {
					return
				}
			}
		})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, copies := range m.waiting {
		for _, t := range copies {
			if cause := context.Cause(m.ctx); cause != nil {
				t.Err = m.c.opError(m.ctx, "rm", t.Key, -1, cause)
			}
			m.report(t)
		}
	}
}

// notRemoved returns the error for a source that was copied and cannot be removed.
func notRemoved(key string, why error) error {
	e := &Error{Op: "rm", Key: key, Kind: wire.CodeInternal, Text: "it was copied, but not removed: " + why.Error(), Err: why}
	var we *Error
	if errors.As(why, &we) {
		e.Kind, e.Server, e.Text = we.Kind, we.Server, "it was copied, but not removed: "+we.Text
	}
	return e
}

// removeFile removes the local file of a transfer, if it is still the one that was read.
func (t *Transfer) removeFile() error {
	now, err := os.Stat(t.Path)
	switch {
	case err == nil && t.info != nil && !sameFile(t.info, now):
		err = errors.New("it has changed since it was read")
	case err == nil:
		err = os.Remove(t.Path)
	}
	if err == nil {
		return nil
	}
	return &Error{Op: "rm", Key: t.Key, Kind: ErrStorage, Text: fmt.Sprintf("%s was copied, but not removed: %s", t.Path, withoutPath(err)), Err: err}
}

// sameFile reports whether two looks at a file found the same.
func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// checkMove looks at the file of a move before it is read.
func checkMove(src, key string) error {
	if _, err := names.ParseKey(key); err != nil {
		return usage("put", key, err)
	}
	fi, err := os.Stat(src)
	switch {
	case err != nil:
		return &Error{Op: "put", Key: key, Kind: ErrStorage, Text: err.Error(), Err: err}
	case fi.IsDir():
		return &Error{Op: "put", Key: key, Kind: ErrStorage, Text: src + ": " + errIsDir.Error()}
	case !fi.Mode().IsRegular():
		return &Error{Op: "put", Key: key, Kind: ErrStorage, Text: src + ": is no regular file: it can be copied, and not moved"}
	}
	return nil
}

// moveUp is the copy of a single file that is then removed: the file is looked at when it
// is read.
func (c *Client) moveUp(ctx context.Context, src, key string, opts *CopyOptions, report func(Transfer)) error {
	if err := checkMove(src, key); err != nil {
		return err
	}
	var failed error
	err := c.putMany(ctx, opts, func(t Transfer) {
		if failed = t.Err; failed == nil {
			report(t)
		}
	}, func(p *puts) error { return p.add(src, key, func() (os.FileInfo, error) { return os.Stat(src) }) })
	if err == nil {
		err = failed
	}
	return c.opError(ctx, "put", key, -1, err)
}
