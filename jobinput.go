package s4

import (
	"context"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// jobIndir checks where a job's input is, and returns it without its scheme.
func jobIndir(verb Verb, indir string, opts *JobOptions) (string, error) {
	if opts.Manifest != nil {
		switch {
		case verb != VerbMap:
			return "", wire.Errorf(wire.CodeBadRequest, "only a map takes a manifest")
		case indir != "":
			return "", wire.Errorf(wire.CodeBadRequest, "a job with a manifest reads no keys, so it has no INDIR")
		case opts.Keys != nil || opts.Filter != nil || len(opts.MoreIndirs) > 0:
			return "", wire.Errorf(wire.CodeBadRequest, "a job with a manifest reads no keys to choose from")
		case len(opts.Manifest) == 0:
			return "", wire.Errorf(wire.CodeBadRequest, "there is no task in the manifest")
		}
		return "", nil
	}
	return inputDir(indir, opts.NoGlob)
}

// inputDir checks a directory of input, and returns it without its scheme.
func inputDir(dir string, noGlob bool) (string, error) {
	if noGlob {
		return names.ParseDir(dir)
	}
	in, err := names.TrimScheme(dir)
	in = strings.TrimSuffix(in, "/")
	if err == nil {
		_, err = names.ParseGlob(in)
	}
	return in, err
}

// chooseInput sets what of a job's input is meant.
func chooseInput(m *wire.Job, opts *JobOptions) error {
	if len(opts.MoreIndirs) >= wire.MaxIndirs {
		return wire.Errorf(wire.CodeTooLarge, "%d directories of input, at most %d", len(opts.MoreIndirs)+1, wire.MaxIndirs)
	}
	for _, dir := range opts.MoreIndirs {
		in, err := inputDir(dir, opts.NoGlob)
		if err != nil {
			return err
		}
		m.More = append(m.More, in)
	}
	if opts.Filter != nil {
		if opts.Filter.only != nil {
			return wire.Errorf(wire.CodeBadRequest, "a job takes a list of keys, not a filter with one")
		}
		m.Rules = opts.Filter.rules.String()
	}
	if len(m.Rules) > wire.MaxRules {
		return wire.Errorf(wire.CodeTooLarge, "rules of %d bytes, at most %d", len(m.Rules), wire.MaxRules)
	}
	if opts.Keys == nil {
		return nil
	}
	g, err := names.ParseGlob(m.Indir)
	switch {
	case len(m.More) > 0:
		return wire.Errorf(wire.CodeBadRequest, "a list of keys is for one INDIR")
	case !opts.NoGlob && (err != nil || len(g.Pattern) > 0):
		return wire.Errorf(wire.CodeBadRequest, "a list of keys is for an INDIR without a pattern")
	case len(opts.Keys) == 0:
		return wire.Errorf(wire.CodeNotFound, "there is no key in the list")
	}
	return nil
}

// findIndirs returns an error if one of several directories of input has no key: the job
// would run without it. The servers only know of keys that they have.
func (c *Client) findIndirs(ctx context.Context, m *wire.Job) error {
	if len(m.More) == 0 {
		return nil
	}
	for _, dir := range append([]string{m.Indir}, m.More...) {
		g := names.Glob{Base: dir}
		if m.Options&wire.JobNoGlob == 0 {
			var err error
			if g, err = names.ParseGlob(dir); err != nil {
				return usage(m.Verb.String(), Scheme+dir, err)
			}
		}
		found, base := false, Scheme+g.Base+"/"
		for e, err := range c.List(ctx, base, true) {
			if err != nil {
				return c.opError(ctx, m.Verb.String(), Scheme+dir, -1, err)
			}
			if found = g.Match(strings.TrimPrefix(Scheme+e.Name, base)); found {
				break
			}
		}
		if !found {
			return c.notDir(ctx, Verb(m.Verb.String()), Scheme+dir, &Error{Kind: ErrNotFound, Key: Scheme + dir, Text: "no key matches"})
		}
	}
	return nil
}

// jobOutdir does so for its output.
func jobOutdir(verb Verb, outdir string, opts *JobOptions) (string, error) {
	if outdir == "" && verb == VerbMap {
		if opts.Resume {
			return "", wire.Errorf(wire.CodeBadRequest, "a job that writes no keys cannot tell which tasks were done before, and so not skip them")
		}
		return "", nil
	}
	out, err := names.ParseDir(outdir)
	if err == nil && !opts.NoGlob && strings.ContainsAny(out, names.GlobMeta) {
		err = names.BadKey(out, "has a pattern, which only INDIR may have")
	}
	return out, err
}
