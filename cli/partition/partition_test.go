package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// columns is the key that is these fields, or all of the record for 0.
func columns(fields ...int) (key []Column) {
	for _, n := range fields {
		if n > 0 {
			key = append(key, Column{Field: n})
		}
	}
	return key
}

// run splits what in yields and returns the files in the directory, which
// Files must list.
func run(t testing.TB, in io.Reader, c Config) map[string]string {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	dir := t.TempDir()
	if err := p.Run(t.Context(), in, dir); err != nil {
		t.Fatalf("Run with %+v: %v", c, err)
	}
	got := make(map[string]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	listed := slices.Collect(p.Files())
	if len(listed) != len(entries) {
		t.Fatalf("%d files in the directory, %d listed", len(entries), len(listed))
	}
	for i, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(b)
		want := File{e.Name(), int64(bytes.Count(b, []byte{c.Format.end()})), int64(len(b))}
		if c.Format == CSV {
			records, _ := splitCSV(b, c)
			want.Records = int64(len(records))
		}
		if listed[i] != want {
			t.Errorf("file %d is listed as %+v, want %+v", i, listed[i], want)
		}
	}
	return got
}

// check compares with the reference.
func check(t testing.TB, in []byte, r io.Reader, c Config) {
	t.Helper()
	want, ok := reference(in, c)
	if !ok {
		p, err := New(c)
		if err != nil {
			t.Fatalf("New(%+v): %v", c, err)
		}
		var bad *InputError
		if err := p.Run(t.Context(), r, t.TempDir()); !errors.As(err, &bad) {
			t.Fatalf("%.200q with %+v: %v, want an error in the input", in, c, err)
		}
		return
	}
	got := run(t, r, c)
	if maps.Equal(got, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Fatalf("%+v: file %s has %d bytes, want %d:\n%.200q\n%.200q", c, name, len(got[name]), len(want[name]), got[name], want[name])
		}
	}
	t.Fatalf("%+v: wrote %d files, want %d", c, len(got), len(want))
}

// randomLines makes lines of random fields, from empty to beyond max bytes.
func randomLines(r *rand.Rand, size, longest int) []byte {
	var b []byte
	alphabet := []byte("abcdefgh,,,\t\x00\xff\r")
	for len(b) < size {
		n := r.IntN(60)
		if r.IntN(50) == 0 {
			n = r.IntN(longest)
		}
		for range n {
			b = append(b, alphabet[r.IntN(len(alphabet))])
		}
		b = append(b, '\n')
	}
	if r.IntN(2) == 0 {
		b = b[:max(0, len(b)-1-r.IntN(10))]
	}
	return b
}

func TestRandom(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(20, 26))
	for range 150 {
		in := randomLines(r, r.IntN(200_000), 1+r.IntN(100_000))
		c := Config{
			N:         1 + r.IntN(40),
			Key:       columns(r.IntN(5)),
			Missing:   r.IntN(4) > 0,
			Format:    Format(r.IntN(2)),
			Delimiter: ",\t\x00"[r.IntN(3)],
			By:        By(r.IntN(3)),
			Header:    Header(r.IntN(3)),
			Memory:    1 << (9 + r.IntN(14)), // from one slot for all on
			OpenFiles: 1 + r.IntN(50),
		}
		if c.check() != nil {
			c.Format = Lines // no NUL on both sides
		}
		if c.By == Range {
			for range r.IntN(c.N) {
				c.Points = append(c.Points, []byte("abcdefgh\t\x00\xff")[r.IntN(9):][:r.IntN(3)])
			}
			slices.SortFunc(c.Points, bytes.Compare)
		}
		var reader io.Reader = bytes.NewReader(in)
		switch r.IntN(3) {
		case 0:
			reader = iotest.HalfReader(reader)
		case 1:
			reader = iotest.DataErrReader(reader)
		}
		check(t, in, reader, c)
	}
}

