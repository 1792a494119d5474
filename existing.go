package s4

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nathants/s4/names"
)

// errExistsOther returns the error of a put that SkipExisting does not skip.
func errExistsOther(key string, has, want int64) error {
	return &Error{Op: "put", Key: key, Kind: ErrExists, Text: fmt.Sprintf("the key exists and has %d bytes, not %d", has, want)}
}

// keySizes has the sizes of keys that exist.
type keySizes map[string]int64

// list adds the keys below base.
func (s keySizes) list(ctx context.Context, c *Client, base string, retries int) error {
	for e, err := range c.Find(ctx, Scheme+base, &FindOptions{Recursive: true, retries: retries}) {
		if err != nil {
			return err
		}
		s[e.Name] = e.Size
	}
	return nil
}

// stat adds a key, if it exists.
func (s keySizes) stat(ctx context.Context, c *Client, key string) error {
	name, err := names.ParseKey(key)
	if err != nil {
		return nil // add says so
	}
	o, err := c.Stat(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		s[name] = o.Size
	}
	return err
}

// skipPut reports to done a file whose key exists, and returns true.
func (p *puts) skipPut(name string, t Transfer, info func() (fs.FileInfo, error)) bool {
	has, ok := p.have[name]
	if !ok {
		return false
	}
	fi, err := info()
	switch {
	case err != nil:
		t.Err = err
	case fi.Size() == has:
		t.Size, t.Skip, t.Same = has, true, true
	default:
		t.Err = errExistsOther(t.Key, has, fi.Size())
	}
	p.done(t)
	return true
}

// skipPutOf is skipPut for the copy of a single file.
func (c *Client) skipPutOf(ctx context.Context, path, key string) (Transfer, bool, error) {
	t := Transfer{Path: path, Key: key}
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return t, false, nil // the put says what is wrong
	}
	o, err := c.Stat(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrBadKey):
		return t, false, nil
	case err != nil:
		return t, false, err
	case o.Size != fi.Size():
		return t, false, errExistsOther(key, o.Size, fi.Size())
	}
	t.Size, t.Skip, t.Same = o.Size, true, true
	return t, true, nil
}

// hasSize reports whether path is a regular file of that size. A download appears when it
// is complete, so that such a file is no part of one.
func hasSize(path string, size int64) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Size() == size
}

// skip reports to done a key whose copy exists, and returns true.
func (g *gets) skip(f *fetch) bool {
	if !g.remote {
		return f.skipGet(g.opts, g.done)
	}
	has, ok := g.have[f.to]
	if !ok {
		return false
	}
	t := f.transfer(nil)
	if t.Skip = has == int64(f.size); t.Skip {
		t.Same = true
	} else {
		t.Err = errExistsOther(t.To, has, t.Size)
	}
	g.done(t)
	return true
}

// skipGet reports to done a key whose file exists with the size that was listed, and
// returns true.
func (f *fetch) skipGet(opts *CopyOptions, done func(Transfer)) bool {
	if !opts.SkipExisting || !hasSize(f.path, int64(f.size)) {
		return false
	}
	t := f.transfer(nil)
	t.Skip, t.Same = true, true
	done(t)
	return true
}
