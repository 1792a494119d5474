package names

import (
	"path"
	"strings"

	"github.com/nathants/s4/wire"
)

// GlobMeta is what makes a segment a pattern of path.Match.
const GlobMeta = `*?[\`

// Glob is an input directory of a job, split where its first metacharacter
// stands.
type Glob struct {
	Base    string   // directory without a trailing slash: bucket or bucket/path
	Pattern []string // per segment below Base, empty for everything
}

// ParseGlob parses an input directory, without its scheme and a trailing slash.
// Segments from the first with a metacharacter of path.Match on are patterns; the
// bucket may not be one. Errors are those of CheckKey.
func ParseGlob(name string) (Glob, error) {
	segs := strings.Split(name, "/")
	cut := len(segs)
	for i, s := range segs {
		if strings.ContainsAny(s, GlobMeta) {
			cut = i
			break
		}
	}
	if cut == 0 {
		return Glob{}, BadKey(name, "has a pattern for a bucket")
	}
	g := Glob{Base: strings.Join(segs[:cut], "/"), Pattern: segs[cut:]}
	for _, p := range g.Pattern {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return Glob{}, BadKey(name, "has a malformed pattern "+p)
		}
	}
	if len(name) > wire.MaxKey {
		return Glob{}, BadKey(name[:64]+"…", "is longer than 1024 bytes")
	}
	return g, CheckPrefix(g.Base + "/")
}

// Match reports whether rel, a key's path relative to Base, is meant: its
// first segments match the pattern's, so that a pattern may name keys or
// directories of keys. A star never crosses a slash.
func (g Glob) Match(rel string) bool {
	for _, p := range g.Pattern {
		seg, rest, _ := strings.Cut(rel, "/")
		if seg == "" {
			return false
		}
		if ok, _ := path.Match(p, seg); !ok {
			return false
		}
		rel = rest
	}
	return true
}
