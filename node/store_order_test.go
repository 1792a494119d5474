package node

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestListOrderOfNestedNames(t *testing.T) {
	s := testStore(t, t.TempDir())
	all := []string{"b/a.txt", "b/a/b", "b/a/c/d", "b/a-", "b/a0", "b/ab/x", "b/a!", "b/A", "b/é", "b/z"}
	mustWrite(t, s, all...)
	slices.Sort(all)
	if got := s.names(t, "b/", true); !slices.Equal(got, all) {
		t.Errorf("%q, want %q", got, all)
	}
	if got, want := s.names(t, "b/", false), []string{"b/A", "b/a!", "b/a-", "b/a.txt", "b/a/", "b/a0", "b/ab/", "b/z", "b/é"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for prefix, want := range map[string][]string{
		"b/a":     {"b/a!", "b/a-", "b/a.txt", "b/a/b", "b/a/c/d", "b/a0", "b/ab/x"},
		"b/a/":    {"b/a/b", "b/a/c/d"},
		"b/a/c":   {"b/a/c/d"},
		"b/a.":    {"b/a.txt"},
		"b/x":     {},
		"b/z/":    {},
		"b/z/y/x": {},
		"c/":      {},
		"b":       all,
	} {
		if got := s.names(t, prefix, true); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

// Whatever the names, a directory's order is the byte order of the full keys.
func TestDirentOrderIsKeyOrder(t *testing.T) {
	alphabet := []string{"a", "b", ".", "-", "0", "!", "~", "é", "aa", "\x80"}
	r := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var s string
		for range 1 + r.IntN(4) {
			s += alphabet[r.IntN(len(alphabet))]
		}
		return s
	}
	for range 300 {
		seen := map[string]bool{}
		var dirents []dirent
		var keys []string
		for range 1 + r.IntN(12) {
			n := name()
			if seen[n] {
				continue
			}
			seen[n] = true
			d := dirent{n, r.IntN(2) == 0}
			dirents = append(dirents, d)
			if !d.dir {
				keys = append(keys, n)
				continue
			}
			for range 1 + r.IntN(3) {
				if k := n + "/" + name(); !slices.Contains(keys, k) {
					keys = append(keys, k)
				}
			}
		}
		slices.SortFunc(dirents, dirent.compare)
		slices.Sort(keys)
		// Walking the sorted directory meets the sorted keys.
		var walked []string
		for _, d := range dirents {
			for _, k := range keys {
				if k == d.name && !d.dir || d.dir && strings.HasPrefix(k, d.name+"/") {
					walked = append(walked, k)
				}
			}
		}
		if !slices.Equal(walked, keys) {
			t.Fatalf("walked %q, want %q", walked, keys)
		}
	}
}

func TestListIsKeyOrderOnDisk(t *testing.T) {
	s := testStore(t, t.TempDir())
	r := rand.New(rand.NewPCG(3, 4))
	segs := []string{"a", "a.b", "a-", "b", "B", "a0", "_", "..."}
	var want []string
	for range 150 {
		k := "b"
		for range 1 + r.IntN(3) {
			k += "/" + segs[r.IntN(len(segs))]
		}
		if s.write(k, k) == nil {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	if got := s.names(t, "b/", true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
