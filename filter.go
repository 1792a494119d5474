package s4

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// Filter says which of many keys or files are meant, by rules that look at their paths
// relative to the directory that is copied, listed or removed. The last rule that matches
// a path decides. If none does, the path is meant, unless the first rule is an Include:
// what nobody asked for is then left out. The zero value, and a nil *Filter, mean all.
//
// A rule is a pattern of shells: * and ? do not match a slash, ** matches any number of
// segments, [a-z] and {a,b} are as usual. A pattern without a slash is compared with each
// segment of a path, as in .gitignore: *.txt means such files in every directory, and tmp
// all below a directory tmp. One with a slash is compared with the path from its
// beginning, and means all below a directory that it matches. One that ends in a slash
// means directories only. As in paths, no segment is empty, or . or .. alone.
type Filter struct {
	rules names.Rules
	only  map[string]bool // what Only was called with, and its directories with a slash; or nil
}

// Include adds a rule for what is meant. A pattern that is malformed is ErrBadRequest.
func (f *Filter) Include(pattern string) error { return f.add(pattern, true) }

// Exclude adds a rule for what is not meant. A pattern that is malformed is
// ErrBadRequest.
func (f *Filter) Exclude(pattern string) error { return f.add(pattern, false) }

// Only adds paths to a list of those that are meant: all others are not, whatever the rules
// say. Without a path, the list may be empty, and then nothing is meant. A leading ./ is
// left out. A path that is none of a file below the directory is ErrBadRequest.
func (f *Filter) Only(paths ...string) error {
	if f.only == nil {
		f.only = make(map[string]bool)
	}
	for _, path := range paths {
		path = strings.TrimPrefix(path, "./")
		if slices.ContainsFunc(strings.Split(path, "/"), names.IsNoName) {
			return &Error{Op: "filter", Kind: ErrBadRequest, Text: fmt.Sprintf("%q is no path of a file below the directory", path)}
		}
		f.only[path] = true
		for i := range len(path) {
			if path[i] == '/' {
				f.only[path[:i+1]] = true
			}
		}
	}
	return nil
}

func (f *Filter) add(pattern string, include bool) error {
	r, ok := names.NewRule(pattern, include)
	if !ok {
		return &Error{Op: "filter", Kind: wire.CodeBadRequest, Text: fmt.Sprintf("malformed pattern %q", pattern)}
	}
	f.rules = append(f.rules, r)
	return nil
}

// Rules returns the patterns in their order, each behind a + if it was included, or a -.
func (f *Filter) Rules() []string {
	if f == nil {
		return nil
	}
	var list []string
	for _, r := range f.rules {
		sign := "-"
		if r.Include {
			sign = "+"
		}
		list = append(list, sign+r.Text)
	}
	return list
}

// Match reports whether the path is meant. A directory's ends in a slash.
func (f *Filter) Match(path string) bool {
	return f == nil || (f.only == nil || f.only[path]) && f.rules.Match(path)
}

// prunes reports whether nothing below the directory dir, which has no slash at its end, is
// meant, so that a walk need not look. It may report false where that is so.
func (f *Filter) prunes(dir string) bool {
	return f != nil && (f.only != nil && !f.only[dir+"/"] || f.rules.Prunes(dir))
}
