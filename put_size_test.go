package s4_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nathants/s4"
	"github.com/nathants/s4/xfer"
)

// A reader with more bytes than Put was told makes no key.
func TestPutMoreThanSize(t *testing.T) {
	c := startLocal(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o666); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out, in := io.Pipe()
	go func() { _, _ = in.Write([]byte("0123456789")) }()
	defer out.Close()
	for name, test := range map[string]struct {
		r    io.Reader
		size int64
		want string
	}{
		"none":            {strings.NewReader("x"), 0, "the source has more than 0 bytes"},
		"some":            {strings.NewReader("0123456789"), 9, "the source has more than 9 bytes"},
		"byte by byte":    {iotest.OneByteReader(strings.NewReader("0123456789")), 9, "the source has more than 9 bytes"},
		"a file":          {file, 9, "the source has more than 9 bytes"},
		"a pipe":          {out, 9, "the source has more than 9 bytes"},
		"a chunk":         {bytes.NewReader(noise(xfer.ChunkSize + 1)), xfer.ChunkSize, fmt.Sprintf("the source has more than %d bytes", xfer.ChunkSize)},
		"several chunks":  {bytes.NewReader(noise(3*xfer.ChunkSize + 8)), 3*xfer.ChunkSize + 7, fmt.Sprintf("the source has more than %d bytes", 3*xfer.ChunkSize+7)},
		"a broken end":    {io.MultiReader(strings.NewReader("0123"), iotest.ErrReader(errors.New("bad sum"))), 4, "bad sum"},
		"a broken middle": {io.MultiReader(strings.NewReader("0123"), iotest.ErrReader(errors.New("bad sum"))), 5, "bad sum"},
	} {
		t.Run(name, func(t *testing.T) {
			const key = "s4://b/k"
			err := c.Put(t.Context(), key, test.r, test.size)
			wantPutError(t, "Put", err, key, s4.ErrStorage)
			if want := "put " + key + ": " + test.want; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
			if _, err := c.Stat(t.Context(), key); !errors.Is(err, s4.ErrNotFound) {
				t.Errorf("Stat: %v", err)
			}
		})
	}
	if n := s4.IdleConns(c); n != 1 {
		t.Errorf("%d idle connections, want the one that all have used", n)
	}
}

// countReads counts the calls of Read.
type countReads struct {
	io.Reader
	n int
}

func (r *countReads) Read(p []byte) (int, error) {
	r.n++
	return r.Reader.Read(p)
}

// A reader with as many bytes as Put was told is read once more, and no further if a
// limit is around it.
func TestPutExactSize(t *testing.T) {
	c := startLocal(t)
	for i, n := range []int{0, 1, xfer.ChunkSize, 2*xfer.ChunkSize + 1} {
		data := noise(n)
		unknown := &countReads{Reader: bytes.NewReader(data)}
		known := &countReads{Reader: bytes.NewReader(data)}
		limited := &countReads{Reader: bytes.NewReader(data)}
		base := string(rune('0' + i))
		for key, err := range map[string]error{
			"s4://b/unknown" + base: c.Put(t.Context(), "s4://b/unknown"+base, unknown, -1),
			"s4://b/known" + base:   c.Put(t.Context(), "s4://b/known"+base, known, int64(n)),
			"s4://b/limited" + base: c.Put(t.Context(), "s4://b/limited"+base, io.LimitReader(limited, int64(n)), int64(n)),
		} {
			var got bytes.Buffer
			if _, gerr := c.Get(t.Context(), key, &got); err != nil || gerr != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%s: %v, %v", key, err, gerr)
			}
		}
		if known.n != limited.n+1 || known.n > unknown.n {
			t.Errorf("%d bytes: %d reads, %d with a limit, %d of unknown size", n, known.n, limited.n, unknown.n)
		}
	}
}

// A pipe whose writer keeps it open after the last byte does not hold Put up for ever.
func TestPutOpenPipe(t *testing.T) {
	c := startLocal(t)
	check := goroutines(t)
	out, in := io.Pipe()
	go func() { _, _ = in.Write([]byte("0123456789")) }()
	const key = "s4://b/k"
	if err := c.Put(t.Context(), key, out, 10); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := c.Get(t.Context(), key, &got); err != nil || got.String() != "0123456789" {
		t.Errorf("%q, %v", got.String(), err)
	}
	in.Close()
	c.Close()
	check()
}
