package names

import (
	"slices"
	"strings"
)

// Rules say which of many paths are meant. The last rule that matches a path decides. If
// none does, the path is meant, unless the first rule is an include. No rules mean all.
type Rules []Rule

// Rule is one of Rules, see NewRule.
type Rule struct {
	Include bool
	Text    string // the pattern as it was given

	pattern string // without slashes at its ends, for MatchPattern
	whole   bool   // compare it with the path, not with its segments
	dirs    bool   // only directories
}

// NewRule makes a rule of a pattern. ok is false if it is malformed.
func NewRule(pattern string, include bool) (r Rule, ok bool) {
	r = Rule{Include: include, Text: pattern}
	r.pattern, r.dirs = strings.CutSuffix(pattern, "/")
	r.whole = strings.Contains(r.pattern, "/")
	r.pattern = strings.TrimPrefix(r.pattern, "/")
	if strings.IndexByte(pattern, 0) >= 0 || slices.ContainsFunc(strings.Split(r.pattern, "/"), isNoName) {
		return Rule{}, false
	}
	r.pattern, ok = CheckPattern(r.pattern)
	return r, ok
}

// isNoName reports whether no path has such a segment. A rule that can match nothing, such
// as ./tmp or a whole s4://bucket/key, is a mistake, and with an exclude a costly one.
func isNoName(segment string) bool { return segment == "" || segment == "." || segment == ".." }

// Match reports whether the path is meant. A directory's ends in a slash.
func (rs Rules) Match(path string) bool {
	if len(rs) == 0 {
		return true
	}
	for i := len(rs) - 1; i >= 0; i-- {
		if rs[i].match(path) {
			return rs[i].Include
		}
	}
	return !rs[0].Include
}

// match reports whether the rule is about the path, or about a directory that it is in.
func (r *Rule) match(path string) bool {
	for start, i := 0, 0; i <= len(path); i++ {
		dir := i < len(path)
		if dir && path[i] != '/' || start == i && !dir {
			continue // in a segment, or after the slash of a directory
		}
		if (dir || !r.dirs) && MatchPattern(r.pattern, path[start:i]) {
			return true
		}
		if !r.whole {
			start = i + 1
		}
	}
	return false
}

// String returns the rules as a JOB has them: each a + or -, its pattern, and a zero byte.
func (rs Rules) String() string {
	var b strings.Builder
	for _, r := range rs {
		sign := byte('-')
		if r.Include {
			sign = '+'
		}
		b.WriteByte(sign)
		b.WriteString(r.Text)
		b.WriteByte(0)
	}
	return b.String()
}

// ParseRules is the reverse of String. The error is a *wire.Error of kind CodeBadKey.
func ParseRules(text string) (rs Rules, err error) {
	for text != "" {
		line, rest, ended := strings.Cut(text, "\x00")
		text = rest
		if line == "" || !ended || line[0] != '+' && line[0] != '-' {
			return nil, BadKey(line, "is no rule: those begin with + or - and end in a zero byte")
		}
		r, ok := NewRule(line[1:], line[0] == '+')
		if !ok {
			return nil, BadKey(line[1:], "is a malformed pattern")
		}
		rs = append(rs, r)
	}
	return rs, nil
}
