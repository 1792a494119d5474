package s3test

import (
	"math/rand/v2"
	"path"
	"slices"
	"sync"
)

// Rule says which requests meet a fault. Those that fit are counted one by one, in
// the order in which they come, or their answers do. A fault at an offset fits those
// whose body has a byte there.
type Rule struct {
	Ops   []Op    // that it is for; none is all
	Key   string  // a pattern of path.Match for the object's key; empty is all
	Skip  int     // how many that fit pass before the first is struck
	Times int     // how many are struck at most; 0 is no limit
	Share float64 // of those that fit and are not skipped, by Seed; 0 is all of them
	Seed  uint64
	Fault Fault
}

// ruling is a rule of a proxy, and how often it has been asked.
type ruling struct {
	Rule
	mu     sync.Mutex
	random *rand.Rand // nil if all are struck; guarded by mu
	seen   int        // guarded by mu
	struck int        // guarded by mu
}

func newRuling(r Rule) *ruling {
	x := &ruling{Rule: r}
	if r.Share > 0 {
		x.random = rand.New(rand.NewPCG(r.Seed, 0))
	}
	return x
}

// strikes reports whether the rule is for a call, with a body of so many bytes, or -1 if
// that is not known, and counts it.
func (x *ruling) strikes(c Call, size int64) bool {
	if 0 <= size && size < x.Fault.least {
		return false
	}
	if len(x.Ops) > 0 && !slices.Contains(x.Ops, c.Op) {
		return false
	}
	if x.Key != "" {
		if ok, err := path.Match(x.Key, c.Key); err != nil || !ok {
			return false
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen++
	if x.seen <= x.Skip || x.Times > 0 && x.struck >= x.Times || x.random != nil && x.random.Float64() >= x.Share {
		return false
	}
	x.struck++
	return true
}
