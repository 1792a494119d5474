package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// testEnv returns an Env for which the subcommand measure is a script that says that
// all took 1 ms, with a cluster of no servers.
func testEnv(t *testing.T) *Env {
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
	return &Env{Options: Options{Rounds: 1}, Dir: dir, self: path, report: &Report{}, log: io.Discard, shared: &Cluster{}}
}

// What there is no room for, or what the host lacks something for, is left out, and
// said to be.
func TestLeftOut(t *testing.T) {
	closed := ""
	started := func(context.Context, *Env) (*Comparison, error) { return nil, errors.New("it was started") }
	lacks := func(context.Context, *Env) error { return fmt.Errorf("links: %w", &NotHere{Why: "there is no tc"}) }
	for what, w := range map[string]Workload{
		"put: put 1 MiB: it needs": {Name: "put", Rows: []Row{{Work: "put 1 MiB", Needs: Needs{Room: 1 << 60}, Start: started}}},
		"get: get: there is no iperf3": {Name: "get", Rows: []Row{{Work: "get", Start: func(_ context.Context, e *Env) (*Comparison, error) {
			for _, name := range []string{"first", "last"} {
				e.AfterRow(func() error { closed += name; return nil })
			}
			return nil, fmt.Errorf("start: %w", &NotHere{Why: "there is no iperf3"})
		}}}},
		"lz4: where lz4 pays: there is no tc": {Name: "lz4", Title: "where lz4 pays", Possible: lacks, Rows: []Row{{Start: started}}},
		"scaling: links: there is no tc":      {Name: "scaling", Curves: []Curve{{Name: "links", Possible: lacks}}},
	} {
		e := testEnv(t)
		if err := e.runWorkload(t.Context(), w); err != nil || !e.report.empty() {
			t.Errorf("%s: %v, %+v", what, err, e.report)
		}
		if left := e.report.LeftOut; len(left) != 1 || !strings.HasPrefix(left[0].What+": "+left[0].Why, what) {
			t.Errorf("left out: %+v, want %s", left, what)
		}
	}
	if closed != "lastfirst" {
		t.Errorf("what a row had begun was ended as %s", closed)
	}
	broken := Workload{Possible: func(context.Context, *Env) error { return io.ErrUnexpectedEOF }}
	if err := testEnv(t).runWorkload(t.Context(), broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("another error: %v", err)
	}
}

// What is complete before a row fails stays.
func TestRowFails(t *testing.T) {
	e := testEnv(t)
	side := Side{Command: Command{Args: []string{"true"}}, Keys: 1}
	w := Workload{Name: "get", Rows: []Row{
		{Name: "first", Work: "first", Start: func(context.Context, *Env) (*Comparison, error) { return &Comparison{S4: side, Yardstick: side}, nil }},
		{Name: "second", Work: "second", Start: func(context.Context, *Env) (*Comparison, error) { return nil, io.ErrUnexpectedEOF }},
	}}
	err := e.runWorkload(t.Context(), w)
	if list := e.report.Results; !errors.Is(err, io.ErrUnexpectedEOF) || len(list) != 1 || list[0].Row != "first" {
		t.Errorf("%v, %v", list, err)
	}
}

// A curve has a point at each of its places, of the rounds that count.
func TestCurve(t *testing.T) {
	e := testEnv(t)
	e.Rounds = 2
	round := 0.0
	err := e.runCurve(t.Context(), Curve{
		XLabel: "keys", Note: "n", Xs: []int{10, 100}, Needs: func(int) Needs { return Needs{} },
		Start: func(_ context.Context, _ *Env, x int) (roundFunc, error) {
			return func() ([]Measured, error) {
				round++
				return []Measured{{"a", "ms", round}, {"b", "MB/s", float64(x)}}, nil
			}, nil
		},
	})
	want := []Series{
		{Name: "a", XLabel: "keys", YLabel: "ms", XLog: true, Note: "n", Points: []Point{{10, 2.5, 2, 3}, {100, 5.5, 5, 6}}},
		{Name: "b", XLabel: "keys", YLabel: "MB/s", XLog: true, Note: "n", Points: []Point{{10, 10, 10, 10}, {100, 100, 100, 100}}},
	}
	if err != nil || !reflect.DeepEqual(e.report.Series, want) {
		t.Errorf("%v, %+v, want %+v", err, e.report.Series, want)
	}
}

