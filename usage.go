package s4

import (
	"context"
	"strings"
)

// Usage is how many keys there are somewhere, and how many bytes in them.
type Usage struct {
	Keys  int64
	Bytes int64
}

func (u *Usage) add(more Usage) {
	u.Keys += more.Keys
	u.Bytes += more.Bytes
}

// Usage adds up the keys that Find yields for name, all below it, and returns the sum
// for each server of the cluster, in its order. If each is not nil, it is called with
// the usage of every directory of keys below that of name, its slash included, once all
// in it has been counted: a directory comes after those in it. An error of each ends
// Usage, and is returned as it is.
func (c *Client) Usage(ctx context.Context, name string, opts *FindOptions, each func(dir string, u Usage) error) ([]Usage, error) {
	find := FindOptions{Recursive: true}
	if opts != nil {
		find = *opts
		find.Recursive = true
	}
	servers := make([]Usage, len(c.cluster.Servers))
	dirs := dirSums{top: dirOf(name, find.Glob), each: each}
	for e, err := range c.Find(ctx, name, &find) {
		if err != nil {
			return servers, err
		}
		u := Usage{Keys: 1, Bytes: e.Size}
		servers[c.cluster.Place(e.Name)].add(u)
		if each == nil {
			continue
		}
		if err := dirs.add(e.Name, u); err != nil {
			return servers, err
		}
	}
	return servers, dirs.leave("")
}

// dirOf returns the directory of a name, up to the last slash that is before any
// wildcard, without its scheme.
func dirOf(name string, glob bool) string {
	name = strings.TrimPrefix(name, Scheme)
	if glob {
		name = GlobPrefix(name)
	}
	if !strings.Contains(name, "/") {
		return name + "/"
	}
	return name[:strings.LastIndexByte(name, '/')+1]
}

// dirSums adds up directories as their keys come, sorted by name.
type dirSums struct {
	top  string // the directory that all are in
	open []dirSum
	each func(string, Usage) error
}

type dirSum struct {
	name string // with its slash
	Usage
}

// add adds a key to the directory that it is in.
func (d *dirSums) add(key string, u Usage) error {
	if err := d.leave(key); err != nil {
		return err
	}
	at := len(d.top)
	if n := len(d.open); n > 0 {
		at = len(d.open[n-1].name)
	}
	for {
		i := strings.IndexByte(key[at:], '/')
		if i < 0 {
			break
		}
		at += i + 1
		d.open = append(d.open, dirSum{name: key[:at]})
	}
	if n := len(d.open); n > 0 {
		d.open[n-1].add(u)
	}
	return nil
}

// leave ends the directories that the next key is not in. No key is in none.
func (d *dirSums) leave(key string) error {
	for n := len(d.open); n > 0; n = len(d.open) {
		last := d.open[n-1]
		if key != "" && strings.HasPrefix(key, last.name) {
			break
		}
		d.open = d.open[:n-1]
		if n > 1 {
			d.open[n-2].add(last.Usage)
		}
		if err := d.each(last.name, last.Usage); err != nil {
			return err
		}
	}
	return nil
}
