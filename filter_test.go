package s4_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/nathants/s4"
)

// filterOf returns a filter of rules: +PATTERN includes, -PATTERN excludes.
func filterOf(t *testing.T, rules string) *s4.Filter {
	t.Helper()
	f := new(s4.Filter)
	for r := range strings.FieldsSeq(rules) {
		add := f.Include
		if r[0] == '-' {
			add = f.Exclude
		}
		if err := add(r[1:]); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
	}
	return f
}

func TestFilter(t *testing.T) {
	const paths = "a.txt b.log d/a.txt d/b.log d/e/f.txt tmp tmpx/k x/tmp/k"
	for rules, want := range map[string]string{
		"":                      paths,
		"-*":                    "",
		"-* +*.txt":             "a.txt d/a.txt d/e/f.txt",
		"+*.txt":                "a.txt d/a.txt d/e/f.txt",
		"+*.txt -*":             "",
		"-*.txt +a.txt":         "a.txt b.log d/a.txt d/b.log tmp tmpx/k x/tmp/k",
		"-tmp":                  "a.txt b.log d/a.txt d/b.log d/e/f.txt tmpx/k",
		"-tmp/":                 "a.txt b.log d/a.txt d/b.log d/e/f.txt tmp tmpx/k",
		"-/tmp":                 "a.txt b.log d/a.txt d/b.log d/e/f.txt tmpx/k x/tmp/k",
		"-d/*":                  "a.txt b.log tmp tmpx/k x/tmp/k",
		"-d/*.txt":              "a.txt b.log d/b.log d/e/f.txt tmp tmpx/k x/tmp/k",
		"-d/**/*.txt":           "a.txt b.log d/b.log tmp tmpx/k x/tmp/k",
		"-d +d/e":               "a.txt b.log d/e/f.txt tmp tmpx/k x/tmp/k",
		"+d -*.log":             "d/a.txt d/e/f.txt",
		"+?.{txt,log} -[b-z].*": "a.txt d/a.txt",
		"-**/tmp/*":             "a.txt b.log d/a.txt d/b.log d/e/f.txt tmp tmpx/k",
	} {
		f := filterOf(t, rules)
		var got []string
		for p := range strings.FieldsSeq(paths) {
			if f.Match(p) {
				got = append(got, p)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s:\n%s, want\n%s", rules, s, want)
		}
	}
	var none *s4.Filter
	if !none.Match("k") {
		t.Error("no filter means nothing")
	}
	if f := filterOf(t, "-tmp/"); f.Match("tmp/") || f.Match("x/tmp/") || !f.Match("tmpx/") {
		t.Error("a directory is not told by its slash")
	}
	for _, bad := range []string{"", "/", "[a", "{a", `a\`, "a/[", "./tmp", "a//b", "../x", "s4://b/k", "a[/]", strings.Repeat("{a,b}", 9)} {
		if err := new(s4.Filter).Exclude(bad); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Only leaves out all that is not listed, and rules leave out more.
func TestFilterOnly(t *testing.T) {
	var f s4.Filter
	for _, path := range []string{"./a/b", "c", "d"} {
		if err := f.Only(path); err != nil {
			t.Error(err)
		}
	}
	if err := f.Exclude("d"); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]bool{"a/b": true, "c": true, "d": false, "a": false, "b": false, "a/b/c": false} {
		if f.Match(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	var none s4.Filter
	if _ = none.Only(); none.Match("a") || !none.Prunes("a") {
		t.Error("an empty list lets through what it does not have")
	}
	for _, path := range []string{"", ".", "/a", "../a", "a/", "a//b", "a/./b"} {
		if err := f.Only(path); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// A directory is pruned only if nothing below it is meant.
func TestFilterPrunes(t *testing.T) {
	for _, tt := range []struct{ rules, dirs string }{ // + pruned, - walked
		{"-node_modules/**", "+node_modules +node_modules/a -src -src/node_modules"},
		{"-.git", "+.git +a/.git -a"},
		{"-.git/", "+.git +a/.git"},
		{"-tmp +*.go", "-tmp"},
		{"-tmp +a/*.go", "+tmp -a -b"},
		{"-a/b +a/b/c/*.go", "-a -a/b -a/b/c +a/b/d"},
		{"-*", "+a +a/b"},
		{"-* +a/b/c", "-a -a/b -a/b/c +b +a/c"},
		{"-* +a/b/c -a/b", "+a/b"},
		{"+a/*/c", "-a -a/x +b +a/x/d -a/x/c"},
		{"+a/**/c", "-a -a/x -b"},
		{"+{a,b}/c", "-a -b -c"},
		{"+*.txt", "-a -a/b"},
		{"-*.txt", "-a +b.txt"},
		{"", "-a"},
	} {
		f := filterOf(t, tt.rules)
		for d := range strings.FieldsSeq(tt.dirs) {
			if dir, want := d[1:], d[0] == '+'; f.Prunes(dir) != want {
				t.Errorf("%q: %s is pruned: %v", tt.rules, dir, !want)
			}
		}
	}
	var listed s4.Filter
	if err := listed.Only("a/b/c"); err != nil || listed.Prunes("a") || listed.Prunes("a/b") || !listed.Prunes("a/c") || !listed.Prunes("b") {
		t.Error("listed", err)
	}
	if listed.Match("a/b") {
		t.Error("a directory of what is listed is not listed")
	}
}

// FuzzFilterPrunes looks for a path that is meant, in a directory that is pruned.
func FuzzFilterPrunes(f *testing.F) {
	f.Add("a/b", true, "*", false, "a/b/c")
	f.Add("*", false, "a/*/c", true, "a/b/c")
	f.Add("a/**", false, "a/b/", true, "a/b/c")
	f.Add("[!a]/b", true, "{a/b,c}", false, "c/b/d")
	f.Fuzz(func(t *testing.T, first string, include bool, second string, include2 bool, path string) {
		var filter s4.Filter
		for _, r := range []struct {
			pattern string
			include bool
		}{{first, include}, {second, include2}} {
			add := filter.Exclude
			if r.include {
				add = filter.Include
			}
			if add(r.pattern) != nil {
				return
			}
		}
		if len(first)+len(second)+len(path) > 60 { // matching takes long for patterns with many wildcards
			return
		}
		if !fs.ValidPath(path) || !filter.Match(path) {
			return
		}
		for i := range len(path) {
			if path[i] == '/' && filter.Prunes(path[:i]) {
				t.Errorf("%q is meant, and %q pruned", path, path[:i])
			}
		}
	})
}