// A row has what it needs, and a tree is made anew only where another is needed.
func TestNeeds(t *testing.T) {
	e := testEnv(t)
	e.Size = 1000
	made := make(map[string]bool)
	for _, files := range []int{2, 2, 3} {
		err := e.with(t.Context(), Needs{Source: true, Tree: randomFiles(files, 10)}, func() error {
			if e.Source.Size != 1000 || e.Cluster != e.shared || e.Tree.Files != int64(files) || e.Tree.Bytes != int64(10*files) {
				t.Errorf("%+v, %+v", e.Source, e.Tree)
			}
			made[fmt.Sprintf("%p", e.Tree)] = true
			return checkTree(t.Context(), e.Tree.TreeSum, e.Tree.Dir)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 2 {
		t.Errorf("%d trees were made, want 2", len(made))
	}
	if left, _ := filepath.Glob(filepath.Join(e.Dir, "tree-*")); len(left) != 1 {
		t.Errorf("trees %v", left)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(e.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
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
	n := Needs{Room: 7, Tree: randomFiles(2, 5000), Copies: 3}
	const trees = 3 * 2 * (8192 + 2048)
	if with, without := o.room(n, false), o.room(n, true); with != trees+7 || without != trees+107 {
		t.Errorf("%d and %d, want %d and %d", with, without, trees+7, trees+107)
	}
}

// No side is always the first, what a round made is gone when the next begins, and
// the warm-up does not count.
func TestOrder(t *testing.T) {
	e := testEnv(t)
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
	if err := e.runRow(t.Context(), "lz4", row); err != nil {
		t.Fatal(err)
	}
	const want = "always never auto auto never always always never auto"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if s := e.report.Results[0].Sides[0]; s.Name != "auto" || len(s.Samples) != 2 {
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
	if peak, err := procBytes(procFile(pid, "status"), "VmHWM"); err != nil || peak <= 0 {
		t.Errorf("peak %v, %v", peak, err)
	}
}

// Names reach a peer's script as one word each.
func TestPeerCommand(t *testing.T) {
	p, err := parsePeer("x-1=f {op} {src} {dst} a=b")
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Dir: t.TempDir()}
	c := p.command(e, "put", "it's; $HOME", "b")
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
	tree, err := makeTree(t.Context(), t.TempDir(), randomFiles(7, 100))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Files != 7 || tree.Bytes != 700 {
		t.Errorf("%+v", tree.TreeSum)
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
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := makeTree(stopped, t.TempDir(), randomFiles(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Ctrl-C: %v", err)
	}
}

// Every put and every get is done once.
func TestLoadOperation(t *testing.T) {
	for _, l := range []load{{Puts: 3, Gets: 3}, {Puts: 5, Gets: 2}, {Puts: 2, Gets: 5}, {Puts: 4}, {Gets: 4}} {
		seen := make(map[string]bool)
		for i := range l.Puts + l.Gets {
			put, n := l.operation(i)
			if most := map[bool]int{true: l.Puts, false: l.Gets}[put]; n < 0 || n >= most {
				t.Errorf("%+v: put %v, number %d", l, put, n)
			}
			seen[fmt.Sprint(put, n)] = true
		}
		if len(seen) != l.Puts+l.Gets {
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

// The fastest of a yardstick and its rivals is the yardstick.
func TestRivals(t *testing.T) {
	side := func(name string, wall float64) Side { return Side{Name: name, samples: wallSamples(wall)} }
	c := Comparison{
		S4: side("s4", 3), Yardstick: side("slow", 6), Rivals: []Side{side("slower", 9), side("fast", 2)}, Peers: []Side{side("plain", 1)},
	}
	list := c.results("s3", Row{Targets: []Target{AtMost(1, Time)}})
	if len(list) != 1 || list[0].Verdicts[0].Ratio != 1.5 || list[0].Verdicts[0].Holds {
		t.Fatalf("%+v", list)
	}
	var names []string
	for _, s := range list[0].Sides {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "s4 fast slower slow plain" {
		t.Errorf("sides %s", got)
	}
}
