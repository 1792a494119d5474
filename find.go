package s4

import (
	"context"
	"iter"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// FindOptions say what Find yields. The zero value lists as List does.
type FindOptions struct {
	// Recursive yields every key, instead of directories for those below them.
	Recursive bool

	// Glob lets the name be a pattern of shells; see IsGlob. Without, it is a prefix,
	// whatever characters it has.
	Glob bool

	// Checksums sets XXH64 of the entries, which costs the servers more than all the
	// rest of a listing.
	Checksums bool

	// Filter, if not nil, leaves out what it does not mean. Its rules look at paths
	// relative to the directory of the name: what follows its last slash, or the last
	// slash before the first wildcard.
	Filter *Filter

	retries int // of a listing that breaks; see listOne
}

// IsGlob reports whether a name has a wildcard: one of * ? [ {. In a pattern, * and ? do
// not match a slash, ** as a segment matches any number of segments, [a-z], [!a-z] and
// {a,b} are as in a shell, and a backslash takes the meaning of the next character away.
// The bucket has no wildcards.
func IsGlob(name string) bool { return names.IsPattern(name) }

// GlobPrefix returns what all names that match a pattern begin with: what is before the
// first wildcard. A name without wildcards it returns as it is.
func GlobPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, names.PatternMeta); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// Find yields what name stands for, from all servers, sorted by name. A prefix stands for
// what List yields, and a pattern for the keys and directories of keys that it matches as
// a whole. With Recursive it stands for every key below these, too; a pattern that ends
// in a slash, for what is in the directories that it matches. Memory use does not depend
// on the number of keys. An error comes with a zero Entry and ends the sequence.
func (c *Client) Find(ctx context.Context, name string, opts *FindOptions) iter.Seq2[Entry, error] {
	if opts == nil {
		opts = new(FindOptions)
	}
	return func(yield func(Entry, error) bool) {
		if !opts.Glob || !IsGlob(name) {
			c.findPrefix(ctx, name, opts, yield)
			return
		}
		text, err := names.TrimScheme(name)
		var p names.Pattern
		if err == nil {
			p, err = names.ParsePattern(text)
		}
		if err != nil {
			yield(Entry{}, usage("ls", name, err))
			return
		}
		c.findPattern(ctx, name, p, opts, yield)
	}
}

// flags returns the flags of a LIST.
func (o *FindOptions) flags(recursive bool) byte {
	var flags byte
	if recursive {
		flags |= wire.FlagRecursive
	}
	if o.Checksums {
		flags |= wire.FlagChecksums
	}
	return flags
}

func (c *Client) findPrefix(ctx context.Context, name string, opts *FindOptions, yield func(Entry, error) bool) {
	prefix, err := names.ParsePrefix(name)
	if err != nil {
		yield(Entry{}, usage("ls", name, err))
		return
	}
	dir := strings.LastIndexByte(prefix, '/') + 1
	c.merge(ctx, name, opts.flags(opts.Recursive), opts.retries, prefix, func(e Entry, err error) bool {
		if err == nil && !opts.Filter.Match(e.Name[dir:]) {
			return true
		}
		return yield(e, err)
	})
}

func (c *Client) findPattern(ctx context.Context, name string, p names.Pattern, opts *FindOptions, yield func(Entry, error) bool) {
	// Directories are found by the keys below them, unless they are all in one place.
	flat := p.Flat && !opts.Recursive && !p.Dirs
	last := "" // the last directory
	c.merge(ctx, name, opts.flags(!flat), opts.retries, p.Prefix, func(e Entry, err error) bool {
		if err != nil {
			return yield(e, err)
		}
		e, ok := found(p, e, opts.Recursive)
		if !ok || e.Dir && e.Name == last || !opts.Filter.Match(e.Name[len(p.Base):]) {
			return true
		}
		if e.Dir {
			last = e.Name
		}
		return yield(e, nil)
	})
}

// found returns what is listed for an entry that may be meant by a pattern: the entry
// itself, or, unless recursive, the directory that it is in.
func found(p names.Pattern, e Entry, recursive bool) (Entry, bool) {
	if e.Dir {
		return e, p.Match(strings.TrimSuffix(e.Name, "/"))
	}
	if p.Match(e.Name) {
		return e, true
	}
	dir := p.Dir(e.Name)
	if dir == "" || recursive {
		return e, dir != ""
	}
	if p.Dirs { // what is in the directory
		sub, _, more := strings.Cut(e.Name[len(dir):], "/")
		if !more {
			return e, true
		}
		dir += sub + "/"
	}
	return Entry{Name: dir, Dir: true}, true
}
