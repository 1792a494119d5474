package s4

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// ErrAmbiguous is the error of RemoveAll for a name that is a key or a directory,
// while names of others begin with it.
var ErrAmbiguous = errors.New("other names begin with it")

// RemoveAll removes what has the name: the key, the directory with all below it,
// or both. If there is neither, it removes every key whose name begins with it. It
// returns how many keys there were; none is ErrNotFound.
//
// A name that is a key or directory and also begins others, as test-1 begins
// test-10, may mean the one or all. It is ErrAmbiguous, and nothing is removed.
// A bucket, and a name that ends in a slash, mean what is below them.
func (c *Client) RemoveAll(ctx context.Context, name string) (int64, error) {
	prefix, err := names.ParsePrefix(name)
	if err != nil {
		return 0, usage("rm", name, err)
	}
	if strings.HasSuffix(prefix, "/") {
		return c.Remove(ctx, name, true)
	}
	key, dir, others, err := c.named(ctx, name, prefix)
	switch {
	case err != nil:
		return 0, err
	case !key && !dir:
		return c.Remove(ctx, name, true)
	case len(others) > 0:
		return 0, &Error{Op: "rm", Key: name, Kind: ErrBadRequest, Text: ambiguous(name, key, dir, others), Err: ErrAmbiguous}
	}
	// Not by prefix: a name that has come meanwhile may begin with it.
	var total int64
	for _, part := range []struct {
		there     bool
		name      string
		recursive bool
	}{{key, name, false}, {dir, name + "/", true}} {
		if !part.there {
			continue
		}
		n, err := c.Remove(ctx, part.name, part.recursive)
		total += n
		if err != nil && !errors.Is(err, ErrNotFound) { // somebody else was faster
			return total, err
		}
	}
	if total == 0 {
		return 0, &Error{Op: "rm", Key: name, Kind: ErrNotFound, Text: "no key matches"}
	}
	return total, nil
}

// maxOthers is how many names an error gives for those that begin with another.
const maxOthers = 3

// named tells whether there is a key, and a directory, of that name, and gives the
// first of the other names beside it that begin with it, one more than are shown.
func (c *Client) named(ctx context.Context, name, prefix string) (key, dir bool, others []string, err error) {
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
		// Sorted by name, so that no directory of the name comes after this.
		if e.Name > prefix+"/" && (len(others) > maxOthers || !key && !dir) {
			break
		}
	}
	return key, dir, others, nil
}

// ambiguous says what a name stands for, and what to write instead.
func ambiguous(name string, key, dir bool, others []string) string {
	what, how := "a key", "leave -r off to remove the key"
	switch {
	case key && dir:
		what, how = "a key and a directory", "leave -r off for the key, write "+name+"/ for the directory"
	case dir:
		what, how = "a directory", "write "+name+"/ to remove the directory"
	}
	more := ""
	if len(others) > maxOthers {
		others, more = others[:maxOthers], " and more"
	}
	return fmt.Sprintf("it is %s, and begins %s%s, too: nothing was removed (%s, or use --prefix for all that begins with it)",
		what, strings.Join(others, ", "), more, how)
}

// Remove removes the key, or with recursive every key whose name begins with
// prefix, and returns how many. Removing nothing is ErrNotFound. When it
// returns, no read or list finds them. A prefix may end anywhere: s4://b/test-1
// begins s4://b/test-100/k, too. RemoveAll looks out for that.
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
