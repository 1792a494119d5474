package partition

import (
	"bytes"
	"sort"

	"github.com/cespare/xxhash/v2"
)

// key returns the key of a line, which may lack everything behind the key. It
// is empty where there are too few fields.
func (c *Config) key(line []byte) []byte {
	if c.Key == 0 {
		return line
	}
	for range c.Key - 1 {
		i := bytes.IndexByte(line, c.Delimiter)
		if i < 0 {
			return nil
		}
		line = line[i+1:]
	}
	if i := bytes.IndexByte(line, c.Delimiter); i >= 0 {
		return line[:i]
	}
	return line
}

// place returns the number of the file for a line without its newline, the
// nth of the input from 0 on. The line may lack everything behind its key.
func (c *Config) place(line []byte, nth int64) int {
	switch c.By {
	case RoundRobin:
		return int(nth % int64(c.N))
	case Range:
		key := c.key(line)
		return sort.Search(len(c.Points), func(i int) bool { return bytes.Compare(c.Points[i], key) > 0 })
	}
	return int(xxhash.Sum64(c.key(line)) % uint64(c.N))
}
