package s4

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// SyncOptions change what Sync does. The zero value copies what is missing.
type SyncOptions struct {
	// Checksum compares files and keys of the same size by their xxh64, for which it
	// reads the files.
	Checksum bool

	// DeleteChanged removes and writes anew a key that differs from its file. Without,
	// such a key is ErrExists.
	DeleteChanged bool

	// Delete removes from dst what src does not have, at the end, and only if nothing
	// has failed before.
	Delete bool

	// AllowEmpty lets src have no file or key. Without, that is an error, so that a wrong
	// name does not empty dst. A local directory must exist.
	AllowEmpty bool

	// Filter, if not nil, leaves files and keys out, of src and of dst: what is left out
	// is neither copied nor removed. Its rules look at paths relative to src and dst.
	Filter *Filter

	// DryRun calls Report for what would be done, and does nothing.
	DryRun bool

	// Retries is as in CopyOptions.
	Retries int

	// Moved is as in CopyOptions.
	Moved *atomic.Int64

	// Report, if not nil, is called for every file and key, by one goroutine at a time. If
	// it is nil and one fails, Sync returns the first such error.
	Report func(SyncStep)
}

// SyncStep is what Sync did with one file and its key. Same is set if it was the same, and
// nothing was done.
type SyncStep struct {
	Transfer
	Removed bool // from dst: of a key only Key is set, of a file only Path
}

// Sync makes dst have what src has. One of them is a local directory, the other, which
// starts with s4://, a directory of keys; what is below src comes below dst. It copies what
// is missing or has another size. Keys are immutable: see DeleteChanged; local files
// are replaced. A Sync that was interrupted can be repeated.
//
// What dst has is held in memory: about 200 bytes for each key or file; from keys to
// files, only with Delete. A failure does not stop the rest: Report has it.
func (c *Client) Sync(ctx context.Context, src, dst string, opts *SyncOptions) error {
	s := &syncs{c: c, ctx: ctx}
	if opts != nil {
		s.opts = *opts
	}
	s.copy = CopyOptions{Filter: s.opts.Filter, DryRun: s.opts.DryRun, Retries: s.opts.Retries, Moved: s.opts.Moved, confirm: true}
	up, down := isRemote(dst), isRemote(src)
	remote, run := dst, s.up
	switch {
	case up == down:
		return &Error{Op: "sync", Kind: ErrBadRequest, Text: "one of SRC and DST is a local directory, and the other starts with s4://"}
	case down:
		remote, run = src, s.down
	}
	base, err := names.ParsePrefix(remote)
	if err != nil {
		return usage("sync", remote, err)
	}
	if base = strings.TrimSuffix(base, "/") + "/"; up {
		err = run(src, base)
	} else {
		err = run(dst, base)
	}
	if err == nil && s.opts.Report == nil {
		err = s.first
	}
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	if ctx.Err() != nil {
		return c.opError(ctx, "sync", remote, -1, err)
	}
	return &Error{Op: "sync", Key: remote, Kind: ErrStorage, Text: err.Error(), Err: err}
}

// syncs is one run of Sync.
type syncs struct {
	c     *Client
	ctx   context.Context
	opts  SyncOptions
	copy  CopyOptions
	some  bool  // src has a file or key
	first error // the first of a file or key
}

// report reports a step. One goroutine calls it at a time.
func (s *syncs) report(step SyncStep) {
	if s.first == nil && !step.Skip {
		s.first = step.Err
	}
	if s.opts.Report != nil {
		s.opts.Report(step)
	}
}

func (s *syncs) transfer(t Transfer) { s.report(SyncStep{Transfer: t}) }

