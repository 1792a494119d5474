package partition

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestCSV(t *testing.T) {
	t.Parallel()
	name := func(names ...string) (key []Column) {
		for _, n := range names {
			key = append(key, Column{Name: n})
		}
		return key
	}
	points := func(points ...string) (b [][]byte) {
		for _, p := range points {
			b = append(b, []byte(p))
		}
		return b
	}
	for _, test := range []struct {
		in   string
		c    Config
		want map[string]string
	}{
		// Bytes stay as they are, and keys are what the quotes mean.
		{"\"b\",1\r\nb,\"2\n,\"\na,\"\"\"\"", Config{Key: columns(1), Points: points("b")},
			map[string]string{"000": "a,\"\"\"\"\n", "001": "\"b\",1\r\nb,\"2\n,\"\n"}},
		{"1,\"x\"\"y\"\n2,\"x\"\n", Config{Key: columns(2), Points: points("x", `x"y`)},
			map[string]string{"001": "2,\"x\"\n", "002": "1,\"x\"\"y\"\n"}},
		{"\"x\r\ny\"\n", Config{Key: columns(1), Points: points("x\ny", "x\n{")}, map[string]string{"001": "\"x\r\ny\"\n"}},
		// Empty lines are no records, but an empty field is one.
		{"\n\r\na\n\n\"\"\n\r", Config{By: RoundRobin}, map[string]string{"000": "a\n", "001": "\"\"\n"}},
		{"\n\nh\n\na\n", Config{By: RoundRobin, Header: HeaderKeep}, map[string]string{"000": "h\na\n"}},
		// Columns by name, in this order; a byte order mark is no part of one.
		{"\ufeff\"the id\",n\na,2\nb,1\n", Config{Key: name("the id"), Header: HeaderDrop, Points: points("b")},
			map[string]string{"000": "a,2\n", "001": "b,1\n"}},
		{"a,b,\"c\nd\"\n1,2,3\n3,2,1\n", Config{Key: name("c\nd", "a"), Header: HeaderKeep, Points: points("2")},
			map[string]string{"000": "a,b,\"c\nd\"\n3,2,1\n", "001": "a,b,\"c\nd\"\n1,2,3\n"}},
		{"a\n", Config{Key: columns(2), Missing: true, Points: points("a")}, map[string]string{"000": "a\n"}},
		{"", Config{Key: name("a"), Header: HeaderKeep}, map[string]string{}},
		{"a", Config{Key: name("a"), Header: HeaderKeep}, map[string]string{}},
	} {
		test.c.N, test.c.Format, test.c.Delimiter = 9, CSV, ','
		if test.c.Points != nil {
			test.c.By = Range
		}
		for size := range 4 {
			if got := run(t, &pieces{[]byte(test.in), 1 + size}, test.c); !maps.Equal(got, test.want) {
				t.Errorf("%q with %+v: %q, want %q", test.in, test.c, got, test.want)
			}
		}
	}
}

// TestInputErrors has the words for input that is not what was said.
func TestInputErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		c    Config
		want string
	}{
		{"a\n\"b\nc\"\n\nd\"\n", Config{Format: CSV}, `line 5: a " in a field that does not begin with one`},
		{"a\n\"b\"c\n", Config{Format: CSV}, `line 2: a " in a quoted field that neither ends it nor is doubled`},
		{"a\n\"b\"\r", Config{Format: CSV}, ""},
		{"a\n\"b\"\rc\n", Config{Format: CSV}, `line 2: a " in a quoted field that neither ends it nor is doubled`},
		{"h\na,\"b\n\n", Config{Format: CSV, Header: HeaderDrop, Key: columns(1)}, `line 2: a quoted field does not end`},
		{"\"h\n", Config{Format: CSV, Header: HeaderDrop}, `line 1: a quoted field does not end`},
		{"a,b\nc\n", Config{Key: columns(1, 2)}, "line 2: there is no field 2"},
		{"h\na,b\nc", Config{Key: columns(2), Header: HeaderKeep}, "line 3: there is no field 2"},
		{"a,b\x00\x00", Config{Key: columns(2), Format: Null}, "record 2: there is no field 2"},
		{"\"h\n\"\na,\"b\n\"\nc\n", Config{Format: CSV, Key: columns(2), Header: HeaderKeep}, "line 5: there is no field 2"},
		{"a,b\n", Config{Key: []Column{{Name: "c"}}, Header: HeaderDrop}, `line 1: the header has no column "c"`},
		{"a,b,a", Config{Key: []Column{{Name: "a"}}, Header: HeaderDrop}, `line 1: the header has the column "a" in fields 1 and 3: give the number`},
	} {
		test.c.N, test.c.Delimiter = 3, ','
		for size := range 3 {
			p, err := New(test.c)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if _, err := p.Sample(t.Context(), &pieces{[]byte(test.in), 1 + size*size}, 1); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q with %+v: %s, want %s", test.in, test.c, got, test.want)
			}
		}
	}
}

// TestCSVChunkEnds lets all there is in CSV meet the end of a read, at every byte.
func TestCSVChunkEnds(t *testing.T) {
	t.Parallel()
	in := []byte("\ufeffid,\"na\r\nme\"\r\n1,\"a,\"\"b\"\"\"\r\n\r\n2,\"\"\n\n,\"x\r\n\",\"y\"\n\"\",plain\nlast,\"z\"\r")
	c := Config{N: 50, Format: CSV, Key: []Column{{Name: "na\nme"}, {Field: 1}}, Delimiter: ',', Header: HeaderDrop}
	records, _ := splitCSV(in, c)
	var want []string
	for _, r := range records[1:] {
		key, _, _ := strings.Cut(r.fields[1]+","+r.fields[0], "\n")
		want = append(want, key)
	}
	slices.Sort(want)
	for at := range in {
		p, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		points, err := p.Sample(t.Context(), io.MultiReader(bytes.NewReader(in[:at]), bytes.NewReader(in[at:])), 100)
		var got []string
		for _, point := range points {
			got = append(got, string(point))
		}
		if got = slices.Compact(got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("cut at %d: %q, %v, want %q", at, got, err, want)
		}
	}
}
