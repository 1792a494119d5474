package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// A row without room is left out, and said to be.
func TestNoRoom(t *testing.T) {
	e := &Env{Options: Options{Size: 1 << 20, Rounds: 1, Servers: 1}, Dir: t.TempDir()}
	w := Workload{Name: "put", Rows: []Row{{
		Work:  "put 1 MiB",
		Room:  1 << 60,
		Start: func(context.Context, *Env) (*Comparison, error) { t.Error("started"); return nil, nil },
	}}}
	results, err := e.runWorkload(t.Context(), w, io.Discard)
	if err != nil || len(results) > 0 {
		t.Errorf("%v, %v", results, err)
	}
	if len(e.leftOut) != 1 || e.leftOut[0].What != "put: put 1 MiB" || !strings.Contains(e.leftOut[0].Why, "it needs") {
		t.Errorf("left out: %+v", e.leftOut)
	}
}

// So is one that the host lacks something for, and what it had begun ends.
func TestNotHere(t *testing.T) {
	e := &Env{Options: Options{Rounds: 1}, Dir: t.TempDir()}
	var closed []string
	w := Workload{Name: "get", Rows: []Row{{
		Work: "get",
		Start: func(_ context.Context, e *Env) (*Comparison, error) {
			for _, name := range []string{"first", "last"} {
				e.AfterRow(func() error { closed = append(closed, name); return nil })
			}
			return nil, fmt.Errorf("start: %w", &NotHere{Why: "there is no iperf3"})
		},
	}}}
	results, err := e.runWorkload(t.Context(), w, io.Discard)
	if err != nil || len(results) > 0 || !slices.Equal(closed, []string{"last", "first"}) {
		t.Errorf("%v, %v, closed %v", results, err, closed)
	}
	if want := (LeftOut{What: "get: get", Why: "there is no iperf3"}); len(e.leftOut) != 1 || e.leftOut[0] != want {
		t.Errorf("left out: %+v", e.leftOut)
	}
}

// So is all of a workload, once.
func TestNeeds(t *testing.T) {
	for _, lacks := range []bool{true, false} {
		e := &Env{Options: Options{Rounds: 1}, Dir: t.TempDir()}
		started, measured := false, false
		w := Workload{
			Name: "lz4", Title: "where lz4 pays",
			Needs: func(context.Context, *Env) error {
				if lacks {
					return fmt.Errorf("links: %w", &NotHere{Why: "there is no tc"})
				}
				return nil
			},
			Rows: []Row{{Start: func(context.Context, *Env) (*Comparison, error) {
				started = true
				return nil, &NotHere{Why: "this is a test"}
			}}},
			Curves: []Curve{{
				Measure: func(context.Context, *Env) ([]Series, error) {
					measured = true
					return nil, nil
				},
			}},
		}
		results, err := e.runAll(t.Context(), w, io.Discard)
		if err != nil || len(results) > 0 || started == lacks || measured == lacks {
			t.Errorf("lacks %v: %v, %v, started %v, measured %v", lacks, results, err, started, measured)
		}
		if want := (LeftOut{What: "lz4: where lz4 pays", Why: "there is no tc"}); lacks && (len(e.leftOut) != 1 || e.leftOut[0] != want) {
			t.Errorf("left out: %+v", e.leftOut)
		}
	}
	e := &Env{}
	broken := Workload{Name: "lz4", Needs: func(context.Context, *Env) error { return io.ErrUnexpectedEOF }}
	if _, err := e.runAll(t.Context(), broken, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("another error: %v", err)
	}
}

// What is complete before a row fails comes with its error.
func TestRowFails(t *testing.T) {
	e := fakeMeasure(t)
	side := Side{Command: Command{Args: []string{"true"}}, Keys: 1}
	w := Workload{Name: "get", Rows: []Row{
		{Name: "first", Work: "first", Start: func(context.Context, *Env) (*Comparison, error) { return &Comparison{S4: side, Yardstick: side}, nil }},
		{Name: "second", Work: "second", Start: func(context.Context, *Env) (*Comparison, error) { return nil, io.ErrUnexpectedEOF }},
	}}
	results, err := e.runAll(t.Context(), w, io.Discard)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(results) != 1 || results[0].Row != "first" {
		t.Errorf("%v, %v", results, err)
	}
}

// fakeMeasure returns an Env for which the subcommand measure is a script that says
// that all took 1 ms.
func fakeMeasure(t *testing.T) *Env {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "measure")
	const script = `#!/bin/bash
set -eu
shift 2
"$@"
echo '{"Wall": 1000000}' >&3
`
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Env{Options: Options{Rounds: 1}, Dir: dir, self: path}
}

