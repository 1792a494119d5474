package names_test

import (
	"strings"
	"testing"

	"github.com/nathants/s4/names"
)

func TestParsePattern(t *testing.T) {
	for in, want := range map[string]names.Pattern{
		"b/*":          {Base: "b/", Prefix: "b/", Flat: true},
		"b/d/x*":       {Base: "b/d/", Prefix: "b/d/x", Flat: true},
		"b/d/x*/":      {Base: "b/d/", Prefix: "b/d/x", Flat: true, Dirs: true},
		"b/d/x*/k":     {Base: "b/d/", Prefix: "b/d/x"},
		"b/**":         {Base: "b/", Prefix: "b/"},
		"b/d/**/k?":    {Base: "b/d/", Prefix: "b/d/"},
		"b/{x,y/z}":    {Base: "b/", Prefix: "b/"},
		`b/a\*b`:       {Base: "b/", Prefix: "b/a", Flat: true},
		"b/[!a]/[a-c]": {Base: "b/", Prefix: "b/"},
	} {
		p, err := names.ParsePattern(in)
		if err != nil || p.Base != want.Base || p.Prefix != want.Prefix || p.Flat != want.Flat || p.Dirs != want.Dirs {
			t.Errorf("%s: %+v, %v, want %+v", in, p, err, want)
		}
	}
	for _, in := range []string{"", "b", "b/k", "b*/x", "*", "/*", "_s4/*", "b//*", "b/../*", "b/[a", "b/{a", `b/a\`, "b/[/]", "b/a[.-0]b", "b/x y/*", "b/" + strings.Repeat("{a,b}", 9),
		"b/" + strings.Repeat("x", 1022) + "*"} {
		if _, err := names.ParsePattern(in); !isBadKey(err) {
			t.Errorf("%s: %v, want bad-key", in, err)
		}
	}
}

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		match         bool
		dir           string
	}{
		{"b/*", "b/k", true, ""},
		{"b/*", "b/d/k", false, "b/d/"},
		{"b/*/", "b/k", false, ""},
		{"b/*/", "b/d/e/k", false, "b/d/"},
		{"b/2024-*/part_?", "b/2024-01/part_7", true, ""},
		{"b/2024-*/part_?", "b/2024-01/part_77", false, ""},
		{"b/2024-*/part_?", "b/2024-01/part_7/k", false, "b/2024-01/part_7/"},
		{"b/2024-*/part_?", "b/x/2024-01/part_7", false, ""},
		{"b/**/k", "b/k", true, ""},
		{"b/**/k", "b/x/y/k", true, ""},
		{"b/**/k", "b/x/k/y/k/z", false, "b/x/k/"},
		{"b/**", "b/x/y", true, "b/x/"},
		{"b/[!a]*", "b/bc", true, ""},
		{"b/[^a]*", "b/ab", false, ""},
		{"b/{x,y/z}", "b/y/z", true, ""},
		{`b/a\*`, "b/a*", true, ""},
		{`b/a\*`, "b/ab", false, ""},
		{"b/*.txt", "b/.txt", true, ""},
		{"b/?", "b/é", true, ""},
		{"b/log[!0-9]*", "b/log/k", false, ""}, // no class matches a slash
		{"b/log[!0-9]*", "b/log-1/k", false, "b/log-1/"},
		{"b/**/a[^-b]c", "b/a/c", false, ""},
		{`b/a{[!-a],[^\]]}[!-]c`, "b/axyc", true, ""},
		{"b/a[!-x]c", "b/a-c", false, ""},
	} {
		p, err := names.ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if match, dir := p.Match(c.name), p.Dir(c.name); match != c.match || dir != c.dir {
			t.Errorf("%s, %s: %v and directory %q, want %v and %q", c.pattern, c.name, match, dir, c.match, c.dir)
		}
	}
}

// A pattern without wildcards but escapes is the name itself, and what matches begins
// with the prefix that is listed.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"b/*", "b/a[b-d]*/**/x", `b/\*`, "b/{a,b/c}/?", "b/**/x/", "b/a**b"} {
		f.Add(s, "b/abc/x")
	}
	f.Add("b/a[!b]c", "b/a/c")
	f.Fuzz(func(t *testing.T, in, name string) {
		p, err := names.ParsePattern(in)
		if err != nil {
			if !isBadKey(err) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if names.CheckKey(name) != nil {
			return
		}
		dir := p.Dir(name)
		if dir != "" && (!strings.HasPrefix(name, dir) || !strings.HasPrefix(dir, p.Prefix)) {
			t.Fatalf("%q, %q: directory %q", in, name, dir)
		}
		if !p.Match(name) {
			return
		}
		if !strings.HasPrefix(name, p.Prefix) {
			t.Fatalf("%q matches %q, which does not begin with %q", in, name, p.Prefix)
		}
		if p.Flat && strings.Contains(name[len(p.Base):], "/") {
			t.Fatalf("%q is flat, and matches %q", in, name)
		}
	})
}
