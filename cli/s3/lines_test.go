package s3

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/s3/s3test"
)

// TestLines cuts texts at every size, and compares the parts with a plain computation.
func TestLines(t *testing.T) {
	l := newLab(t, s3test.Fake)
	l.g.chunkSize = 7
	for i, text := range []string{
		"a\nbb\nccc\ndddd\n",
		"no newline at the end\nlast",
		"one line that is longer than all parts",
		"\n\n\n\n",
		"cr\r\nlf\r\n\r\nend\r\n",
		strings.Repeat("x", 20) + "\n" + "y\n" + strings.Repeat("z", 20),
	} {
		key := fmt.Sprint("text", i)
		l.Put(t, "bkt", key, []byte(text))
		o := object{key: key, rel: key, size: int64(len(text)), etag: l.record(t, key).ETag}
		for size := 1; size < len(text); size += 1 + size/4 {
			m, err := newManifest(&cli.S3Import{Source: "s3://bkt/", Outdir: "s4://b/in", SplitLines: int64(size)})
			if err == nil {
				err = m.add(o)
			}
			if err != nil {
				t.Fatal(err)
			}
			for k, part := range m.tasks {
				r, err := decodeRecord(part.Record)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := l.g.lines(t.Context(), r, &got); err != nil {
					t.Fatal(err)
				}
				if want := linesFrom(text, k*size, (k+1)*size); got.String() != want {
					t.Errorf("part %d of %q at %d: got %q, want %q", k, text, size, got.String(), want)
				}
			}
		}
	}
}

// linesFrom returns the lines that begin from from on and before to.
func linesFrom(text string, from, to int) string {
	var lines strings.Builder
	at := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		if at >= from && at < to {
			lines.WriteString(line)
		}
		at += len(line)
	}
	return lines.String()
}

// TestManifest has the names of keys, and what is refused.
func TestManifest(t *testing.T) {
	only := func(pattern string) *s4.Filter {
		f := new(s4.Filter)
		if err := f.Include(pattern); err != nil {
			t.Fatal(err)
		}
		return f
	}
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		o       cli.S3Import
		objects string // names with sizes
		want    string // names of keys, or a part of an error
	}{
		{cli.S3Import{}, "a:1 d/b:2", "a d/b"},
		{cli.S3Import{Filter: only("*.csv")}, "a:1 d/b.csv:2", "d/b.csv"},
		{cli.S3Import{SplitLines: 10}, "d/a.csv:25 b:10 e:0", "d/00000_a.csv d/00001_a.csv d/00002_a.csv b e"},
		{cli.S3Import{SplitLines: 1}, "a:1000000", "would have 1000000 parts"},
		{cli.S3Import{SplitLines: 10}, "a.gz:1", "s3://bkt/p/a.gz is compressed"},
		{cli.S3Import{SplitLines: 10}, "a:11 00001_a:3", "would both be s4://b/in/00001_a"},
		{cli.S3Import{Decompress: true}, "a.gz:1 b.zst:1 c.lz4:1 d:1 .gz:1", "a b c d .gz"},
		{cli.S3Import{Decompress: true}, "a.gz:1 a:1", "s3://bkt/p/a.gz and s3://bkt/p/a would both be s4://b/in/a"},
		{cli.S3Import{}, "a:1 a/b:1", "s3://bkt/p/a would be a key and a directory, because of s3://bkt/p/a/b"},
		{cli.S3Import{}, "a%b:1 c//d:1 ../e:1 " + long + ":1", `4 of the names are none that s4 takes: "p/a b" contains white space, "p/c//d" has an empty segment, "p/../e" has a segment .., …`},
		{cli.S3Import{SkipBadNames: true}, "a%b:1 c:1", "c"},
		{cli.S3Import{SkipBadNames: true}, "a%b:1", "no object matches"},
		{cli.S3Import{}, "", "no object matches"},
	} {
		c.o.Source, c.o.Outdir = "s3://bkt/p/", "s4://b/in/"
		m, err := newManifest(&c.o)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(c.objects) {
			name, size, _ := strings.Cut(strings.ReplaceAll(word, "%", " "), ":")
			o := object{key: "p/" + name, rel: name}
			if _, err := fmt.Sscan(size, &o.size); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				err = m.add(o)
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			err = m.end()
		}
		var got []string
		for _, task := range m.tasks {
			got = append(got, task.Name)
		}
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.objects, got, err, c.want)
		}
	}
}