// Each Also is a result of its own, beside the same yardstick, and peers have no
// targets.
func TestAlso(t *testing.T) {
	side := func(name string, wall float64) Side { return Side{Name: name, samples: wallSamples(wall)} }
	c := Comparison{
		S4: side("auto", 1), Yardstick: side("never", 2), Peers: []Side{side("other", 4)},
		Also: []Also{{Name: "always", Work: "put, always", Targets: []Target{AtMost(4, Time)}, Side: side("always", 6)}},
	}
	list := c.results("lz4", Row{Name: "auto", Work: "put, auto", Yardstick: "never", Targets: []Target{AtMost(1, Time)}})
	if len(list) != 2 {
		t.Fatalf("%d results", len(list))
	}
	a, b := list[0], list[1]
	if len(a.Sides) != 3 || len(a.Peers) != 1 || a.Peers[0].Name != "other" || a.Verdicts[0].Ratio != 0.5 || !a.Verdicts[0].Holds {
		t.Errorf("the row: %+v", a)
	}
	if b.Row != "always" || b.Work != "put, always" || b.Yardstick != "never" || len(b.Sides) != 2 || len(b.Peers) != 0 || b.Verdicts[0].Ratio != 3 || !b.Verdicts[0].Holds {
		t.Errorf("beside it: %+v", b)
	}
}

// The source counts where a row uses it and it is not there yet.
func TestRoom(t *testing.T) {
	o := Options{Size: 100}
	r := Row{Source: true, Room: 7}
	if with, without := r.room(o, true), r.room(o, false); with != 7 || without != 107 {
		t.Errorf("%d and %d, want 7 and 107", with, without)
	}
	if n := (&Row{}).room(o, false); n != 0 {
		t.Errorf("%d, want 0", n)
	}
}