// TestChunkEnds lets a line, its key and its newline meet the end of a read at
// every byte.
func TestChunkEnds(t *testing.T) {
	t.Parallel()
	in := []byte("h1,h2\na,b,c\n,b\n\n" + strings.Repeat("k", 50) + ",x\nlast,one")
	for _, by := range []By{Hash, RoundRobin} {
		for _, header := range []Header{HeaderNone, HeaderDrop, HeaderKeep} {
			for _, key := range []int{0, 2} {
				c := Config{N: 5, Key: columns(key), Missing: true, Delimiter: ',', By: by, Header: header, Memory: 1 << 16}
				check(t, in, iotest.OneByteReader(bytes.NewReader(in)), c)
				for at := range in {
					check(t, in, io.MultiReader(bytes.NewReader(in[:at]), bytes.NewReader(in[at:])), c)
				}
			}
		}
	}
}

func TestSmall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		c    Config
		want map[string]string
	}{
		{"", Config{N: 3}, map[string]string{}},
		{"", Config{N: 3, Header: HeaderKeep}, map[string]string{}},
		{"head", Config{N: 3, Header: HeaderKeep}, map[string]string{}},
		{"head\n", Config{N: 3, Header: HeaderKeep}, map[string]string{}},
		{"head\n\n", Config{N: 1, Header: HeaderKeep}, map[string]string{"000": "head\n\n"}},
		{"\n\n", Config{N: 1, Header: HeaderKeep}, map[string]string{"000": "\n\n"}},
		{"head\na", Config{N: 1, Header: HeaderDrop}, map[string]string{"000": "a\n"}},
		{"\n", Config{N: 1}, map[string]string{"000": "\n"}},
		{"a\nb\nc\n", Config{N: 2, By: RoundRobin}, map[string]string{"000": "a\nc\n", "001": "b\n"}},
		{"h\na\nb\nc\n", Config{N: 2, By: RoundRobin, Header: HeaderKeep}, map[string]string{"000": "h\na\nc\n", "001": "h\nb\n"}},
		// A key that is a split point is above it; points may be equal; a short
		// line has the empty key.
		{"a\nb\nbb\nc\nd", Config{N: 4, By: Range, Points: [][]byte{[]byte("b"), []byte("b"), []byte("c")}},
			map[string]string{"000": "a\n", "002": "b\nbb\n", "003": "c\nd\n"}},
		{"x,1\nx\ny,2\n", Config{N: 2, By: Range, Key: columns(2), Missing: true, Delimiter: ',', Points: [][]byte{[]byte("2")}},
			map[string]string{"000": "x,1\nx\n", "001": "y,2\n"}},
		{"\xff\n\x00\n", Config{N: 2, By: Range, Points: [][]byte{[]byte("\x80")}}, map[string]string{"000": "\x00\n", "001": "\xff\n"}},
		// xxh64 as anyone computes it: that of "a" is d24ec4f1a98c6e5b.
		{"a,1\r\n", Config{N: 1_000_000, Key: columns(1), Delimiter: ','}, map[string]string{fmt.Sprintf("%06d", uint64(0xd24ec4f1a98c6e5b)%1_000_000): "a,1\r\n"}},
	} {
		if got := run(t, strings.NewReader(test.in), test.c); !maps.Equal(got, test.want) {
			t.Errorf("%q with %+v: %q, want %q", test.in, test.c, got, test.want)
		}
	}
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 300_000)
	in := []byte("a," + long + "\n" + long + ",b\n" + "c,d\n" + long)
	for key := range 4 {
		check(t, in, bytes.NewReader(in), Config{N: 7, Key: columns(key), Missing: true, Delimiter: ','})
	}
	check(t, in, bytes.NewReader(in), Config{N: 7, By: RoundRobin})
}

