package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

const (
	lz4Inputs  = 12 // of a shuffle
	lz4Buckets = 16
)

// lz4Data is a sort of data.
type lz4Data struct {
	name    string // for people
	word    string // for programs
	shrinks bool
	// write writes a file of about size bytes. Those of different numbers differ.
	write func(w io.Writer, file int, size int64) error
	// command returns what makes lz4Buckets of a file on standard input; s4 is one
	// word of a shell, the program.
	command func(s4 string) string
}

func lz4Sorts() []lz4Data {
	return []lz4Data{{
		name: "CSV", word: "csv", shrinks: true, write: writeTrips,
		// By the time of the pickup, of which there are very many.
		command: func(s4 string) string { return fmt.Sprintf("%s partition -n %d -d, -k2", s4, lz4Buckets) },
	}, {
		name: "random bytes", word: "random", write: writeRandom,
		command: func(string) string {
			return fmt.Sprintf("split -n %d -d -a 3 - '' && seq -f %%03.0f 0 %d", lz4Buckets, lz4Buckets-1)
		},
	}}
}

// lz4Workload answers where lz4 pays: for links of several rates, for data that
// shrinks and data that does not, and for all ways that bytes go.
func lz4Workload(o Options) Workload {
	w := Workload{
		Name:     "lz4",
		Title:    "where lz4 pays, by link, data and direction",
		Apart:    true,
		Possible: linksHere,
	}
	for _, rate := range []float64{0.1e9, 1e9, 10e9} {
		for _, data := range lz4Sorts() {
			for _, op := range []string{"put", "get", "shuffle"} {
				w.Rows = append(w.Rows, lz4Row(op, data, rate, lz4Size(o, op, rate)))
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

// lz4Target is that of --compress auto.
func lz4Target(op string, data lz4Data, rate float64) Target {
	switch {
	case !data.shrinks:
		return AtMost(1.03, Time)
	case rate < 1e9 && op != "shuffle":
		return AtMost(0.75, Time)
	}
	return Target{Metric: Time}
}

// lz4Row compares what s4 does of its own accord, and lz4 for all, with no lz4.
func lz4Row(op string, data lz4Data, rate float64, size int64) Row {
	work := fmt.Sprintf("%s %s of %s at %g Gbit/s, ", op, sizeText(size), data.name, rate/1e9)
	name := fmt.Sprintf("%s-%s-%g-", op, data.word, rate/1e9)
	return Row{
		Name:      name + "auto",
		Work:      work + "auto",
		Yardstick: "the same with --compress never",
		Targets:   []Target{lz4Target(op, data, rate)},
		Needs:     Needs{Tree: lz4Files(op, data, size), Put: op != "put", Copies: shuffleCopies, Link: rate},
		Start: func(ctx context.Context, e *Env) (_ *Comparison, err error) {
			want := e.Tree.TreeSum
			if op == "shuffle" {
				want, err = e.made(ctx, e.localLoop(toN(data.command(quote(e.S4)))), 1)
			}
			always := Also{Name: name + "always", Work: work + "always", Targets: []Target{{Metric: Time}}, Side: e.lz4Side(op, data, "always", want)}
			return &Comparison{S4: e.lz4Side(op, data, "auto", want), Yardstick: e.lz4Side(op, data, "never", want), Also: []Also{always}}, err
		},
	}
}

// lz4Files are the files that are moved: one, or the inputs of a shuffle. They are
// placed by number, so that all servers have the same share.
func lz4Files(op string, data lz4Data, size int64) treeSpec {
	files := 1
	if op == "shuffle" {
		files = lz4Inputs
	}
	return treeSpec{
		name:  fmt.Sprintf("lz4-%s-%dx%d", data.word, files, size),
		files: files,
		size:  int(size) / files,
		file:  func(i int) string { return fmt.Sprintf("%03d_%s", i, data.word) },
		write: func(w io.Writer, i int) error { return data.write(w, i, size/int64(files)) },
	}
}

// lz4Side is a side with a value of --compress, which makes want.
func (e *Env) lz4Side(op string, data lz4Data, mode string, want TreeSum) Side {
	side := Side{Name: "s4, " + mode, Servers: e.Cluster.Pids, Want: want, Bytes: e.Tree.Bytes, Keys: e.Tree.Files}
	s4 := func(verb string, args ...string) Command {
		return e.Cluster.Command(append([]string{verb, "-q", "--compress", mode}, args...)...)
	}
	switch file := "000_" + data.word; op {
	case "put":
		side.Out, side.Command = inKeys, s4("cp", filepath.Join(e.Tree.Dir, file), inKeys+file)
	case "get":
		side.Command = s4("cp", inKeys+file, "-")
		side.Command.Discard = true // s4 compares the xxh64 of what comes
	case "shuffle":
		side.Out, side.Command = outKeys, s4("map-to-n", inKeys, outKeys, data.command("s4"))
	}
	return side
}
