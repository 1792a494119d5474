package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sample returns the points for n files.
func sample(t *testing.T, in string, c Config, size int) (points []string) {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.Sample(t.Context(), strings.NewReader(in), size)
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range list {
		points = append(points, string(point))
	}
	return points
}

func TestSample(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		c    Config
		want []string
	}{
		{"", Config{N: 4}, nil},
		{"d\nb\na\nc\n", Config{N: 4}, []string{"b", "c", "d"}},
		{"h\nd\nb\na\nc\n", Config{N: 2, Header: HeaderKeep}, []string{"c"}},
		{"b\na\n", Config{N: 4}, []string{"a", "b", "b"}},
		{"a\n", Config{N: 1}, nil},
		{"b,1\na,2\n", Config{N: 2, Key: columns(2, 1), Delimiter: ','}, []string{"2,a"}},
		{"\"b\nc\"\na\n", Config{N: 2, Format: CSV, Delimiter: ','}, []string{"a"}},
		{"x,\"b\nc\"\nx,\"a\"\n", Config{N: 2, Format: CSV, Key: columns(2), Delimiter: ','}, []string{"b"}},
		{"b\nc\x00a\x00", Config{N: 2, Format: Null, Delimiter: ','}, []string{"b\nc"}},
	} {
		if got := sample(t, test.in, test.c, 1000); !slices.Equal(got, test.want) {
			t.Errorf("%q with %+v: %q, want %q", test.in, test.c, got, test.want)
		}
	}
}

// TestSampleIsUniform takes few of many keys, which come in order, once as many as
// asked for and once as many as memory has room for.
func TestSampleIsUniform(t *testing.T) {
	t.Parallel()
	const n, files = 200_000, 10
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "%06d\n", i)
	}
	for _, c := range []Config{{N: files}, {N: files, Memory: (6 + keyOverhead) * 4000}} {
		got := sample(t, in.String(), c, 5000)
		if again := sample(t, in.String(), c, 5000); !slices.Equal(got, again) {
			t.Errorf("points differ from run to run: %q, %q", got, again)
		}
		last := 0
		for _, point := range append(got, fmt.Sprint(n)) {
			var at int
			if _, err := fmt.Sscanf(point, "%d", &at); err != nil {
				t.Fatal(err)
			}
			// 2000 keys or more: with a standard deviation of 6 % of a share.
			if share := at - last; share < n/files*2/3 || share > n/files*4/3 {
				t.Errorf("of %d records %d are in a file: %q", n, share, got)
			}
			last = at
		}
	}
}

// TestReservoir keeps its promise on memory, also with one key that is too large.
func TestReservoir(t *testing.T) {
	t.Parallel()
	r := reservoir{size: 100, memory: 5000, random: rand.New(rand.NewPCG(0, 0))}
	for range 1000 {
		r.add(make([]byte, r.random.IntN(300)))
		held := 0
		for _, key := range r.keys {
			held += len(key) + keyOverhead
		}
		if held != r.bytes || held > r.memory {
			t.Fatalf("%d bytes in %d keys, %d were counted", held, len(r.keys), r.bytes)
		}
	}
	r.add(make([]byte, 6000))
	if len(r.keys) == 0 {
		t.Error("no key is left")
	}
}