// TestHeld says where the length of a line matters: until its key has ended.
func TestHeld(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	const limit = 1 << 19
	for _, test := range []struct {
		in   string
		c    Config
		want string
	}{
		{"a\nk," + long + "\n", Config{Key: columns(1)}, ""},
		{"a\nk," + long + "\n", Config{Key: columns(2)}, "line 2: the key does not end within 524288 bytes"},
		{"a\nk," + long + "\n", Config{Key: columns(0)}, "line 2: the key does not end within 524288 bytes"},
		{"a\nk," + long + "\n", Config{Key: columns(0), By: RoundRobin}, ""},
		{"a\n" + long + "\n", Config{Key: columns(1), Header: HeaderDrop}, "line 2: the key does not end within 524288 bytes"},
		{long + "\na\n", Config{Key: columns(1), Header: HeaderDrop}, ""},
		{long + "\na\n", Config{Key: columns(1), Header: HeaderKeep}, "line 1: the header does not end within 524288 bytes"},
	} {
		test.c.N, test.c.Missing, test.c.Delimiter, test.c.held = 3, true, ',', limit
		if test.want == "" {
			check(t, []byte(test.in), strings.NewReader(test.in), test.c)
			continue
		}
		p, err := New(test.c)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context(), strings.NewReader(test.in), t.TempDir()); err == nil || err.Error() != test.want {
			t.Errorf("%.5q… with %+v: %v, want %s", test.in, test.c, err, test.want)
		}
	}
}

// TestMany writes to 10000 files, with more than may be open.
func TestMany(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var in []byte
	for range 25_000 {
		in = fmt.Appendf(in, "%d\t%x\n", r.IntN(1e6), r.Uint64())
	}
	check(t, in, bytes.NewReader(in), Config{N: 2_000, Key: columns(1), Delimiter: '\t', OpenFiles: 50})

	// The system's limit is lower than it was asked for.
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}()
	if got := openFiles(); got != 64-spareFiles {
		t.Errorf("openFiles() = %d", got)
	}
	check(t, in, bytes.NewReader(in), Config{N: 2_000, Key: columns(1), Delimiter: '\t', Memory: 1 << 20})
	check(t, in, bytes.NewReader(in), Config{N: 2_000, Key: columns(1), Delimiter: '\t', Memory: 1 << 20, OpenFiles: 1000})
}

func TestExists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000"), []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{N: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(t.Context(), strings.NewReader("a\n"), dir)
	if !errors.Is(err, fs.ErrExist) || err.Error() != "create 000: file exists" {
		t.Errorf("Run: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "000")); string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if files := slices.Collect(p.Files()); len(files) != 0 {
		t.Errorf("listed: %v", files)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	p, _ := New(Config{N: 1})
	if err := p.Run(t.Context(), strings.NewReader("a\n"), "/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	p, _ = New(Config{N: 1})
	broken := io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(errors.New("broken")))
	if err := p.Run(t.Context(), broken, t.TempDir()); err == nil || err.Error() != "input: broken" {
		t.Errorf("reader fails: %v", err)
	}
}

// TestCancel ends while a Read blocks.
func TestCancel(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	p, err := New(Config{N: 4})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write([]byte("a\nb\n")) // returns when it has been read
		cancel()
	}()
	if err := p.Run(ctx, r, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{}, "the number of partitions is 0, not from 1 to 1000000"},
		{Config{N: 1_000_001}, "the number of partitions is 1000001, not from 1 to 1000000"},
		{Config{N: 1, Key: []Column{{Field: -1}}}, "field -1: fields count from 1"},
		{Config{N: 1, Key: []Column{{Name: "id"}}}, `column "id" is looked up in the header: say whether to keep or to drop it`},
		{Config{N: 1, Format: Null}, "the delimiter cannot be NUL: it ends the record"},
		{Config{N: 1, Format: CSV, Delimiter: '"'}, `the delimiter of CSV cannot be '"'`},
		{Config{N: 1, Delimiter: '\n'}, "the delimiter cannot be a newline: it ends the line"},
		{Config{N: 1, By: Range, Points: make([][]byte, 1)}, "1 split points for 1 partitions, which have at most 0"},
	} {
		if _, err := New(test.c); err == nil || err.Error() != test.want {
			t.Errorf("New(%+v): %v, want %s", test.c, err, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n, i int
		want string
	}{{1, 0, "000"}, {64, 63, "063"}, {1000, 999, "999"}, {1001, 999, "0999"}, {1001, 1000, "1000"}, {10_000, 7, "0007"}, {1_000_000, 999_999, "999999"}} {
		if got := string(appendName(nil, test.i, width(test.n))); got != test.want {
			t.Errorf("file %d of %d is %s, want %s", test.i, test.n, got, test.want)
		}
	}
}

func TestReadPoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		n    int
		want []string
		err  string
	}{
		{"", 1, nil, ""},
		{"b\nc\n", 3, []string{"b", "c"}, ""},
		{"b\nb\nc", 9, []string{"b", "b", "c"}, ""},
		{"\nB\na\n", 4, []string{"", "B", "a"}, ""},
		{"b\nc\n", 2, nil, "line 2: too many split points: 2 partitions have at most 1"},
		{"b\nc\na\n", 4, nil, "line 3: split points are not in order: sort them with LC_ALL=C sort"},
		{"a\nB\n", 4, nil, "line 2: split points are not in order: sort them with LC_ALL=C sort"},
	} {
		points, err := ReadPoints(strings.NewReader(test.in), Config{N: test.n})
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%q for %d: %v, want %s", test.in, test.n, err, test.err)
			}
			continue
		}
		var got []string
		for _, p := range points {
			got = append(got, string(p))
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q for %d: %q, %v, want %q", test.in, test.n, got, err, test.want)
		}
	}
}

