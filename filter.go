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
	rules []rule
	only  map[string]bool // what Only was called with, and its directories with a slash; or nil
}

// rule is one rule of a Filter.
type rule struct {
	pattern string // without slashes at its ends
	include bool
	whole   bool // compare it with the path, not with its segments
	dirs    bool // only directories
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
		if slices.ContainsFunc(strings.Split(path, "/"), isNoName) {
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
	r := rule{include: include}
	r.pattern, r.dirs = strings.CutSuffix(pattern, "/")
	r.whole = strings.Contains(r.pattern, "/")
	r.pattern = strings.TrimPrefix(r.pattern, "/")
	valid := !slices.ContainsFunc(strings.Split(r.pattern, "/"), isNoName)
	if valid {
		r.pattern, valid = names.CheckPattern(r.pattern)
	}
	if !valid {
		return &Error{Op: "filter", Kind: wire.CodeBadRequest, Text: fmt.Sprintf("malformed pattern %q", pattern)}
	}
	f.rules = append(f.rules, r)
	return nil
}

// isNoName reports whether no path has such a segment. A rule that can match nothing, such
// as ./tmp or a whole s4://bucket/key, is a mistake, and with an Exclude a costly one.
func isNoName(segment string) bool { return segment == "" || segment == "." || segment == ".." }

// Match reports whether the path is meant. A directory's ends in a slash.
func (f *Filter) Match(path string) bool {
	switch {
	case f == nil:
		return true
	case f.only != nil && !f.only[path]:
		return false
	case len(f.rules) == 0:
		return true
	}
	for i := len(f.rules) - 1; i >= 0; i-- {
		if f.rules[i].match(path) {
			return f.rules[i].include
		}
	}
	return !f.rules[0].include
}

// match reports whether the rule is about the path, or about a directory that it is in.
func (r *rule) match(path string) bool {
	for start, i := 0, 0; i <= len(path); i++ {
		dir := i < len(path)
		if dir && path[i] != '/' || start == i && !dir {
			continue // in a segment, or after the slash of a directory
		}
		if (dir || !r.dirs) && names.MatchPattern(r.pattern, path[start:i]) {
			return true
		}
		if !r.whole {
			start = i + 1
		}
	}
	return false
}

// prunes reports whether nothing below the directory dir, which has no slash at its end, is
// meant, so that a walk need not look. It may report false where that is so.
func (f *Filter) prunes(dir string) bool {
	switch {
	case f == nil:
		return false
	case f.only != nil && !f.only[dir+"/"]:
		return true
	}
	for i := len(f.rules) - 1; i >= 0; i-- {
		r := &f.rules[i]
		if r.match(dir + "/") { // and so all below
			return !r.include
		}
		if r.include && r.mayMatchBelow(dir) {
			return false
		}
	}
	return len(f.rules) > 0 && f.rules[0].include
}

// mayMatchBelow reports whether the rule, which does not match dir, could match a path
// below it.
func (r *rule) mayMatchBelow(dir string) bool {
	if !r.whole || strings.ContainsAny(r.pattern, `{[\`) || strings.Contains(r.pattern, "**") {
		return true
	}
	pattern, path := strings.Split(r.pattern, "/"), strings.Split(dir, "/")
	if len(pattern) <= len(path) {
		return false
	}
	for i := range path {
		if !names.MatchPattern(pattern[i], path[i]) {
			return false
		}
	}
	return true
}
