package partition

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
)

// Sample reads in to its end and returns N-1 split points for Range that would
// make the files alike in records: the quantiles of size keys taken at random,
// always the same for the same input. Fewer are taken where they would not fit
// into Memory. Points may be equal, and there are none for no records. Null
// allows any byte in them; else they end before a line end that is in a key.
func (p *Partitioner) Sample(ctx context.Context, in io.Reader, size int) ([][]byte, error) {
	p.sample = &reservoir{
		size:   max(1, size),
		memory: p.config.Memory,
		random: rand.New(rand.NewPCG(0, 0)),
		cut:    p.config.Format != Null,
	}
	if err := p.read(ctx, in); err != nil {
		return nil, err
	}
	keys := p.sample.keys
	if len(keys) == 0 {
		return nil, nil
	}
	slices.SortFunc(keys, bytes.Compare)
	points := make([][]byte, p.config.N-1)
	for i := range points {
		points[i] = keys[(i+1)*len(keys)/p.config.N]
	}
	return points, nil
}

// reservoir is a uniform sample of the keys seen so far: algorithm R of
// Vitter, "Random Sampling with a Reservoir", 1985.
type reservoir struct {
	size   int // how many keys to keep
	memory int // bytes that they may take
	random *rand.Rand
	cut    bool // keys end before a newline
	keys   [][]byte
	bytes  int // that they take
	seen   uint64
}

// keyOverhead is what a key takes beside its bytes: a slice's three words, and what the
// allocator rounds up.
const keyOverhead = 40

// add takes the next key.
func (r *reservoir) add(key []byte) {
	r.seen++
	at := len(r.keys)
	if at >= r.size {
		n := r.random.Uint64N(r.seen)
		if n >= uint64(r.size) {
			return
		}
		at = int(n)
	} else {
		r.keys = append(r.keys, nil)
		r.bytes += keyOverhead
	}
	if r.cut {
		key, _, _ = bytes.Cut(key, []byte{'\n'})
	}
	r.bytes += len(key) - len(r.keys[at])
	r.keys[at] = bytes.Clone(key)
	for r.bytes > r.memory && len(r.keys) > 1 {
		r.shrink()
	}
}

// shrink drops half of the keys, at random, so that the rest is a uniform
// sample, too.
func (r *reservoir) shrink() {
	r.random.Shuffle(len(r.keys), func(i, j int) { r.keys[i], r.keys[j] = r.keys[j], r.keys[i] })
	r.size = len(r.keys) / 2
	for _, key := range r.keys[r.size:] {
		r.bytes -= len(key) + keyOverhead
	}
	clear(r.keys[r.size:])
	r.keys = r.keys[:r.size]
}