// find yields the keys below base.
func (s *syncs) find(base string, each func(Entry) error) error {
	find := &FindOptions{Recursive: true, Checksums: s.opts.Checksum, Filter: s.opts.Filter, retries: s.opts.Retries}
	for e, err := range s.c.Find(s.ctx, Scheme+base, find) {
		if err == nil {
			err = names.CheckKey(e.Name) // it becomes a local path: do not let a server choose another
		}
		if err == nil {
			err = each(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ready returns an error if the extras of dst, which is named, must stay.
func (s *syncs) ready(src, dst string) error {
	switch {
	case !s.some && !s.opts.AllowEmpty:
		if key := strings.TrimSuffix(src, "/"); isRemote(src) && s.isKey(key) {
			return &Error{Op: "sync", Key: key, Kind: wire.CodeInternal, Text: "it is a key, not a directory of keys (copy it with 's4 cp')"}
		}
		return &Error{Op: "sync", Key: src, Kind: ErrNotFound, Text: "there is nothing to copy: " + dst + " was left as it is"}
	case s.opts.Delete && s.first != nil:
		return &Error{Op: "sync", Key: dst, Kind: ErrStorage, Text: "nothing was removed that is not in the source, as there were errors"}
	}
	return nil
}

// isKey reports whether there is a key of that name.
func (s *syncs) isKey(name string) bool {
	_, err := s.c.Stat(s.ctx, name)
	return err == nil
}

// up syncs from the local dir to the keys below base.
func (s *syncs) up(dir, base string) error {
	if fi, err := os.Stat(dir); err != nil {
		return err
	} else if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	have := make(map[string]Entry)
	err := s.find(base, func(e Entry) error {
		have[e.Name] = e
		return nil
	})
	if err != nil {
		return err
	}
	err = s.c.putMany(s.ctx, &s.copy, s.transfer, func(p *puts) error {
		check := newComparison(s, p.put)
		p.skip = func(name string, t Transfer, info func() (fs.FileInfo, error)) bool {
			s.some = true
			e, ok := have[name]
			delete(have, name)
			if ok {
				check.file(p, e, t, info)
			}
			return ok
		}
		return cmp.Or(p.walk(dir, base), check.end())
	})
	if err == nil {
		err = s.ready(dir, Scheme+base)
	}
	if err != nil || !s.opts.Delete {
		return err
	}
	extra := make([]string, 0, len(have))
	for name := range have {
		extra = append(extra, Scheme+name)
	}
	slices.Sort(extra)
	_, err = s.c.RemoveEach(s.ctx, func(yield func(string, error) bool) {
		for _, key := range extra {
			if !yield(key, nil) {
				return
			}
		}
	}, &RemoveOptions{DryRun: s.opts.DryRun, Report: func(r Removal) {
		if !errors.Is(r.Err, ErrNotFound) { // another client was first
			s.report(SyncStep{Transfer: Transfer{Key: r.Key, Err: r.Err}, Removed: true})
		}
	}})
	return err
}

// ErrDiffers is the cause of Sync's ErrExists for a key that differs from its file.
var ErrDiffers = errors.New("differs")

// down syncs from the keys below base to the local dir.
func (s *syncs) down(dir, base string) error {
	if fi, err := os.Stat(dir); err == nil && !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	extra, err := s.files(dir)
	if err != nil {
		return err
	}
	err = s.c.getMany(s.ctx, false, &s.copy, s.transfer, func(g *gets) error {
		check := newComparison(s, nil)
		err := s.find(base, func(e Entry) error {
			s.some = true
			f := fetch{name: e.Name, path: localPath(dir, e.Name[len(base):]), size: uint64(e.Size)}
			delete(extra, f.path)
			return check.key(g, e, f)
		})
		return cmp.Or(err, check.end())
	})
	if err == nil {
		err = s.ready(Scheme+base, dir)
	}
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(extra)) {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		var err error
		if !s.opts.DryRun {
			err = os.Remove(path)
		}
		s.report(SyncStep{Transfer: Transfer{Path: path, Err: err}, Removed: true})
	}
	return nil
}

// files returns the paths of the regular files below dir that Delete may remove.
func (s *syncs) files(dir string) (map[string]bool, error) {
	files := make(map[string]bool)
	if !s.opts.Delete {
		return files, nil
	}
	root := strings.TrimSuffix(dir, "/") + "/" // dir may be a link to a directory
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && s.ctx.Err() != nil {
			err = context.Cause(s.ctx)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && s.opts.Filter.prunes(filepath.ToSlash(rel)):
			return fs.SkipDir
		case d.Type().IsRegular() && s.opts.Filter.Match(filepath.ToSlash(rel)):
			files[localPath(dir, rel)] = true
		}
		return nil
	})
	return files, err
}
