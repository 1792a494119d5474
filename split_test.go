package s4

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// naiveSplit cuts by the rule, written as simply as possible.
func naiveSplit(in string, size int, header bool) (parts []string) {
	if in == "" {
		return nil
	}
	first := ""
	if header {
		first = in[:len(in)-len(afterLine(in))]
		in = in[len(first):]
	}
	for part := ""; ; part = "" {
		for len(part) < size && in != "" {
			rest := afterLine(in)
			part += in[:len(in)-len(rest)]
			in = rest
		}
		parts = append(parts, first+part)
		if in == "" {
			return parts
		}
	}
}

func afterLine(s string) string {
	_, rest, _ := strings.Cut(s, "\n")
	return rest
}

// allParts returns the parts that c cuts.
func allParts(c cutter) (parts []string, err error) {
	for {
		p, err := c.next()
		if err == io.EOF {
			_, err = c.next() // io.EOF again
			if err == io.EOF {
				return parts, nil
			}
		}
		if err != nil {
			return parts, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return parts, err
		}
		if p.size >= 0 && p.size != int64(len(b)) {
			return parts, errors.New("a part has not the size it says")
		}
		parts = append(parts, string(b))
	}
}

// checkCuts compares the cutters with naiveSplit, and the parts with the input.
func checkCuts(t *testing.T, in string, size int, header bool) {
	t.Helper()
	want := naiveSplit(in, size, header)
	opts := SplitOptions{Size: int64(size), Header: header}
	cutters := map[string]cutter{
		"stream":       newStreamCutter(strings.NewReader(in), opts),
		"half reads":   newStreamCutter(iotest.HalfReader(strings.NewReader(in)), opts),
		"data and end": newStreamCutter(iotest.DataErrReader(strings.NewReader(in)), opts),
	}
	if len(in) < 10000 {
		cutters["single bytes"] = newStreamCutter(iotest.OneByteReader(strings.NewReader(in)), opts)
	}
	if in != "" { // an empty file is read as a stream
		cutters["file"] = &fileCutter{f: strings.NewReader(in), size: int64(len(in)), opts: opts}
	}
	for name, c := range cutters {
		got, err := allParts(c)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s of %.80q by %d, header %v: %.80q, %v, want %.80q", name, in, size, header, got, err, want)
		}
	}
	first := ""
	if header {
		first = in[:len(in)-len(afterLine(in))]
	}
	joined := first
	for _, p := range want {
		joined += strings.TrimPrefix(p, first)
	}
	if joined != in {
		t.Errorf("the parts of %.80q by %d are not the input", in, size)
	}
}

func TestSplitCuts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		size   int
		header bool
		want   []string
	}{
		{"empty", "", 1, false, nil},
		{"empty, header", "", 1, true, nil},
		{"one line, all of it", "abc\n", 100, false, []string{"abc\n"}},
		{"a line each", "a\nb\nc\n", 1, false, []string{"a\n", "b\n", "c\n"}},
		{"exactly at a line end", "abc\ndef\nghi\n", 4, false, []string{"abc\n", "def\n", "ghi\n"}},
		{"one before", "abc\ndef\nghi\n", 3, false, []string{"abc\n", "def\n", "ghi\n"}},
		{"one behind", "abc\ndef\nghi\n", 5, false, []string{"abc\ndef\n", "ghi\n"}},
		{"the size of the input", "abc\ndef\n", 8, false, []string{"abc\ndef\n"}},
		{"no newline", "abcdefghi", 2, false, []string{"abcdefghi"}},
		{"no last newline", "abc\nde", 2, false, []string{"abc\n", "de"}},
		{"empty lines", "\n\n\n", 1, false, []string{"\n", "\n", "\n"}},
		{"empty lines by two", "\n\n\n", 2, false, []string{"\n\n", "\n"}},
		{"CRLF", "a\r\nb\r\nc", 2, false, []string{"a\r\n", "b\r\n", "c"}},
		{"CR is no line end", "a\rb\rc\n", 1, false, []string{"a\rb\rc\n"}},
		{"NUL", "\x00\n\x00\n", 1, false, []string{"\x00\n", "\x00\n"}},
		{"header", "h\na\nb\nc\n", 3, true, []string{"h\na\nb\n", "h\nc\n"}},
		{"header longer than the size", "header\na\nb\n", 1, true, []string{"header\na\n", "header\nb\n"}},
		{"header only", "header\n", 1, true, []string{"header\n"}},
		{"header only, no newline", "header", 1, true, []string{"header"}},
		{"header empty", "\na\nb", 1, true, []string{"\na\n", "\nb"}},
		{"header with CRLF", "h\r\na\r\nb\r\n", 1, true, []string{"h\r\na\r\n", "h\r\nb\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := naiveSplit(tt.in, tt.size, tt.header); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			checkCuts(t, tt.in, tt.size, tt.header)
		})
	}
}

