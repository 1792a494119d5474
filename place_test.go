package s4_test

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/names"
)

func servers(n int) *s4.Cluster {
	c := new(s4.Cluster)
	for i := range n {
		c.Servers = append(c.Servers, s4.Server{Address: "127.0.0.1", Port: fmt.Sprint(1000 + i)})
	}
	return c
}

func TestPlace(t *testing.T) {
	// The hashes are those of xxhsum -H64, which does not share our code.
	for s, want := range map[string]uint64{
		"":         0xef46db3751d8e999,
		"a":        0xd24ec4f1a98c6e5b,
		"abc":      0x44bc2cf5ad770999,
		"name.txt": xxhash.Sum64String("name.txt"),
	} {
		if got := xxhash.Sum64String(s); got != want {
			t.Fatalf("xxh64(%q) = %x, want %x", s, got, want)
		}
	}
	const max = 1<<64 - 1
	for _, n := range []int{1, 2, 3, 7, 10, 1000} {
		c := servers(n)
		for name, want := range map[string]uint64{
			"b/000_bucket0.txt":          0,
			"b/dir/5":                    5,
			"b/1_x/12_y":                 12,
			"b/0010":                     10,
			"b/18446744073709551615":     max,
			"b/18446744073709551615_z":   max,
			"b/18446744073709551616":     xxhash.Sum64String("18446744073709551616"),
			"b/18446744073709551616_z":   xxhash.Sum64String("18446744073709551616_z"),
			"b/a":                        0xd24ec4f1a98c6e5b,
			"b/x/y/abc":                  0x44bc2cf5ad770999,
			"b/000.txt":                  xxhash.Sum64String("000.txt"),
			"s4://b/000_bucket0.txt":     0,
			"s4://b/somewhere/else/abc":  0x44bc2cf5ad770999,
			"b/9223372036854775808_half": 1 << 63,
		} {
			if got := c.Place(name); got != int(want%uint64(n)) {
				t.Errorf("%s of %d servers: %d, want %d", name, n, got, want%uint64(n))
			}
		}
	}
}

// Keys with the same basename, or the same numeric prefix, are on one server, on which
// map and map-from-n rely.
func FuzzPlace(f *testing.F) {
	f.Add("000_a", uint8(3))
	f.Add("x", uint8(1))
	f.Add("18446744073709551616", uint8(7))
	f.Fuzz(func(t *testing.T, base string, n uint8) {
		if names.CheckKey("b/"+base) != nil || n == 0 || names.Base("b/"+base) != base {
			return
		}
		c := servers(int(n))
		at := c.Place("b/" + base)
		if at < 0 || at >= int(n) {
			t.Fatalf("server %d of %d", at, n)
		}
		if other := c.Place("c/some/dir/" + base); other != at {
			t.Fatalf("%q is at %d and, elsewhere, at %d", base, at, other)
		}
		if digits, ok := names.NumericPrefix(base); ok && c.Place("b/"+digits) != at {
			t.Fatalf("%q is at %d, its prefix %q at %d", base, at, digits, c.Place("b/"+digits))
		}
	})
}
