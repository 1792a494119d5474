package s4

import (
	"fmt"

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
}

// Include adds a rule for what is meant. A pattern that is malformed is ErrBadRequest.
func (f *Filter) Include(pattern string) error { return f.add(pattern, true) }

// Exclude adds a rule for what is not meant. A pattern that is malformed is
// ErrBadRequest.
func (f *Filter) Exclude(pattern string) error { return f.add(pattern, false) }

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
func (f *Filter) Match(path string) bool { return f == nil || f.rules.Match(path) }
