package s4

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// Entry is one name in a listing.
type Entry struct {
	Name     string // the key, directory or bucket, without s4://; a directory ends in a slash
	Dir      bool   // a directory of keys; Size and Modified are zero
	Size     int64
	Modified time.Time
	XXH64    uint64 // of a key, with FindOptions.Checksums; 0 if it has none, or was not asked for
}

// Shown returns the name that 's4 ls' prints for e in a listing of prefix. If recursive,
// it is the path without the bucket, else what follows the last slash of prefix.
func (e Entry) Shown(prefix string, recursive bool) string {
	prefix = strings.TrimPrefix(prefix, Scheme)
	cut := strings.LastIndexByte(prefix, '/')
	if recursive || cut < 0 {
		cut = strings.IndexByte(e.Name, '/')
	}
	return e.Name[cut+1:]
}

// List yields the keys whose names begin with prefix, from all servers, sorted by name.
// Unless recursive, it yields a directory in place of the keys below it. s4://bucket
// means the content of the bucket. Memory use does not depend on the number of keys. An
// error comes with a zero Entry and ends the sequence.
func (c *Client) List(ctx context.Context, prefix string, recursive bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		name, err := names.ParsePrefix(prefix)
		if err != nil {
			yield(Entry{}, usage("ls", prefix, err))
			return
		}
		var flags byte
		if recursive {
			flags = wire.FlagRecursive
		}
		c.merge(ctx, prefix, flags, 0, name, yield)
	}
}

// Buckets yields the buckets, sorted by name, with the times they were first used.
func (c *Client) Buckets(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c.merge(ctx, "", 0, 0, "", yield)
	}
}

// lister receives one server's part of a listing, batch by batch.
type lister struct {
	server  int
	batches chan []wire.Entry
	batch   []wire.Entry
	err     error // set before batches is closed
}

// head returns the next entry without taking it, or nil at the end.
func (l *lister) head() *wire.Entry {
	for len(l.batch) == 0 {
		b, ok := <-l.batches
		if !ok {
			return nil
		}
		l.batch = b
	}
	return &l.batch[0]
}

// merge lists on all servers, each of which sorts its part, and yields the union in
// order. retries is as for listOne. A directory or bucket that several servers have is yielded once.
func (c *Client) merge(ctx context.Context, prefix string, flags byte, retries int, name string, yield func(Entry, error) bool) {
	inner, cancel := context.WithCancel(ctx)
	listers := make([]*lister, len(c.cluster.Servers))
	for i := range listers {
		listers[i] = c.listOne(inner, i, flags, name, retries)
	}
	defer func() {
		cancel()
		for _, l := range listers {
			for range l.batches { // wait for the goroutine to end
			}
		}
	}()
	for {
		var min *wire.Entry
		for _, l := range listers {
			e := l.head()
			if e == nil {
				if l.err != nil {
					yield(Entry{}, c.opError(ctx, "ls", prefix, l.server, l.err))
					return
				}
				continue
			}
			if min == nil || e.Name < min.Name {
				min = e
			}
		}
		if min == nil {
			return
		}
		out := *min
		for _, l := range listers {
			if e := l.head(); e != nil && e.Name == out.Name {
				out.Mtime = earliest(out, *e)
				l.batch = l.batch[1:]
			}
		}
		if !strings.HasPrefix(out.Name, name) {
			err := wire.Errorf(wire.CodeBadRequest, "a server lists %q, which was not asked for", out.Name)
			yield(Entry{}, c.opError(ctx, "ls", prefix, -1, err))
			return
		}
		if !yield(toEntry(out), nil) {
			return
		}
	}
}

// earliest returns the older time of two entries with the same name. Only buckets can
// differ: a key is on one server, and a directory has no time.
func earliest(a, b wire.Entry) int64 {
	if a.Kind == wire.EntryBucket && b.Mtime < a.Mtime {
		return b.Mtime
	}
	return a.Mtime
}

func toEntry(e wire.Entry) Entry {
	out := Entry{Name: e.Name, Dir: e.Kind == wire.EntryDir, Size: int64(e.Size), XXH64: e.Sum}
	if !out.Dir {
		out.Modified = time.Unix(0, e.Mtime)
	}
	return out
}

// listOne starts listing on one server. The goroutine ends when the listing has been read
// or ctx has ended. A listing that breaks is continued up to retries times.
func (c *Client) listOne(ctx context.Context, server int, flags byte, name string, retries int) *lister {
	l := &lister{server: server, batches: make(chan []wire.Entry, 2)}
	go func() {
		defer close(l.batches)
		last := "" // the name that came last
		l.err = c.tryAgain(ctx, "ls", Scheme+name, server, retries, func(int) error {
			return c.ask(ctx, server, flags, &wire.List{Prefix: name}, func(m wire.Message) (bool, error) {
				switch m := m.(type) {
				case *wire.Entries:
					list := m.List
					for len(list) > 0 && last != "" && list[0].Name <= last { // from before it broke
						list = list[1:]
					}
					if len(list) == 0 {
						return false, nil
					}
					select {
					case l.batches <- list:
						last = list[len(list)-1].Name
						return false, nil
					case <-ctx.Done():
						return true, context.Cause(ctx)
					}
				case *wire.End:
					return true, nil
				}
				return true, unexpected(m)
			})
		})
	}()
	return l
}
