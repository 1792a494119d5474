package names_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4/names"
)

func TestParseGlob(t *testing.T) {
	for in, want := range map[string]struct {
		base    string
		pattern []string
	}{
		"b":               {"b", nil},
		"b/a":             {"b/a", nil},
		"b/cols/*/*_5":    {"b/cols", []string{"*", "*_5"}},
		"b/*":             {"b", []string{"*"}},
		"b/x[12]/y":       {"b", []string{"x[12]", "y"}},
		"b/d/?/lit/[a-z]": {"b/d", []string{"?", "lit", "[a-z]"}},
		`b/a\*`:           {"b", []string{`a\*`}},
	} {
		g, err := names.ParseGlob(in)
		if err != nil || g.Base != want.base || !slices.Equal(g.Pattern, want.pattern) {
			t.Errorf("%s: %q, %v, want %q", in, g, err, want)
		}
	}
	for _, in := range []string{"", "b/", "b/a/", "b/*/", "s4://b", "/", "*/x", "b*", "_s4/x", "b//x", "b/../*", "b/[", "b/x[a", "b/*//x", `b/a\`,
		"b/" + strings.Repeat("x*/", 400)} {
		if _, err := names.ParseGlob(in); !isBadKey(err) {
			t.Errorf("%s: %v, want bad-key", in, err)
		}
	}
}

func TestGlobMatch(t *testing.T) {
	for _, c := range []struct {
		glob, rel string
		want      bool
	}{
		{"b", "anything/at/all", true},
		{"b/*", "k", true},
		{"b/*", "d/k", true}, // names the directory
		{"b/*/*_5", "a/x_5", true},
		{"b/*/*_5", "a/x_5/k", true},
		{"b/*/*_5", "a/x_55", false},
		{"b/*/*_5", "x_5", false}, // * does not cross a slash
		{"b/*/*_5", "a/b/x_5", false},
		{"b/?", "ab", false},
		{"b/[ab]*", "bcd/k", true},
		{"b/[ab]*", "cab", false},
		{"b/[!a]", "b", false}, // path.Match has ^ only
		{"b/[^a]", "b", true},
		{`b/\*`, "*", true},
		{`b/\*`, "x", false},
		{"b/*.txt", ".txt", true},
	} {
		g, err := names.ParseGlob(c.glob)
		if err != nil {
			t.Errorf("%s: %v", c.glob, err)
			continue
		}
		if got := g.Match(c.rel); got != c.want {
			t.Errorf("%s, %s: %v", c.glob, c.rel, got)
		}
	}
}

func FuzzParseGlob(f *testing.F) {
	for _, s := range []string{"s4://b/*/x", "b", "b/[a", "b/a*b/", `b/\`, "*/x", "b/a/*?"} {
		f.Add(s, "a/x/k")
	}
	f.Fuzz(func(t *testing.T, in, rel string) {
		g, err := names.ParseGlob(in)
		if err != nil {
			if !isBadKey(err) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if err := names.CheckPrefix(g.Base + "/"); err != nil {
			t.Fatalf("%q has the base %q: %v", in, g.Base, err)
		}
		if names.CheckKey(g.Base+"/"+rel) != nil {
			return
		}
		// The first segments, and only they, decide.
		segs := strings.Split(rel, "/")
		want := len(segs) >= len(g.Pattern)
		for i, p := range g.Pattern {
			if !want {
				break
			}
			want, _ = path.Match(p, segs[i])
		}
		if got := g.Match(rel); got != want {
			t.Fatalf("%q matches %q: %v, want %v", in, rel, got, want)
		}
	})
}
