package s3

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/nathants/s4/cli/s3/s3test"
)

// pack compresses text, in a frame or member of its own.
func pack(t *testing.T, format, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gz":
		w = gzip.NewWriter(&b)
	case "zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case "lz4":
		w = lz4.NewWriter(&b)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	text := strings.Repeat("some words that compress\n", 100)
	for format, unpack := range unpackers {
		one, two := pack(t, format, text), pack(t, format, "more\n")
		both := append(one[:len(one):len(one)], two...)
		for _, c := range []struct {
			in   []byte
			want string
		}{
			{one, text},
			{both, text + "more\n"},
			{pack(t, format, ""), ""},
		} {
			var got bytes.Buffer
			if err := unpack(&got, bytes.NewReader(c.in)); err != nil || got.String() != c.want {
				t.Errorf("%s: got %d bytes, %v; want %d", format, got.Len(), err, len(c.want))
			}
		}
		for n := range both { // cut anywhere but between the two
			if n%5 != 0 && len(both)-n > 5 || n == len(one) || n == 0 && format != "gz" {
				continue
			}
			if err := unpack(io.Discard, bytes.NewReader(both[:n])); err == nil {
				t.Errorf("%s: cut to %d of %d bytes: no error", format, n, len(both))
			}
		}
		damaged := bytes.Clone(one)
		damaged[len(damaged)/2] ^= 1
		for name, in := range map[string][]byte{"damaged": damaged, "followed by something": append(one[:len(one):len(one)], "something"...)} {
			if err := unpack(io.Discard, bytes.NewReader(in)); err == nil {
				t.Errorf("%s: %s: no error", format, name)
			}
		}
	}
}

func TestGetUnpacks(t *testing.T) {
	l := newLab(t, s3test.Fake)
	text := strings.Repeat("some words that compress\n", 100000)
	l.Put(t, "bkt", "k.gz", pack(t, "gz", text))
	r := l.record(t, "k.gz")
	r.Unpack = "gz"
	if got, err := l.fetch(t, r); err != nil || string(got) != text {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(text))
	}
	// Not damaged for gzip: the name in its header is not of the content.
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Fault: s3test.FlipResponse(4)})
	if _, err := l.fetch(t, r); err == nil || !strings.Contains(err.Error(), "its bytes are not those") {
		t.Errorf("damaged where gzip does not see it: got %v", err)
	}
}
