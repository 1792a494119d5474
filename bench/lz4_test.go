package bench

import (
	"path/filepath"
	"testing"
)

// Each rate, sort of data and direction has a row of auto, with targets only where
// one would be surprised.
func TestLZ4Rows(t *testing.T) {
	w := lz4Workload(Options{})
	if !w.Apart || w.Possible == nil || len(w.Rows) != 18 {
		t.Errorf("apart %v, %d rows", w.Apart, len(w.Rows))
	}
	targets := make(map[string]Target)
	for _, r := range w.Rows {
		if len(r.Targets) != 1 {
			t.Fatalf("%s: %+v", r.Name, r.Targets)
		}
		targets[r.Name] = r.Targets[0]
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
	for _, data := range lz4Sorts() {
		tree, err := makeTree(t.Context(), t.TempDir(), lz4Files("shuffle", data, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if tree.Files != lz4Inputs || tree.Bytes < 1<<20-lz4Inputs || tree.Bytes > 1<<20+lz4Inputs*256 {
			t.Errorf("%s: %+v", data.name, tree.TreeSum)
		}
		first, err := sumFile(filepath.Join(tree.Dir, "000_"+data.word))
		if err != nil {
			t.Fatal(err)
		}
		if second, err := sumFile(filepath.Join(tree.Dir, "001_"+data.word)); err != nil || first == second {
			t.Errorf("%s: two files are the same, or %v", data.name, err)
		}
	}
}
