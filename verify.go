package s4

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// VerifyOptions say how Verify works. A nil *VerifyOptions has the defaults.
type VerifyOptions struct {
	Glob             bool                 // prefix may be a pattern of keys; see IsGlob
	Rate             int64                // how much each server reads, in bytes a second; 0 for as much as it can
	Remove           bool                 // remove the keys that are damaged
	RemoveNoChecksum bool                 // remove files that have no checksum, which something other than s4 wrote
	Report           func(VerifyProgress) // told about once a second how far all are, by one goroutine at a time; may be nil
}

// VerifyProgress is how far a Verify is.
type VerifyProgress struct {
	Keys       int64 // that were looked at, with those that are damaged or have no checksum
	Bytes      int64 // in them
	Damaged    int64
	NoChecksum int64 // files without a checksum
}

// DamagedKey is a key whose bytes are not those that were written, or, if NoChecksum is set,
// of which nobody can tell.
type DamagedKey struct {
	Key        string // with its scheme
	Server     Server
	Size       int64  // bytes of its file
	NoChecksum bool   // the file has no checksum: something other than s4 wrote it
	Removed    bool   // as VerifyOptions say
	Reason     string // what was found, for people
	Err        error  // why it could not be removed, though it was to be, or nil
}

// Verify has every server compare its keys that begin with prefix with the checksums
// stored with them, all keys if prefix is empty or s4://. If it is a pattern, see
// VerifyOptions, those are meant that it matches, and all below the directories that it
// matches. It calls each for every key that
// is damaged or has no checksum as soon as it is found, from one goroutine at a time, and
// returns what was compared. An error of each ends it. A server that fails does not stop
// the others; the first error is returned with what they have compared. A key that cannot
// be removed stops nothing: each is told. ErrNotFound means that no key begins with prefix.
//
// Servers read keys as any reader would: from the page cache, if they are there.
func (c *Client) Verify(ctx context.Context, prefix string, opts *VerifyOptions, each func(DamagedKey) error) (VerifyProgress, error) {
	if opts == nil {
		opts = new(VerifyOptions)
	}
	var name string
	var err error
	glob := opts.Glob && IsGlob(prefix)
	switch {
	case glob:
		if name, err = names.TrimScheme(prefix); err == nil {
			_, err = names.ParsePattern(name)
		}
	case prefix != "" && prefix != Scheme:
		name, err = names.ParsePrefix(prefix)
	}
	if err != nil {
		return VerifyProgress{}, usage("verify", prefix, err)
	}
	request := &wire.Verify{Prefix: name, Rate: uint64(max(0, opts.Rate)), Remove: opts.Remove, RemoveNoChecksum: opts.RemoveNoChecksum, Glob: glob}
	v := verifying{opts: opts, each: each, parts: make([]VerifyProgress, len(c.cluster.Servers))}
	ctx, v.stop = context.WithCancelCause(ctx)
	defer v.stop(nil)
	errs := make([]error, len(v.parts))
	var wg sync.WaitGroup
	for i, server := range c.cluster.Servers {
		wg.Go(func() {
			err := c.ask(ctx, i, 0, request, func(m wire.Message) (bool, error) { return v.take(i, server, m) })
			errs[i] = c.opError(ctx, "verify", cmp.Or(prefix, Scheme), i, err)
		})
	}
	wg.Wait()
	var stopped verifyStopped
	if errors.As(context.Cause(ctx), &stopped) {
		return v.total(), stopped.error
	}
	for _, err := range errs {
		if err != nil {
			return v.total(), err
		}
	}
	if v.total().Keys == 0 {
		return VerifyProgress{}, &Error{Op: "verify", Key: cmp.Or(prefix, Scheme), Kind: ErrNotFound, Text: "no key matches"}
	}
	return v.total(), nil
}

// verifying is a Verify under way.
type verifying struct {
	opts *VerifyOptions
	each func(DamagedKey) error
	stop context.CancelCauseFunc

	mu    sync.Mutex
	parts []VerifyProgress // by server; guarded by mu
	ended bool             // each has returned an error; guarded by mu

	noChecksum int64 // files without a checksum so far; guarded by mu
}

// verifyStopped is the error of each.
type verifyStopped struct{ error }

// take takes a message of a server.
func (v *verifying) take(i int, server Server, m wire.Message) (last bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch m := m.(type) {
	case *wire.Damaged:
		if v.ended {
			return true, context.Canceled
		}
		d := DamagedKey{Key: Scheme + m.Key, Server: server, Size: int64(m.Size), NoChecksum: m.NoChecksum, Removed: m.Removed, Reason: m.Text}
		if m.Failed != "" {
			d.Err = &Error{Op: "verify", Key: d.Key, Server: server.String(), Kind: ErrStorage, Text: "it was not removed: " + m.Failed}
		}
		if m.NoChecksum {
			v.noChecksum++
		}
		err := v.each(d)
		if err != nil {
			v.ended = true
			v.stop(verifyStopped{err})
		}
		return false, err
	case *wire.Verified:
		v.parts[i] = VerifyProgress{Keys: int64(m.Keys), Bytes: int64(m.Bytes), Damaged: int64(m.Damaged)}
		if v.opts.Report != nil {
			v.opts.Report(v.sum())
		}
		return m.Last, nil
	}
	return true, unexpected(m)
}

// total is sum for who does not hold v.mu.
func (v *verifying) total() VerifyProgress {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sum()
}

func (v *verifying) sum() (p VerifyProgress) {
	for _, part := range v.parts {
		p.Keys += part.Keys
		p.Bytes += part.Bytes
		p.Damaged += part.Damaged
	}
	p.NoChecksum = v.noChecksum
	return p
}
