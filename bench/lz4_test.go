package bench

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
)

// Each rate, sort of data and direction has a row of auto, and one of always in
// its rounds. Only auto has targets, and only where one would be surprised.
func TestLZ4Rows(t *testing.T) {
	w := lz4Workload(Options{})
	if !w.Apart || w.Needs == nil || len(w.Rows) != 18 {
		t.Errorf("apart %v, %d rows", w.Apart, len(w.Rows))
	}
	targets := make(map[string]Target)
	for _, r := range w.Rows {
		if len(r.Targets) != 1 || len(r.Also) != 1 || len(r.Also[0].Targets) != 1 || !r.Also[0].Targets[0].none() {
			t.Errorf("%s: %+v, also %+v", r.Name, r.Targets, r.Also)
			continue
		}
		targets[r.Name] = r.Targets[0]
		if name, ok := strings.CutSuffix(r.Name, "-auto"); !ok || r.Also[0].Name != name+"-always" {
			t.Errorf("%s and %s", r.Name, r.Also[0].Name)
		}
		if work, ok := strings.CutSuffix(r.Work, ", auto"); !ok || r.Also[0].Work != work+", always" {
			t.Errorf("%s and %s", r.Work, r.Also[0].Work)
		}
	}
	for name, want := range map[string]float64{
		"put-csv-0.1-auto":        0.75,
		"get-csv-0.1-auto":        0.75,
		"shuffle-csv-0.1-auto":    0,
		"get-csv-1-auto":          0,
		"shuffle-csv-10-auto":     0,
		"put-random-0.1-auto":     1.03,
		"shuffle-random-1-auto":   1.03,
		"shuffle-random-10-auto":  1.03,
		"shuffle-random-0.1-auto": 1.03,
	} {
		if got, ok := targets[name]; !ok || got != AtMost(want, Time) {
			t.Errorf("%s: %+v, want at most %v", name, got, want)
		}
	}
	if got, want := w.Rows[6].Work, "put 128 MiB of CSV at 1 Gbit/s, auto"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLZ4Size(t *testing.T) {
	for _, tt := range []struct {
		scale float64
		op    string
		rate  float64
		want  string
	}{
		{0, "put", 0.1e9, "32 MiB"},
		{1, "shuffle", 0.1e9, "32 MiB"},
		{1, "shuffle", 10e9, "256 MiB"},
		{1, "get", 10e9, "384 MiB"},
		{0.5, "get", 1e9, "64 MiB"},
		{0.05, "put", 0.1e9, "1600 KiB"},
		{1e-9, "put", 1e9, "64 KiB"},
	} {
		if got := sizeText(lz4Size(Options{Scale: tt.scale}, tt.op, tt.rate)); got != tt.want {
			t.Errorf("%s at %v with scale %v: %s, want %s", tt.op, tt.rate, tt.scale, got, tt.want)
		}
	}
}

// The files of one sort of data differ, and are of the size that was asked for.
func TestLZ4Data(t *testing.T) {
	for _, data := range []lz4Data{lz4CSV, lz4Random} {
		e := &Env{Dir: t.TempDir()}
		l := lz4Case{op: "shuffle", data: data, size: 1 << 20}
		tree, err := l.tree(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Files != lz4Inputs || tree.Bytes < 1<<20-lz4Inputs || tree.Bytes > 1<<20+lz4Inputs*256 {
			t.Errorf("%s: %+v", data.name, tree.TreeSum)
		}
		seen := make(map[Sum]bool)
		for i := range lz4Inputs {
			sum, err := sumFile(filepath.Join(tree.Dir, l.input(i)), nil)
			if err != nil {
				t.Fatal(err)
			}
			seen[sum] = true
		}
		if len(seen) != lz4Inputs {
			t.Errorf("%s: %d different files of %d", data.name, len(seen), lz4Inputs)
		}
	}
}

// fakeMeasure stands for the subcommand measure: it says that all took 1 ms.
const fakeMeasure = `#!/bin/bash
set -eu
shift 2
"$@"
echo '{"Wall": 1000000}' >&3
`

// fakeS4 does the work of one server with local files, and notes its arguments.
const fakeS4 = `#!/bin/bash
set -eu
echo "$*" >>"$NOTES"
path() { echo "$DATA/${1#s4://}"; }
case "$1 ${!#}" in
"cp -") cat "$(path "$5")" ;;
"cp "*)
	to=$(path "${!#}")
	mkdir -p "$(dirname "$to")"
	if test "$3" = -r; then cp -r "$4" "$to"; else cp "$5" "$to"; fi
	;;
"map-to-n "*)
	for in in "$(path "$5")"/*; do
		out=$(path "$6")/$(basename "$in")
		mkdir -p "$out"
		(cd "$out" && bash -c "$7" <"$in" >/dev/null)
	done
	;;
"rm "*) rm -r "$(path "$4")" ;;
esac
`

// fakeCluster returns an Env and a cluster for which no server runs, and the file
// in which calls of s4 are noted.
func fakeCluster(t *testing.T, rounds int) (*Env, *Cluster, string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	e := &Env{Options: Options{Rounds: rounds}, Dir: dir, S4: write("s4", fakeS4), self: write("measure", fakeMeasure)}
	c := &Cluster{Conf: write("s4.conf", "127.0.0.1:1\n"), dir: dir, daemons: make([]*daemon, 1), enter: []string{"env", "-u", "S4_CONF"}}
	var err error
	if c.list, err = s4.LoadCluster(c.Conf); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATA", c.data(0))
	t.Setenv("NOTES", filepath.Join(dir, "notes"))
	return e, c, filepath.Join(dir, "notes")
}

// In each round every mode has its turn, all with the same arguments, and what it
// makes is gone when the next begins: a check would see it.
func TestLZ4Sides(t *testing.T) {
	for _, l := range []lz4Case{
		{op: "put", data: lz4CSV, size: 64 << 10},
		{op: "get", data: lz4CSV, size: 64 << 10},
		{op: "shuffle", data: lz4Random, size: 64 << 10},
	} {
		t.Run(l.op, func(t *testing.T) {
			e, c, notes := fakeCluster(t, 2)
			tree, err := l.tree(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			sides, err := l.sides(t.Context(), e, c, tree, null)
			if err != nil {
				t.Fatal(err)
			}
			row := l.row()
			row.Start = func(context.Context, *Env) ([]Side, error) { return sides, nil }
			results, err := e.runWorkload(t.Context(), Workload{Name: "lz4", Rows: []Row{row}}, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range results {
				names = append(names, r.Row+": "+r.Sides[0].Name+" to "+r.Sides[1].Name)
				if s := r.Sides[0].Samples; len(s) != 2 || s[0].Bytes != tree.Bytes {
					t.Errorf("%s: %+v", r.Row, s)
				}
			}
			want := []string{
				l.op + "-" + l.data.word + "-0-auto: s4, auto to s4, never",
				l.op + "-" + l.data.word + "-0-always: s4, always to s4, never",
			}
			if !slices.Equal(names, want) {
				t.Errorf("results %q, want %q", names, want)
			}
			const turns = "always never auto, auto never always, always never auto"
			if got := turnsOf(t, notes); got != turns {
				t.Errorf("turns: %s, want %s", got, turns)
			}
		})
	}
}

// turnsOf returns the modes of the calls that were noted, by rounds, and fails the
// test if anything but the mode differs.
func turnsOf(t *testing.T, notes string) string {
	t.Helper()
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	rest := make(map[string]bool)
	n := 0
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, "--compress ")
		if !ok {
			continue // it makes ready, or clean
		}
		mode, after, _ := strings.Cut(after, " ")
		rest[before+after] = true
		switch {
		case n > 0 && n%len(lz4Modes) == 0:
			b.WriteString(", ")
		case n > 0:
			b.WriteString(" ")
		}
		n++
		b.WriteString(mode)
	}
	if len(rest) != 1 {
		t.Errorf("calls differ: %v", rest)
	}
	return b.String()
}

// All rows do what they are to do where there is the right to make links; else it
// is said once why there are none.
func testLZ4(t *testing.T, program string) {
	r := runProgram(t, program, "lz4", "--scale", "0.002")
	if len(r.LeftOut) > 0 {
		if len(r.LeftOut) != 1 || !strings.HasPrefix(r.LeftOut[0].What, "lz4: ") || len(r.Results) > 0 {
			t.Errorf("left out: %+v", r.LeftOut)
		}
		t.Log(r.LeftOut)
		return
	}
	var got, want []string
	for _, res := range r.Results {
		got = append(got, res.Row)
		for _, s := range res.Sides {
			if one := s.Samples[0]; one.Wall <= 0 || one.Bytes < 64<<10-lz4Inputs || one.ClientPeak <= 0 || len(one.ServerPeaks) != 3 {
				t.Errorf("%s: %s: %+v", res.Row, s.Name, one)
			}
		}
	}
	for _, row := range lz4Workload(Options{}).Rows {
		want = append(want, row.Name, row.Also[0].Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}
