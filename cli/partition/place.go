package partition

import (
	"bytes"
	"sort"

	"github.com/cespare/xxhash/v2"
)

// place returns the number of the file for a record, without what ends it. The
// record may lack everything behind its key.
func (p *Partitioner) place(record []byte) (int, error) {
	c := &p.config
	if c.By == RoundRobin {
		return int(p.records % int64(c.N)), nil
	}
	var key []byte
	var ok bool
	if p.key.plain { // a call less for each of millions of records
		key, ok = plainField(record, p.key.last, c.Delimiter)
	} else {
		key, ok = p.key.key(record)
	}
	if !ok && !c.Missing {
		return 0, p.errorf("there is no field %d", p.key.missing(record))
	}
	switch {
	case p.sample != nil:
		p.sample.add(key)
		return 0, nil
	case c.By == Range:
		return sort.Search(len(c.Points), func(i int) bool { return bytes.Compare(c.Points[i], key) > 0 }), nil
	}
	return int(xxhash.Sum64(key) % uint64(c.N)), nil
}
