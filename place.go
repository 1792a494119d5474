package s4

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/names"
)

// Place returns the index of the server that owns the key: its numeric prefix
// modulo the number of servers, or else the xxh64 of its basename modulo that.
// name is the key with or without its scheme.
func (c *Cluster) Place(name string) int {
	base := names.Base(name)
	n := uint64(len(c.Servers))
	if digits, ok := names.NumericPrefix(base); ok {
		v, _ := strconv.ParseUint(digits, 10, 64) // NumericPrefix has checked it
		return int(v % n)
	}
	return int(xxhash.Sum64String(base) % n)
}
