package node

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// A model is a protocol as a set of states and of steps between them. The states are
// values that can be compared, and small, because all that can be reached are kept.
type model[S comparable] struct {
	initial S
	steps   func(s *S, emit func(st modelStep, to *S)) // all that may happen next in s
	check   func(s *S) string                          // which invariant s breaks, or ""
	final   func(s *S) bool                            // whether s is a good end
	canon   func(s *S)                                 // makes states equal that differ in nothing but order, or nil
}

// modelStep is something that happens. It is spelled out only in a trace.
type modelStep struct {
	what    stepKind
	a, b, c byte
}

type stepKind byte

// optional reports whether the step need not happen: all must end well without it.
func (st modelStep) optional() bool { return st.what < firstSure }

// violation is a state that must not be, with the shortest way there.
type violation struct {
	broken string
	trace  []string
}

func (v *violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, after %d steps:\n", v.broken, len(v.trace))
	for i, line := range v.trace {
		fmt.Fprintf(&b, "%4d. %s\n", i+1, line)
	}
	return b.String()
}

// modelSearch is an exhaustive breadth-first search.
type modelSearch[S comparable] struct {
	model[S]
	limit  int // on states: to exceed it is an error, nothing is left out silently
	seed   maphash.Seed
	states []S
	from   []uint32 // the state from which each was first reached
	table  []uint32 // a hash table of indices in states, plus one
	first  []uint32 // where the edges of each state begin
	edges  []uint32 // to where the steps that are not optional lead
}

// run visits all states. It returns the first violation, or nil.
func (m model[S]) run(limit int) (int, *violation, error) {
	x := &modelSearch[S]{model: m, limit: limit, seed: maphash.MakeSeed(), table: make([]uint32, 1<<12)}
	x.add(&m.initial, 0)
	for i := 0; i < len(x.states); i++ {
		s := x.states[i] // a copy: the slice grows
		if broken := m.check(&s); broken != "" {
			return len(x.states), x.violation(broken, uint32(i)), nil
		}
		x.first = append(x.first, uint32(len(x.edges)))
		m.steps(&s, func(st modelStep, to *S) {
			k := x.add(to, uint32(i))
			if !st.optional() {
				x.edges = append(x.edges, k)
			}
		})
		if len(x.states) > limit {
			return len(x.states), nil, fmt.Errorf("more than %d states", limit)
		}
	}
	return len(x.states), x.stuck(), nil
}

// add returns the index of a state, which it stores if it is new.
func (x *modelSearch[S]) add(s *S, from uint32) uint32 {
	if x.canon != nil {
		x.canon(s)
	}
	if len(x.states)*2 >= len(x.table) {
		x.table = make([]uint32, 4*len(x.table))
		for i := range x.states {
			*x.slot(&x.states[i]) = uint32(i + 1)
		}
	}
	slot := x.slot(s)
	if *slot == 0 {
		x.states = append(x.states, *s)
		x.from = append(x.from, from)
		*slot = uint32(len(x.states))
	}
	return *slot - 1
}

func (x *modelSearch[S]) slot(s *S) *uint32 {
	mask := uint64(len(x.table) - 1)
	for h := maphash.Comparable(x.seed, *s) & mask; ; h = (h + 1) & mask {
		if k := x.table[h]; k == 0 || x.states[k-1] == *s {
			return &x.table[h]
		}
	}
}

// stuck returns a violation if there is a state from which no good end can be reached
// without optional steps.
func (x *modelSearch[S]) stuck() *violation {
	n := len(x.states)
	x.first = append(x.first, uint32(len(x.edges)))
	// The edges reversed: those into state k are into[start[k]:start[k+1]].
	start := make([]uint32, n+1)
	for _, k := range x.edges {
		start[k+1]++
	}
	for k := range n {
		start[k+1] += start[k]
	}
	fill := slices.Clone(start)
	into := make([]uint32, len(x.edges))
	for i := range n {
		for _, k := range x.edges[x.first[i]:x.first[i+1]] {
			into[fill[k]] = uint32(i)
			fill[k]++
		}
	}
	good := make([]bool, n)
	var todo []uint32
	for i := range n {
		if x.final(&x.states[i]) {
			good[i] = true
			todo = append(todo, uint32(i))
		}
	}
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, i := range into[start[k]:start[k+1]] {
			if !good[i] {
				good[i] = true
				todo = append(todo, i)
			}
		}
	}
	if i := slices.Index(good, false); i >= 0 {
		return x.violation("no good end can be reached", uint32(i))
	}
	return nil
}

// violation returns the way to state i in words.
func (x *modelSearch[S]) violation(broken string, i uint32) *violation {
	v := &violation{broken: broken}
	var way []uint32
	for k := i; k != 0; k = x.from[k] {
		way = append(way, k)
	}
	s := x.initial // as it is, and not as canon makes it, or servers would change names
	for _, k := range slices.Backward(way) {
		var after *S
		x.steps(&s, func(st modelStep, to *S) {
			if after != nil {
				return
			}
			same := *to
			if x.canon != nil {
				x.canon(&same)
			}
			if same == x.states[k] {
				after = new(S)
				*after = *to
				v.trace = append(v.trace, st.String())
			}
		})
		s = *after
	}
	v.trace = append(v.trace, fmt.Sprintf("(state %+v)", s))
	return v
}
