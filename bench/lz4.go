package bench

import (
	"context"
	"fmt"
	"strconv"
)

const (
	lz4Inputs  = 12 // of a shuffle
	lz4Buckets = 16
)

// lz4Case is a piece of work that is done with lz4, and without.
type lz4Case struct {
	op   string // put, get or shuffle
	data lz4Data
	rate float64 // of each server's link, bits per second each way
	size int64   // bytes in all
}

// lz4Workload answers where lz4 pays: for links of several rates, for data that
// shrinks and data that does not, and for all ways that bytes go.
func lz4Workload(o Options) Workload {
	w := Workload{
		Name:  "lz4",
		Title: "where lz4 pays, by link, data and direction",
		Apart: true,
		Needs: func(ctx context.Context, e *Env) error { return e.linksHere(ctx) },
	}
	for _, rate := range []float64{0.1e9, 1e9, 10e9} {
		for _, data := range []lz4Data{lz4CSV, lz4Random} {
			for _, op := range []string{"put", "get", "shuffle"} {
				l := lz4Case{op: op, data: data, rate: rate, size: lz4Size(o, op, rate)}
				w.Rows = append(w.Rows, l.row())
			}
		}
	}
	return w
}

// lz4Size returns how many bytes take from some tenths of a second to 3 s.
func lz4Size(o Options, op string, rate float64) int64 {
	n := 128 << 20
	switch {
	case rate < 1e9:
		n = 32 << 20
	case op == "shuffle":
		n = 256 << 20 // a server sends two thirds of its third
	case rate > 1e9:
		n = 384 << 20
	}
	const unit = 64 << 10 // for people
	return int64(max(unit, o.count(n)/unit*unit))
}

// row compares what s4 does of its own accord, and lz4 for all, with no lz4.
func (l *lz4Case) row() Row {
	rate := strconv.FormatFloat(l.rate/1e9, 'f', -1, 64)
	work := fmt.Sprintf("%s %s of %s at %s Gbit/s, ", l.op, sizeText(l.size), l.data.name, rate)
	name := fmt.Sprintf("%s-%s-%s-", l.op, l.data.word, rate)
	return Row{
		Name:      name + "auto",
		Work:      work + "auto",
		Yardstick: "the same with --compress never",
		Targets:   []Target{l.target()},
		Also:      []Also{{Name: name + "always", Work: work + "always", Targets: []Target{{Metric: Time}}}},
		// The files, their keys, and of a shuffle an output at a time, staged.
		Room:  func(Options) int64 { return 5*l.size + treeRoom(2*lz4Inputs*lz4Buckets, 1) },
		Start: l.start,
	}
}

// target is that of --compress auto.
func (l *lz4Case) target() Target {
	switch {
	case !l.data.shrinks:
		return AtMost(1.03, Time)
	case l.rate < 1e9 && l.op != "shuffle":
		return AtMost(0.75, Time)
	}
	return Target{Metric: Time}
}
