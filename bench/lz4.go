package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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
		// The files, their keys, and of a shuffle an output at a time, staged.
		Room: 5*l.size + treeRoom(2*lz4Inputs*lz4Buckets, 1),
		Start: func(ctx context.Context, e *Env) (*Comparison, error) {
			side, err := l.start(ctx, e)
			if err != nil {
				return nil, err
			}
			always := Also{Name: name + "always", Work: work + "always", Targets: []Target{{Metric: Time}}, Side: side("always")}
			return &Comparison{S4: side("auto"), Yardstick: side("never"), Also: []Also{always}}, nil
		},
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

// start makes the servers, each behind its link, and returns what makes a side of a
// value of --compress.
func (l *lz4Case) start(ctx context.Context, e *Env) (func(mode string) Side, error) {
	t, err := l.tree(ctx, e)
	if err != nil {
		return nil, err
	}
	e.AfterRow(func() error { return e.dropTree(t) })
	c, end, err := e.startLinked(ctx, e.Servers, l.rate)
	e.AfterRow(end)
	if err != nil {
		return nil, err
	}
	const in, out = "s4://bench/in/", "s4://bench/out/"
	side := func(mode string, s Side) Side {
		s.Name = "s4, " + mode
		return s.moving(t.Bytes, t.Files)
	}
	if l.op == "put" {
		return func(mode string) Side {
			return side(mode, c.side(c.Command("cp", "-q", "--compress", mode, filepath.Join(t.Dir, l.input(0)), in+l.input(0)), in, t.TreeSum))
		}, nil
	}
	if err := c.put(ctx, t.Dir, in, t.TreeSum); err != nil {
		return nil, err
	}
	if l.op == "get" {
		null, err := e.discard(Command{})
		return func(mode string) Side {
			cmd := c.Command("cp", "-q", "--compress", mode, in+l.input(0), "-")
			cmd.Stdout = null.Stdout // s4 compares the xxh64 of what comes
			return side(mode, Side{Servers: c.Pids, Command: cmd})
		}, err
	}
	want, err := e.shuffleBy(ctx, t, filepath.Join(e.RowDir, "shuffled"), l.data.command(quote(e.S4)))
	return func(mode string) Side {
		return side(mode, c.side(c.Command("map-to-n", "-q", "--compress", mode, in, out, l.data.command("s4")), out, want))
	}, err
}

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

var lz4CSV = lz4Data{
	name: "CSV", word: "csv", shrinks: true,
	write: func(w io.Writer, file int, size int64) error { return newTrips(file).write(w, size) },
	// By the time of the pickup, of which there are very many.
	command: func(s4 string) string { return fmt.Sprintf("%s partition -n %d -d, -k2", s4, lz4Buckets) },
}

var lz4Random = lz4Data{
	name: "random bytes", word: "random",
	write: func(w io.Writer, file int, size int64) error {
		_, err := io.CopyN(w, rand.NewChaCha8([32]byte{'l', 'z', '4', byte(file)}), size)
		return err
	},
	command: func(string) string {
		return fmt.Sprintf("split -n %d -d -a 3 - '' && seq -f %%03.0f 0 %d", lz4Buckets, lz4Buckets-1)
	},
}

// tree returns the files that are moved: one, or the inputs of a shuffle. They are
// placed by number, so that all servers have the same share.
func (l *lz4Case) tree(ctx context.Context, e *Env) (*Tree, error) {
	files := 1
	if l.op == "shuffle" {
		files = lz4Inputs
	}
	dir := filepath.Join(e.Dir, "lz4-"+l.data.word)
	return e.makeTree(dir, func(t *Tree) error {
		for i := range files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			name := l.input(i)
			sum, err := l.makeFile(filepath.Join(dir, name), i, l.size/int64(files))
			if err != nil {
				return err
			}
			t.add(name, sum)
		}
		return nil
	})
}

// input returns the name of a file of the tree.
func (l *lz4Case) input(i int) string { return fmt.Sprintf("%03d_%s", i, l.data.word) }

func (l *lz4Case) makeFile(path string, i int, size int64) (Sum, error) {
	f, err := os.Create(path)
	if err != nil {
		return Sum{}, err
	}
	if err := errors.Join(l.data.write(f, i, size), f.Close()); err != nil {
		return Sum{}, err
	}
	return sumFile(path)
}
