package s4

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// ErrAmbiguous is the error of RemoveAll for the name of a key or directory if other
// names begin with it.
var ErrAmbiguous = errors.New("other names begin with it")

// RemoveAll removes the key with the name, and the directory with the name and all below
// it. If there is neither, it removes all keys whose names begin with name. It returns
// how many keys it has removed. ErrNotFound means none.
//
// If there is a key or directory with the name, and other names begin with it, as test-10
// begins with test-1, the caller may mean one or all: RemoveAll removes nothing and
// returns ErrAmbiguous. A bucket, or a name that ends in a slash, is not ambiguous: it
// means all below it.
func (c *Client) RemoveAll(ctx context.Context, name string) (int64, error) {
	parts, err := c.meant(ctx, name)
	if err != nil {
		return 0, err
	}
	if len(parts) == 1 && parts[0].recursive {
		return c.Remove(ctx, parts[0].name, true)
	}
	var total int64
	for _, p := range parts {
		n, err := c.Remove(ctx, p.name, p.recursive)
		total += n
		if err != nil && !errors.Is(err, ErrNotFound) { // if another client has removed it first
			return total, err
		}
	}
	if total == 0 {
		return 0, &Error{Op: "rm", Key: name, Kind: ErrNotFound, Text: "no key matches"}
	}
	return total, nil
}

// maxOthers is how many other names an ErrAmbiguous lists.
const maxOthers = 3

// lookUp reports whether there is a key, and whether there is a directory, with the name.
// others are the first of the other names that begin with it, at most one more than
// maxOthers.
func (c *Client) lookUp(ctx context.Context, name, prefix string) (key, dir bool, others []string, err error) {
	for e, err := range c.List(ctx, name, false) {
		switch {
		case err != nil:
			var ours *Error
			if errors.As(err, &ours) {
				ours.Op = "rm"
			}
			return false, false, nil, err
		case e.Name == prefix:
			key = true
		case e.Name == prefix+"/":
			dir = true
		case len(others) <= maxOthers:
			others = append(others, Scheme+e.Name)
		}
		// Names are sorted: no directory with the name comes after this.
		if e.Name > prefix+"/" && (len(others) > maxOthers || !key && !dir) {
			break
		}
	}
	return key, dir, others, nil
}

// ambiguous returns the text of an ErrAmbiguous: what the name stands for, and what to
// write instead.
func ambiguous(name string, key, dir bool, others []string) string {
	kind, advice := "a key", "leave -r off to remove the key"
	switch {
	case key && dir:
		kind, advice = "a key and a directory", "leave -r off for the key, write "+name+"/ for the directory"
	case dir:
		kind, advice = "a directory", "write "+name+"/ to remove the directory"
	}
	more := ""
	if len(others) > maxOthers {
		others, more = others[:maxOthers], " and more"
	}
	return fmt.Sprintf("it is %s, and begins %s%s, too: nothing was removed (%s, or use --prefix for all that begins with it)",
		kind, strings.Join(others, ", "), more, advice)
}

// Remove removes a key, or with recursive all keys whose names begin with prefix. It
// returns how many. ErrNotFound means none. When Remove returns, no read or list finds
// them. The prefix need not end at a slash: s4://b/test-1 removes s4://b/test-100/k as
// well, which RemoveAll refuses.
func (c *Client) Remove(ctx context.Context, prefix string, recursive bool) (int64, error) {
	if !recursive {
		name, err := names.ParseKey(prefix)
		if err != nil {
			return 0, usage("rm", prefix, err)
		}
		server := c.cluster.Place(name)
		n, err := c.removeOn(ctx, server, 0, name)
		return n, c.opError(ctx, "rm", prefix, server, err)
	}
	name, err := names.ParsePrefix(prefix)
	if err != nil {
		return 0, usage("rm", prefix, err)
	}
	counts := make([]int64, len(c.cluster.Servers))
	server, err := c.eachServer(ctx, func(ctx context.Context, i int) (err error) {
		counts[i], err = c.removeOn(ctx, i, wire.FlagRecursive, name)
		return err
	})
	var total int64
	for _, n := range counts {
		total += n
	}
	if err == nil && total == 0 {
		return 0, &Error{Op: "rm", Key: prefix, Kind: ErrNotFound, Text: "no key matches"}
	}
	return total, c.opError(ctx, "rm", prefix, server, err)
}

func (c *Client) removeOn(ctx context.Context, server int, flags byte, name string) (n int64, err error) {
	err = c.ask(ctx, server, flags, &wire.Remove{Prefix: name}, func(m wire.Message) (bool, error) {
		r, ok := m.(*wire.Removed)
		if !ok {
			return true, unexpected(m)
		}
		n = int64(r.Count)
		return true, nil
	})
	return n, err
}
