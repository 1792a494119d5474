package bench

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// The trips are the same on every machine and in every version, or figures of
// two are of different work.
func TestTripsDeterministic(t *testing.T) {
	for file, want := range map[int]uint64{3: 0xfe8ed56cd5790ba6, 4: 0xb702985b3338eb8d} {
		var b bytes.Buffer
		if err := writeTrips(&b, file, 1<<20); err != nil {
			t.Fatal(err)
		}
		if got := xxhash.Sum64(b.Bytes()); got != want {
			t.Errorf("file %d: xxh64 %#x, want %#x", file, got, want)
		}
	}
}

func TestTrips(t *testing.T) {
	var b bytes.Buffer
	const size = 1 << 20
	if err := writeTrips(&b, 0, size); err != nil {
		t.Fatal(err)
	}
	if b.Len() < size || b.Len() > size+256 {
		t.Errorf("%d bytes", b.Len())
	}
	row := regexp.MustCompile(`^[12],2014-[01]\d-\d\d [012]\d:[0-5]\d:[0-5]\d,201[45]-[01]\d-\d\d [012]\d:[0-5]\d:[0-5]\d,[1-7],\d{5},[1-5],(card|cash|none)(,\d+\.\d\d){4}$`)
	rides := make(map[string]int)
	distances := make(map[string]int)
	rows := 0
	for line := range strings.Lines(b.String()) {
		rows++
		line = strings.TrimSuffix(line, "\n")
		if !row.MatchString(line) {
			t.Fatalf("bad row %q", line)
		}
		f := strings.Split(line, ",")
		rides[f[1][:10]]++
		distances[f[4]]++
	}
	if len(rides) != tripDays {
		t.Errorf("%d days", len(rides))
	}
	// Ranges of equal size need many distances, none of them too frequent.
	if len(distances) < 500 {
		t.Errorf("%d distances", len(distances))
	}
	for d, n := range distances {
		if n > rows/100 {
			t.Errorf("%d of %d rows have distance %s", n, rows, d)
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
