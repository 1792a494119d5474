package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// The trips are the same on every machine and in every version, or figures of
// two are of different work.
func TestTripsDeterministic(t *testing.T) {
	var a, b, other bytes.Buffer
	for file, w := range map[int]*bytes.Buffer{3: &a, 4: &other} {
		if err := newTrips(file).write(w, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := newTrips(3).write(&b, 1<<20); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("a file differs from itself")
	}
	if bytes.Equal(a.Bytes(), other.Bytes()) {
		t.Error("two files are the same")
	}
	if got, want := xxhash.Sum64(a.Bytes()), uint64(0xfe8ed56cd5790ba6); got != want {
		t.Errorf("xxh64 %#x, want %#x", got, want)
	}
}

func TestTrips(t *testing.T) {
	var b bytes.Buffer
	const size = 1 << 20
	if err := newTrips(0).write(&b, size); err != nil {
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

// Ctrl-C ends the making of trips, whatever their size.
func TestTripsCancelled(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := makeTrips(ctx, t.TempDir(), 1<<60); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Parts count as one file, in the order of their names.
func TestCheckParts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b/000": "one\n", "a/001": "two\n", "b/002": "three\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const all = "one\ntwo\nthree\n"
	want := Sum{int64(len(all)), xxhash.Sum64String(all)}
	if err := checkParts(filepath.Join(dir, "*", "*"), want); err != nil {
		t.Error(err)
	}
	if err := checkParts(filepath.Join(dir, "b", "*"), want); err == nil {
		t.Error("a missing part passes")
	}
	if err := checkParts(filepath.Join(dir, "c", "*"), want); err == nil {
		t.Error("no part at all passes")
	}
}

// Every query gives what the reference says, on both sides: a run checks.
func testETL(t *testing.T, program string) {
	r := runProgram(t, program, "etl", "--etl-size", "300K")
	var rows []string
	for _, res := range r.Results {
		rows = append(rows, res.Row)
		if len(res.Sides) != 2 || len(res.Verdicts) != 1 || res.Verdicts[0].Unknown != "" {
			t.Errorf("%s: %+v", res.Row, res)
		}
		for _, s := range res.Sides {
			if one := s.Samples[0]; one.Keys != 4 || one.Bytes < 300<<10 || one.Bytes > 301<<10 {
				t.Errorf("%s: %s moves %d bytes in %d keys", res.Row, s.Name, one.Bytes, one.Keys)
			}
		}
		if want := "300 KiB in 4 keys"; !strings.HasSuffix(res.Work, want) {
			t.Errorf("%q does not say %s", res.Work, want)
		}
	}
	if want := []string{"etl-passengers", "etl-dates", "etl-distances", "etl-top", "etl-sort"}; !slices.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
}