func FuzzRun(f *testing.F) {
	f.Add([]byte("a,b\nc,d\n\nlast"), uint8(4), uint8(1), byte(','), uint8(0), uint16(3))
	f.Add([]byte("h\nb\na\xff\x00,c\n"), uint8(3), uint8(2), byte(','), uint8(1+3*2), uint16(1))
	f.Add([]byte("h\n1\n2\n3"), uint8(200), uint8(0), byte(0), uint8(2+3*1), uint16(900))
	f.Add([]byte("a,b\x00c\n,d\x00\x00"), uint8(4), uint8(9), byte(','), uint8(9), uint16(3))
	f.Add([]byte("\ufeff\"a\r\nb\",\"c\"\"\"\r\n\r\n,\"\"\n\r"), uint8(4), uint8(8+2), byte(','), uint8(18+27), uint16(3))
	f.Add([]byte("x\ty\na\t\"b\n\"\t\n"), uint8(4), uint8(2), byte('\t'), uint8(18+3+27*2), uint16(3))
	// The digits of mode, in base 3, are By, Header, Format, and whether columns may be missing or have names.
	f.Fuzz(func(t *testing.T, in []byte, n, key uint8, delimiter byte, mode uint8, piece uint16) {
		c := Config{N: 1 + int(n), Key: columns(int(key%8), int(key/8%4)), Delimiter: delimiter,
			By: By(mode % 3), Header: Header(mode / 3 % 3), Format: Format(mode / 9 % 3), Missing: mode/27%3 == 0,
			Memory: int(piece) * 8, OpenFiles: 1 + int(piece%7)}
		if c.By == Range {
			for _, p := range bytes.Split(in, []byte("\n")) {
				if len(c.Points) < c.N-1 {
					c.Points = append(c.Points, p)
				}
			}
			slices.SortFunc(c.Points, bytes.Compare)
		}
		if header, _ := splitLines(in, c); mode/27%3 == 2 && c.Header != HeaderNone && len(header) > 0 {
			if name := header[0].fields[len(header[0].fields)-1]; name != "" {
				c.Key = append(c.Key, Column{Name: name})
			}
		}
		if err := c.check(); err != nil || c.Format == CSV && (delimiter == 0 || delimiter >= utf8.RuneSelf) {
			t.Skip("no delimiter of this format, or none of encoding/csv")
		}
		check(t, in, &pieces{in, 1 + int(piece)}, c)
	})
}

// pieces yields at most n bytes a read.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}
