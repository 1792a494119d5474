package s4_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
)

// fill writes keys with their own names as content.
func fill(t *testing.T, c *s4.Client, keys string) {
	t.Helper()
	for k := range strings.FieldsSeq(keys) {
		if err := c.Put(t.Context(), "s4://"+k, strings.NewReader(k), int64(len(k))); err != nil {
			t.Fatal(err)
		}
	}
}

// seq yields the words of a text.
func seq(text string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for w := range strings.FieldsSeq(text) {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func TestFind(t *testing.T) {
	c := startLocal(t)
	fill(t, c, "b/000 b/001 b/a*b b/d/x.txt b/d/y.log b/d/e/x.txt b/d2/x.txt b/f/x/x/k bb/k")
	for _, tt := range []struct {
		name      string
		recursive bool
		rules     string
		want      string
	}{
		{"s4://b/*", false, "", "b/000 b/001 b/a*b b/d/ b/d2/ b/f/"},
		{"s4://b/*", true, "", "b/000 b/001 b/a*b b/d/e/x.txt b/d/x.txt b/d/y.log b/d2/x.txt b/f/x/x/k"},
		{"s4://b/d*/", false, "", "b/d/e/ b/d/x.txt b/d/y.log b/d2/x.txt"},
		{"s4://b/d*/*.txt", false, "", "b/d/x.txt b/d2/x.txt"},
		{"s4://b/*/?", false, "", "b/d/e/ b/f/x/"},
		{"s4://b/**/x.txt", false, "", "b/d/e/x.txt b/d/x.txt b/d2/x.txt"},
		{"s4://b/**/x", false, "", "b/f/x/"},
		{"s4://b/00[!0]", false, "", "b/001"},
		{"s4://b/{000,d/e}", false, "", "b/000 b/d/e/"},
		{`s4://b/a\*b`, false, "", "b/a*b"},
		{"s4://b/?", false, "", "b/d/ b/f/"},
		{"s4://b/z*", false, "", ""},
		{"s4://b/d", true, "-*.log", "b/d/e/x.txt b/d/x.txt b/d2/x.txt"},
		{"s4://b/d", false, "-e/", "b/d/ b/d2/"},
		{"s4://b/d/", false, "-e/", "b/d/x.txt b/d/y.log"},
		{"s4://b/*", true, "-* +d/e", "b/d/e/x.txt"},
	} {
		var got []string
		for e, err := range c.Find(t.Context(), tt.name, &s4.FindOptions{Recursive: tt.recursive, Glob: true, Filter: filterOf(t, tt.rules)}) {
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if e.Dir != strings.HasSuffix(e.Name, "/") || !e.Dir && (e.Size != int64(len(e.Name)) || e.Modified.IsZero()) {
				t.Errorf("%s: %+v", tt.name, e)
			}
			got = append(got, e.Name)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s, recursive %v, %s:\n%s, want\n%s", tt.name, tt.recursive, tt.rules, s, tt.want)
		}
	}
	for _, name := range []string{"s4://*", "s4://b*/k", "s4://b/[", "b/*", "s4://b/../*"} {
		for e, err := range c.Find(t.Context(), name, &s4.FindOptions{Glob: true}) {
			if !errors.Is(err, s4.ErrBadKey) {
				t.Errorf("%s: %v, %v", name, e, err)
			}
		}
	}
	// Without Glob it is the name of a key, or a prefix.
	for e, err := range c.Find(t.Context(), "s4://b/a*", nil) {
		if err != nil || e.Name != "b/a*b" {
			t.Errorf("%v, %v", e, err)
		}
	}
}

func TestChecksumsOfLocations(t *testing.T) {
	c := startLocal(t)
	fill(t, c, "b/000 b/001 b/d/k")
	n := 0
	for e, err := range c.Find(t.Context(), "s4://b", &s4.FindOptions{Recursive: true, Checksums: true}) {
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.Locate(t.Context(), "s4://"+e.Name)
		if err != nil || l.XXH64 != e.XXH64 || l.XXH64 == 0 || l.Size != e.Size || l.Server != c.Cluster().Servers[c.Cluster().Place(e.Name)] {
			t.Errorf("%s: %+v, %v", e.Name, l, err)
		}
		text, err := os.ReadFile(l.Path)
		if err != nil || string(text) != e.Name {
			t.Errorf("%s: %q, %v", l.Path, text, err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d keys", n)
	}
	for e, err := range c.List(t.Context(), "s4://b", true) {
		if err != nil || e.XXH64 != 0 {
			t.Errorf("nobody asked for a checksum: %+v, %v", e, err)
		}
	}
	if _, err := c.Locate(t.Context(), "s4://b/none"); !errors.Is(err, s4.ErrNotFound) {
		t.Error(err)
	}
}

func TestGetRange(t *testing.T) {
	c := startLocal(t)
	text := strings.Repeat("0123456789", 100_000)
	if err := c.Put(t.Context(), "s4://b/k", strings.NewReader(text), int64(len(text))); err != nil {
		t.Fatal(err)
	}
	fill(t, c, "b/small")
	for _, r := range [][2]int{{0, 1}, {0, len(text)}, {0, len(text) + 5}, {3, 10}, {500_000, 300_000}, {len(text) - 1, 7}, {len(text), 1}, {7, 0}} {
		var got bytes.Buffer
		o, err := c.GetRange(t.Context(), "s4://b/k", int64(r[0]), int64(r[1]), &got)
		want := text[r[0]:min(r[0]+r[1], len(text))]
		if err != nil || got.String() != want || o.Size != int64(len(text)) {
			t.Errorf("%v: %d bytes, %+v, %v", r, got.Len(), o, err)
		}
	}
	for _, r := range [][2]int64{{int64(len(text)) + 1, 1}, {-1, 1}, {0, -1}} {
		if _, err := c.GetRange(t.Context(), "s4://b/k", r[0], r[1], io.Discard); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%v: %v", r, err)
		}
	}
	if _, err := c.GetRange(t.Context(), "s4://b/none", 0, 1, io.Discard); !errors.Is(err, s4.ErrNotFound) {
		t.Error(err)
	}
}

func TestUsage(t *testing.T) {
	c := startLocal(t)
	fill(t, c, "b/000 b/d/x b/d/e/f/y b/d-1/z b/e/w bb/k")
	var got []string
	each := func(dir string, u s4.Usage) error {
		got = append(got, fmt.Sprint(dir, " ", u.Keys, " ", u.Bytes))
		return nil
	}
	servers, err := c.Usage(t.Context(), "s4://b", nil, each)
	if want := "b/d-1/ 1 7,b/d/e/f/ 1 9,b/d/e/ 1 9,b/d/ 2 14,b/e/ 1 5"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	var sum s4.Usage
	for _, s := range servers {
		sum.Keys += s.Keys
		sum.Bytes += s.Bytes
	}
	if want := (s4.Usage{Keys: 5, Bytes: 31}); len(servers) != 3 || sum != want {
		t.Errorf("%v, want %v in all", servers, want)
	}
	got = nil
	if _, err := c.Usage(t.Context(), "s4://b/d*", &s4.FindOptions{Glob: true, Filter: filterOf(t, "-e/")}, each); err != nil || strings.Join(got, ",") != "b/d-1/ 1 7,b/d/ 1 5" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRemoveEach(t *testing.T) {
	c := startLocal(t)
	var many strings.Builder
	for i := range 500 { // several times what is in flight at a time
		fmt.Fprintf(&many, "b/many/%03d ", i)
	}
	fill(t, c, many.String())
	fill(t, c, "b/000 b/001 b/d/x.txt b/d/y.log b/e1/k b/e2/k b/f b/f1")
	for _, tt := range []struct {
		names string
		opts  s4.RemoveOptions
		want  int64
		left  string // below b, without b/many
		fails string
	}{
		{"s4://b/000 s4://b/none s4://b/d", s4.RemoveOptions{DryRun: true}, 1, "000 001 d/x.txt d/y.log e1/k e2/k f f1", "s4://b/none s4://b/d"},
		{"s4://b/000 s4://b/none s4://b/d", s4.RemoveOptions{}, 1, "001 d/x.txt d/y.log e1/k e2/k f f1", "s4://b/none s4://b/d"},
		{"s4://b/*", s4.RemoveOptions{}, 0, "001 d/x.txt d/y.log e1/k e2/k f f1", "s4://b/*"},
		{"s4://b/f s4://b/z", s4.RemoveOptions{Recursive: true}, 0, "001 d/x.txt d/y.log e1/k e2/k f f1", "s4://b/f s4://b/z"},
		{"s4://b/d", s4.RemoveOptions{Recursive: true, Filter: filterOf(t, "-*.log")}, 1, "001 d/y.log e1/k e2/k f f1", ""},
		{"s4://b/00? s4://b/e*", s4.RemoveOptions{Glob: true}, 1, "d/y.log e1/k e2/k f f1", "s4://b/e*"},
		{"s4://b/e*/", s4.RemoveOptions{Glob: true}, 0, "d/y.log e1/k e2/k f f1", "s4://b/e*/"},
		{"s4://b/e*/", s4.RemoveOptions{Glob: true, Recursive: true}, 2, "d/y.log f f1", ""},
		// A name that is gone does not stand for all that begin with it: not for d/y.log.
		{"s4://b/none/ s4://b/d/y", s4.RemoveOptions{Recursive: true, Whole: true}, 0, "d/y.log f f1", "s4://b/none/ s4://b/d/y"},
		{"s4://b/f", s4.RemoveOptions{Prefix: true}, 2, "d/y.log", ""},
		{"s4://b/many/", s4.RemoveOptions{Recursive: true}, 500, "d/y.log", ""},
	} {
		var failed []string
		reports := 0
		tt.opts.Report = func(r s4.Removal) {
			reports++
			if r.Err != nil {
				failed = append(failed, r.Key)
			}
		}
		n, err := c.RemoveEach(t.Context(), seq(tt.names), &tt.opts)
		var left []string
		for _, k := range keys(t, c, "s4://b") {
			if !strings.HasPrefix(k, "b/many/") {
				left = append(left, strings.TrimPrefix(k, "b/"))
			}
		}
		slices.Sort(failed)
		want := strings.Fields(tt.fails)
		slices.Sort(want)
		if err != nil || n != tt.want || strings.Join(left, " ") != tt.left || !slices.Equal(failed, want) || reports != len(failed)+int(n) {
			t.Errorf("%s, %+v: %d, %v; failed %v, left %v", tt.names, tt.opts, n, err, failed, left)
		}
	}
	stop := errors.New("no more names")
	if _, err := c.RemoveEach(t.Context(), func(yield func(string, error) bool) { yield("", stop) }, nil); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestCopyAll(t *testing.T) {
	c := startLocal(t)
	src := t.TempDir()
	for _, f := range []string{"a", "d/b.txt", "d/e/c.log"} {
		path := filepath.Join(src, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	up := func(names, dst string, opts *s4.CopyOptions) error {
		return c.CopyAll(t.Context(), seq(strings.ReplaceAll(names, "@", src+"/")), dst, opts)
	}
	if err := up("@a @d", "s4://b/in/", &s4.CopyOptions{Recursive: true, Filter: filterOf(t, "-*.log")}); err != nil {
		t.Fatal(err)
	}
	if err := up("@a @none @d", "s4://b/in2/", nil); !errors.Is(err, s4.ErrStorage) {
		t.Error(err)
	}
	if got := strings.Join(keys(t, c, "s4://b"), " "); got != "b/in/a b/in/d/b.txt b/in2/a" {
		t.Error(got)
	}
	for _, bad := range []struct{ srcs, dst string }{{"@a", "s4://b/x"}, {"-", "s4://b/x/"}, {"@a", src + "/"}, {"s4://b/in/a", "-"}, {"s4://b/in/a", src + "/new"}} {
		if err := up(bad.srcs, bad.dst, nil); !errors.Is(err, s4.ErrBadRequest) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	files := func(dir string) string {
		var got []string
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				got = append(got, strings.TrimPrefix(path, dir+"/"))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return strings.Join(got, " ")
	}
	for names, want := range map[string]string{
		"s4://b/in/a s4://b/in/d":    "a d/b.txt",
		"s4://b/in*/?":               "in/a in/d/b.txt in2/a",
		"s4://b/in/* s4://b/none":    "a d/b.txt",
		"s4://b/in/a s4://b/in2/a":   "a", // the second would replace it
		"s4://b/in/d/ s4://b/none/*": "d/b.txt",
		"s4://b/in/? s4://b/in2/*":   "a d/b.txt", // likewise
		"s4://b/in* s4://b/in":       "in/a in/d/b.txt in2/a",
		"s4:// s4://b/in":            "in/a in/d/b.txt",
		"s4://b/x//none s4://b/in":   "in/a in/d/b.txt",
		"s4://b/[none s4://b/in":     "in/a in/d/b.txt",
	} {
		dst := filepath.Join(t.TempDir(), "new")
		failed := 0
		opts := &s4.CopyOptions{Recursive: true, Glob: true, Report: func(r s4.Transfer) {
			if r.Err != nil {
				failed++
			}
		}}
		err := c.CopyAll(t.Context(), seq(names), dst, opts)
		if got := files(dst); err != nil || got != want || failed != strings.Count(names, "none")+strings.Count(names, "in2/")+strings.Count(names, "s4:// ") {
			t.Errorf("%s: %s, %v, %d failed, want %s", names, got, err, failed, want)
		}
	}
	dst := t.TempDir()
	dry := 0
	err := c.Copy(t.Context(), "s4://b/in/*", dst, &s4.CopyOptions{Glob: true, DryRun: true, Report: func(s4.Transfer) { dry++ }})
	if err != nil || dry != 1 || files(dst) != "" {
		t.Errorf("%d, %v, %s", dry, err, files(dst))
	}
	if err := c.Copy(t.Context(), "s4://b/z*", dst, &s4.CopyOptions{Glob: true}); !errors.Is(err, s4.ErrNotFound) {
		t.Error(err)
	}
}
