package s4

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/names"
)

// Place returns the index of the server that owns a key. It is the numeric prefix of the
// basename, or if there is none the xxh64 of the basename, modulo the number of servers.
// name is the key with or without its scheme.
func (c *Cluster) Place(name string) int {
	base := names.Base(name)
	n := uint64(len(c.Servers))
	if digits, ok := names.NumericPrefix(base); ok {
		v, _ := strconv.ParseUint(digits, 10, 64) // cannot fail: see NumericPrefix
		return int(v % n)
	}
	return int(xxhash.Sum64String(base) % n)
}
