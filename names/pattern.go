package names

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/nathants/s4/wire"
)

// PatternMeta is what means something in a Pattern.
const PatternMeta = `*?[{\`

// IsPattern reports whether a name has a wildcard. A backslash alone, which would take
// the meaning of one away, makes no pattern.
func IsPattern(name string) bool { return strings.ContainsAny(name, `*?[{`) }

// Pattern is a name with wildcards, for keys and directories of keys:
//
//   - any characters but a slash
//     **     as a whole segment: any number of segments, or none
//     ?      one character but a slash
//     [a-z]  one of the characters; [!a-z] or [^a-z] one of all others but a slash
//     {a,b}  one of the alternatives
//     \x     the character x
type Pattern struct {
	Base   string // the directory in which the first segment with a wildcard is, with its slash
	Prefix string // what the names of all that match begin with: Base, or more
	Flat   bool   // only the last segment has wildcards: all that match are in Base
	Dirs   bool   // only directories match, as the pattern ends in a slash
	text   string // without that slash, for MatchPattern
}

// ParsePattern parses a name with wildcards, without its scheme. The bucket may have
// none. Errors are those of CheckKey.
func ParsePattern(name string) (Pattern, error) {
	text, dirs := strings.CutSuffix(name, "/")
	checked, valid := CheckPattern(text)
	p := Pattern{Dirs: dirs, text: checked}
	meta := strings.IndexAny(name, PatternMeta)
	slash := strings.LastIndexByte(name[:max(meta, 0)], '/')
	switch {
	case len(name) > wire.MaxKey:
		return Pattern{}, checkLength(name)
	case slash < 0:
		return Pattern{}, BadKey(name, "has a pattern for a bucket")
	case !valid:
		return Pattern{}, BadKey(name, "is a malformed pattern")
	}
	p.Base, p.Prefix = name[:slash+1], name[:meta]
	p.Flat = !strings.Contains(text[meta:], "/") && !strings.Contains(text[slash:], "**")
	return p, CheckPrefix(p.Prefix)
}

// Match reports whether a key is meant by its whole name.
func (p Pattern) Match(name string) bool { return !p.Dirs && MatchPattern(p.text, name) }

// Dir returns the first directory on the way to a key that the pattern means, with its
// slash, or "".
func (p Pattern) Dir(name string) string {
	for i := len(p.Base); i < len(name); i++ {
		if name[i] == '/' && MatchPattern(p.text, name[:i]) {
			return name[:i+1]
		}
	}
	return ""
}

// maxBraces is how many alternatives {a,b} a pattern may have. Each may double the time
// of a match: with 8 in the worst order it takes milliseconds.
const maxBraces = 8

// CheckPattern returns a pattern as MatchPattern takes it, and whether it is well-formed,
// with at most 8 alternatives and no slash in a class.
func CheckPattern(pattern string) (string, bool) {
	if strings.Count(pattern, "{") > maxBraces || !doublestar.ValidatePattern(pattern) {
		return "", false
	}
	return withoutSlash(pattern)
}

// withoutSlash returns a valid pattern in which no class matches a slash. To doublestar
// a slash is a character like others there, so that a[!0]c would match a/c.
func withoutSlash(pattern string) (string, bool) {
	if !strings.Contains(pattern, "[") {
		return pattern, true
	}
	var b strings.Builder
	for i := 0; i < len(pattern); {
		n := 1
		switch pattern[i] {
		case '\\':
			n = min(2, len(pattern)-i)
		case '[':
			if n = classLen(pattern[i:]); n == 0 {
				return "", false
			}
		}
		part := pattern[i : i+n]
		i += n
		switch {
		case n > 2 && (part[1] == '!' || part[1] == '^'):
			part = part[:2] + "/-/" + part[2:] // as a range, which a - behind it does not go on with
		case part[0] == '[' && doublestar.MatchUnvalidated(part, "/"):
			return "", false
		}
		b.WriteString(part)
	}
	return b.String(), true
}

// classLen returns the length of the class that a pattern begins with, or 0 if it does
// not end.
func classLen(pattern string) int {
	for i := 1; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case ']':
			return i + 1
		}
	}
	return 0
}

// MatchPattern reports whether a pattern of CheckPattern matches all of a path.
func MatchPattern(pattern, path string) bool { return doublestar.MatchUnvalidated(pattern, path) }
