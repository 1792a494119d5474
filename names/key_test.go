package names_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

func isBadKey(err error) bool { return errors.Is(err, wire.CodeBadKey) }

func TestCheckKey(t *testing.T) {
	seg255 := strings.Repeat("x", 255)
	long := "b/" + strings.Repeat(strings.Repeat("y", 199)+"/", 5) + strings.Repeat("z", 22) // 1024
	if len(long) != 1024 {
		t.Fatal(len(long))
	}
	good := []string{
		"b/k", "b/a/b/c", "b/000_bucket0.txt", "b/.hidden", "b/...", "b/..a", "b/a..", "B-1.2/k",
		"b/" + seg255, seg255 + "/k", long,
		"b/größe/日本語", "b/k_", "b/_k", "b/_s4/k", "b/*", "b/a[1]", "b/%2e%2e", "b/\\", "b/-rf", "b/~", "b/'\"$",
	}
	for _, k := range good {
		if err := names.CheckKey(k); err != nil {
			t.Errorf("%q: %v", k, err)
		}
		if err := names.CheckPrefix(k); err != nil {
			t.Errorf("prefix %q: %v", k, err)
		}
	}
	bad := map[string]string{
		"":                    "has no bucket",
		"/":                   "has no bucket",
		"/b/k":                "has no bucket",
		"b":                   "names a bucket",
		"b/":                  "names a bucket",
		"b//k":                "empty segment",
		"b/k/":                "ends in a slash",
		"b/a//k":              "empty segment",
		"./k":                 "segment .",
		"../k":                "segment ..",
		"b/.":                 "segment .",
		"b/..":                "segment ..",
		"b/../k":              "segment ..",
		"b/a/../../../etc/pw": "segment ..",
		"b/./k":               "segment .",
		"_s4/jobs":            "reserved",
		"_/k":                 "reserved",
		"b/a b":               "white space",
		"b /k":                "white space",
		"b/a\tb":              "white space",
		"b/a\nb":              "white space",
		"b/a\u00a0b":          "white space",
		"b/a\u2028b":          "white space",
		"b/a\x00b":            "control",
		"b/a\x7fb":            "control",
		"b/a\u009bb":          "control",
		"b/\xff":              "UTF-8",
		"b/a\xc3":             "UTF-8",
		"b/" + seg255 + "x":   "255",
		seg255 + "x/k":        "255",
		long + "z":            "1024",
	}
	for k, why := range bad {
		err := names.CheckKey(k)
		if !isBadKey(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want bad-key with %q", k, err, why)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for _, p := range []string{"b", "b/", "b/a", "b/a/", "b/a/.", "b/a/..", "b/.", "b/..", "b/a/..b"} {
		if err := names.CheckPrefix(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "/", "_", "_s4", "_s4/jobs/", "b//", "b/../", "b/./x", "../", "..", ".", "b/a/../c", "b/\xff", "b/a b"} {
		if err := names.CheckPrefix(p); !isBadKey(err) {
			t.Errorf("%q: %v, want bad-key", p, err)
		}
	}
}

// A key that is accepted is the path of one file below the data directory, and no
// other key has that path.
func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"b/k", "../x", "b/..", "b//k", "/etc/passwd", "b/a/../../x", "_s4/lock", "b/\x00", "b/\xff", "b/…", "b/a\u2029"} {
		f.Add(s)
	}
	const root = "/data"
	f.Fuzz(func(t *testing.T, name string) {
		err := names.CheckKey(name)
		if err != nil {
			if !isBadKey(err) {
				t.Fatalf("%q: %v is no bad-key", name, err)
			}
			if !utf8.ValidString(err.(*wire.Error).Key) {
				t.Fatalf("%q: the error's key is not valid UTF-8", name)
			}
			return
		}
		path := filepath.Join(root, name)
		if path != root+"/"+name || !filepath.IsLocal(name) {
			t.Fatalf("%q is the path %q", name, path)
		}
		back, err := filepath.Rel(root, path)
		if err != nil || back != name {
			t.Fatalf("%q came back as %q, %v", name, back, err)
		}
		if strings.HasPrefix(name, "_") || !strings.Contains(name, "/") || strings.ContainsAny(name, " \t\n\r\x00") {
			t.Fatalf("%q was accepted", name)
		}
		if err := names.CheckPrefix(name); err != nil {
			t.Fatalf("key %q is no prefix: %v", name, err)
		}
		if base := names.Base(name); base == "" || strings.Contains(base, "/") || !strings.HasSuffix(name, "/"+base) {
			t.Fatalf("%q has the basename %q", name, base)
		}
	})
}
