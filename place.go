package s4

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// NumericPrefix returns the digits that decide where a key with this basename
// lives: all before the first underscore, or all there is, if they are
// nothing but digits and make a number below 2^64. Otherwise ok is false.
//
//	000_bucket0.txt, 000    "000"
//	name.txt, 000.txt       none
func NumericPrefix(basename string) (digits string, ok bool) {
	i := 0
	for i < len(basename) && '0' <= basename[i] && basename[i] <= '9' {
		i++
	}
	if i == 0 || (i < len(basename) && basename[i] != '_') {
		return "", false
	}
	if _, err := strconv.ParseUint(basename[:i], 10, 64); err != nil {
		return "", false
	}
	return basename[:i], true
}

// Place returns the index of the server that owns the key: its numeric prefix
// modulo the number of servers, or else the xxh64 of its basename modulo that.
// name is the key with or without its scheme.
func (c *Cluster) Place(name string) int {
	base := Basename(name)
	n := uint64(len(c.Servers))
	if digits, ok := NumericPrefix(base); ok {
		v, _ := strconv.ParseUint(digits, 10, 64) // NumericPrefix has checked it
		return int(v % n)
	}
	return int(xxhash.Sum64String(base) % n)
}