// No side is always the first, what a round made is gone when the next begins, and
// the warm-up does not count.
func TestOrder(t *testing.T) {
	e := fakeMeasure(t)
	e.Rounds = 2
	var order []string
	side := func(name string) Side {
		return Side{
			Name: name, Command: Script(`test ! -e "$1"; touch "$1"`, filepath.Join(e.Dir, "made")), Keys: 1,
			Check: func(context.Context, []byte) error { order = append(order, name); return nil },
			Clean: func(context.Context) error { return os.RemoveAll(filepath.Join(e.Dir, "made")) },
		}
	}
	row := Row{Start: func(context.Context, *Env) (*Comparison, error) {
		return &Comparison{S4: side("auto"), Yardstick: side("never"), Also: []Also{{Side: side("always")}}}, nil
	}}
	results, err := e.runRow(t.Context(), "lz4", row)
	if err != nil {
		t.Fatal(err)
	}
	const want = "always never auto auto never always always never auto"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if s := results[0].Sides[0]; s.Name != "auto" || len(s.Samples) != 2 {
		t.Errorf("%+v", s)
	}
	if left, _ := filepath.Glob(filepath.Join(e.Dir, "row-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestChildTicks(t *testing.T) {
	const stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5 6 7"
	if got, err := childTicks(stat); err != nil || got != 27 {
		t.Errorf("%d, %v; want 27", got, err)
	}
	for _, bad := range []string{"", "7 (a) S 1", strings.Replace(stat, "13", "x", 1)} {
		if got, err := childTicks(bad); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

// What is asked of /proc is there.
func TestOwnUse(t *testing.T) {
	pid := os.Getpid()
	if err := resetPeak(pid); err != nil {
		t.Error(err)
	}
	if cpu, err := cpuSeconds(pid); err != nil || cpu <= 0 {
		t.Errorf("CPU %v, %v", cpu, err)
	}
	if peak, err := peakBytes(pid); err != nil || peak <= 0 {
		t.Errorf("peak %v, %v", peak, err)
	}
}

// A wrong result is an error, whatever its figures.
func TestCheckFile(t *testing.T) {
	src, err := makeSource(t.Context(), filepath.Join(t.TempDir(), "f"), 300_000)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkFile(src.Path, src.Sum); err != nil {
		t.Error(err)
	}
	for _, bad := range []Sum{{src.Size, src.Hash + 1}, {src.Size - 1, src.Hash}} {
		if err := checkFile(src.Path, bad); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

// Names reach a peer's script as one word each.
func TestPeerCommand(t *testing.T) {
	p, err := parsePeer("x-1=f {op} {src} {dst} a=b")
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Dir: t.TempDir()}
	c, err := p.command(e, "put", "it's; $HOME", "b")
	if err != nil {
		t.Fatal(err)
	}
	const want = `f put 'it'\''s; $HOME' 'b' a=b`
	if got := c.Args[6]; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c.Dir != filepath.Join(e.Dir, "peer-x-1") {
		t.Errorf("in %s", c.Dir)
	}
}

// Counts follow the scale, which is 1 if nobody says it.
func TestScale(t *testing.T) {
	for _, tt := range []struct {
		scale float64
		want  int
	}{{0, 2000}, {1, 2000}, {0.01, 20}, {1e-9, 1}, {2, 4000}} {
		if got := (Options{Scale: tt.scale}).count(2000); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.scale, got, tt.want)
		}
	}
}

// A tree's sum does not depend on where its files are, and differs with a name
// or a byte.
func TestTree(t *testing.T) {
	e := &Env{Dir: t.TempDir()}
	tree, err := e.Tree(t.Context(), 7, 100)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Files != 7 || tree.Bytes != 700 {
		t.Errorf("%+v", tree.TreeSum)
	}
	if again, err := e.Tree(t.Context(), 7, 100); err != nil || again != tree {
		t.Errorf("made again: %v", err)
	}
	other := t.TempDir()
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(tree.Dir, from), to); err != nil {
			t.Fatal(err)
		}
	}
	move("f0000003", filepath.Join(other, "f0000003"))
	if err := checkTree(t.Context(), tree.TreeSum, tree.Dir, other, filepath.Join(other, "absent")); err != nil {
		t.Error(err)
	}
	if err := checkTree(t.Context(), tree.TreeSum, tree.Dir); err == nil {
		t.Error("a file is missing and is not missed")
	}
	move("f0000004", filepath.Join(other, "f0000009"))
	if err := checkTree(t.Context(), tree.TreeSum, tree.Dir, other); err == nil {
		t.Error("another name passes")
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(tree.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is left: %v", err)
	}
}

// Every put and every get is done once.
func TestLoadOperation(t *testing.T) {
	for _, l := range []load{{puts: 3, gets: 3}, {puts: 5, gets: 2}, {puts: 2, gets: 5}, {puts: 4}, {gets: 4}} {
		seen := make(map[string]bool)
		for i := range l.puts + l.gets {
			put, n := l.operation(i)
			if most := map[bool]int{true: l.puts, false: l.gets}[put]; n < 0 || n >= most {
				t.Errorf("%+v: put %v, number %d", l, put, n)
			}
			seen[fmt.Sprint(put, n)] = true
		}
		if len(seen) != l.puts+l.gets {
			t.Errorf("%+v: %d operations: %v", l, len(seen), seen)
		}
	}
}

// A listing has each name once, in order.
func TestCheckListing(t *testing.T) {
	var want TreeSum
	want.add("a/f1", Sum{})
	want.add("a/f2", Sum{})
	const good = "2026-11-22 10:00:00 7 in/a/f1\n2026-11-22 10:00:00 7 in/a/f2\n"
	if err := checkListing([]byte(good), 3, "in/", want); err != nil {
		t.Error(err)
	}
	lines := strings.SplitAfter(good, "\n")
	for name, bad := range map[string]string{
		"no order":     lines[1] + lines[0],
		"one twice":    lines[0] + lines[0],
		"one is gone":  lines[0],
		"another name": lines[0] + strings.Replace(lines[1], "f2", "f3", 1),
		"no prefix":    lines[0] + strings.Replace(lines[1], "in/", "", 1),
		"too short":    "f1\nf2\n",
	} {
		if err := checkListing([]byte(bad), 3, "in/", want); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Merged files are those of the same name, in the order of their directories.
func TestMergedSum(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"x/0": "a", "x/1": "b", "y/0": "c"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var want TreeSum
	want.add("0", Sum{2, xxhash.Sum64String("ac")})
	want.add("1", Sum{1, xxhash.Sum64String("b")})
	if got, err := mergedSum(dir); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestBrief(t *testing.T) {
	long := strings.Repeat("x", 500)
	for _, tt := range []struct {
		c    Command
		want string
	}{
		{Command{Args: []string{"s4", "ls", "s4://b"}}, `"s4 ls s4://b"`},
		{Script("a | b\nc", "1"), `"a | b\nc"`},
		{Script("begin" + long + "end"), `"begin` + long[:125] + ` ... ` + long[:22] + `end"`},
	} {
		if got := tt.c.brief(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