// TestSplitRandom cuts lines that are about as long as the parts and the buffers.
func TestSplitRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, r.IntN(200))
		alphabet := "\nab\r\n"[r.IntN(4):]
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		checkCuts(t, string(b), 1+r.IntN(40), r.IntN(2) == 0)
	}
	for range 30 {
		var in strings.Builder
		for range 1 + r.IntN(8) {
			in.WriteString(strings.Repeat("x", []int{0, 4<<10 - 1, cutBuffer - 1, cutBuffer, 2*cutBuffer + 7, r.IntN(3 * cutBuffer)}[r.IntN(6)]))
			in.WriteString(strings.Repeat("\n", r.IntN(3)))
		}
		size := []int{1, 4 << 10, cutBuffer - 1, cutBuffer, cutBuffer + 1, 1 + r.IntN(3*cutBuffer)}[r.IntN(6)]
		checkCuts(t, in.String(), size, r.IntN(2) == 0)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("a\nb\nc", uint16(1), false)
	f.Add("h\na\r\n\nb\n", uint16(2), true)
	f.Add("\n", uint16(0), true)
	f.Fuzz(func(t *testing.T, in string, size uint16, header bool) {
		checkCuts(t, in, 1+int(size), header)
	})
}

// TestSplitHugeLine cuts a line that is far longer than the buffers.
func TestSplitHugeLine(t *testing.T) {
	const size = 256 << 20
	opts := SplitOptions{Size: 1}
	for name, c := range map[string]cutter{
		"stream": newStreamCutter(io.LimitReader(noNewline{}, size), opts),
		"file":   &fileCutter{f: noNewline{}, size: size, opts: opts},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, p, make([]byte, 256<<10))
		if n != size || err != nil {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if _, err := c.next(); err != io.EOF {
			t.Errorf("%s: %v behind the only part", name, err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
}

// noNewline yields bytes without a newline, and never ends.
type noNewline struct{}

func (noNewline) Read(p []byte) (int, error)              { clear(p); return len(p), nil }
func (noNewline) ReadAt(p []byte, off int64) (int, error) { clear(p); return len(p), nil }

func TestSplitLongHeader(t *testing.T) {
	for _, extra := range []int{0, 1} {
		in := strings.Repeat("h", maxHeader-1+extra) + "\na\nb\n"
		opts := SplitOptions{Size: 1, Header: true}
		for name, c := range map[string]cutter{
			"stream": newStreamCutter(strings.NewReader(in), opts),
			"file":   &fileCutter{f: strings.NewReader(in), size: int64(len(in)), opts: opts},
		} {
			parts, err := allParts(c)
			if extra == 0 && (err != nil || len(parts) != 2 || len(parts[1]) != maxHeader+2) {
				t.Errorf("%s: %d parts, %v", name, len(parts), err)
			}
			if extra == 1 && (err == nil || parts != nil) {
				t.Errorf("%s: %d parts of a header that is too long, %v", name, len(parts), err)
			}
		}
	}
}

// TestSplitSizeHuge cuts with sizes that overflow when an offset is added.
func TestSplitSizeHuge(t *testing.T) {
	opts := SplitOptions{Size: 1<<63 - 1, Header: true}
	for name, c := range map[string]cutter{
		"stream": newStreamCutter(strings.NewReader("a\nb\n"), opts),
		"file":   &fileCutter{f: strings.NewReader("a\nb\n"), size: 4, opts: opts},
	} {
		if got, err := allParts(c); err != nil || !slices.Equal(got, []string{"a\nb\n"}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestSplitErrors reads inputs that end with an error, which is not the end of a part.
func TestSplitErrors(t *testing.T) {
	broken := errors.New("broken")
	opts := SplitOptions{Size: 2}
	for in, want := range map[string][]string{"": nil, "ab\n": {"ab\n"}, "ab\nc": {"ab\n"}, "ab\ncd": {"ab\n"}} {
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken))
		if got, err := allParts(newStreamCutter(r, opts)); err != broken || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	// A file that has become shorter.
	c := &fileCutter{f: strings.NewReader("ab\nc"), size: 100, opts: SplitOptions{Size: 4}}
	if got, err := allParts(c); got != nil || err == nil || !strings.Contains(err.Error(), "ended after 4 of 100 bytes") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSplitReadsNoMore checks that an input is not read again after its end. A terminal
// may yield more there.
func TestSplitReadsNoMore(t *testing.T) {
	ends := 0
	r := readerFunc(func(p []byte) (int, error) {
		ends++
		if ends == 1 {
			return copy(p, "a\nb"), nil
		}
		return 0, io.EOF
	})
	if got, err := allParts(newStreamCutter(r, SplitOptions{Size: 1})); len(got) != 2 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if ends != 2 {
		t.Errorf("read %d times", ends)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSplitReadsLittle checks that a file is not read twice to be cut.
func TestSplitReadsLittle(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	in := strings.NewReader(strings.Repeat(line, 100_000))
	n := 0
	c := &fileCutter{f: readerAtFunc(func(p []byte, off int64) (int, error) {
		n += len(p)
		return in.ReadAt(p, off)
	}), size: in.Size(), opts: SplitOptions{Size: 1 << 20}}
	parts := 0
	for {
		if _, err := c.next(); err != nil {
			break
		}
		parts++
	}
	if parts != 10 || n > 9*(4<<10) {
		t.Errorf("read %d bytes to find %d parts", n, parts)
	}
}

type readerAtFunc func([]byte, int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func TestSplitKey(t *testing.T) {
	for _, tt := range []struct {
		key  string
		i    int
		want string
	}{
		{"s4://b/in/x.csv", 0, "s4://b/in/00000_x.csv"},
		{"s4://b/x.csv", 12, "s4://b/00012_x.csv"},
		{"s4://b/in/", 1, "s4://b/in/00001"},
		{"s4://b/", 1, "s4://b/00001"},
		{"s4://b", 99999, "s4://b/99999"},
		{"s4://b/in/007_x", 100000, "s4://b/in/100000_007_x"},
		{"s4://b/x/x/x", 3, "s4://b/x/x/00003_x"},
	} {
		if got := partKey(tt.key, tt.i); got != tt.want {
			t.Errorf("part %d of %s is %s, want %s", tt.i, tt.key, got, tt.want)
		}
	}
}

func TestSplitHeaderAcrossBuffers(t *testing.T) {
	for _, n := range []int{15, 16, 17, 100} {
		line := strings.Repeat("h", n) + "\n"
		got, err := readHeader(bufio.NewReaderSize(strings.NewReader(line+"rest"), 16))
		if !bytes.Equal(got, []byte(line)) || err != nil {
			t.Errorf("%q, %v, want %q", got, err, line)
		}
	}
}
