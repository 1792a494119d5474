package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEscapes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		typed, want string
		err         error
	}{
		{"", "", nil},
		{"ls\r", "ls\r", nil},
		{"~.", "", errEscaped},
		{"ls\r~.more", "ls\r", errEscaped},
		{"ls\n~.", "ls\n", errEscaped},
		{"a~.\rb", "a~.\rb", nil}, // in the middle of a line
		{"~~.", "~.", nil},
		{"~~\r~~", "~\r~", nil},
		{"~/bin/x\r", "~/bin/x\r", nil},
		{"~\r~\r~.", "~\r~\r", errEscaped},
		{"\x03~", "\x03~", nil},
	} {
		for name, r := range map[string]io.Reader{
			"whole":       strings.NewReader(test.typed),
			"byte":        iotest.OneByteReader(strings.NewReader(test.typed)),
			"with an end": iotest.DataErrReader(strings.NewReader(test.typed)),
		} {
			// A Read of a few bytes each, as a tilde may come out later than it went in.
			got, err := io.ReadAll(readSome{&escapes{r: r}, 2})
			if string(got) != test.want || !errors.Is(err, test.err) {
				t.Errorf("%q, %s: got %q, %v, want %q, %v", test.typed, name, got, err, test.want, test.err)
			}
		}
	}
}

// readSome reads at most n bytes at once.
type readSome struct {
	r io.Reader
	n int
}

func (r readSome) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.n)]) }
