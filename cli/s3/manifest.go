package s3

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/names"
)

// manifest collects the tasks of an import.
type manifest struct {
	o      *cli.S3Import
	bucket string
	dir    string // the destination, without its scheme
	tasks  []s4.ManifestTask
	bytes  int64
	from   map[string]string // the object that each task's name is of, by name
	bad    []string          // names that s4 does not take, with the reason
	badN   int
}

func newManifest(o *cli.S3Import) (*manifest, error) {
	bucket, _, err := parseName(o.Source)
	if err != nil {
		return nil, err
	}
	dir, err := names.ParseDir(o.Outdir)
	return &manifest{o: o, bucket: bucket, dir: dir, from: map[string]string{}}, err
}

// maxNamed is how many names an error names.
const maxNamed = 3

// add adds the tasks of an object.
func (m *manifest) add(o object) error {
	if !m.o.Filter.Match(o.rel) {
		return nil
	}
	r := record{Bucket: m.bucket, Key: o.key, ETag: o.etag, Size: o.size}
	name := o.rel
	format, plain := packedAs(name)
	if format != "" && m.o.SplitLines > 0 {
		return fmt.Errorf("%s is compressed, and has no lines to cut at (leave it out: --exclude '*.%s')", r.name(), format)
	}
	if format != "" && m.o.Decompress {
		r.Unpack, name = format, plain
	}
	if m.o.SplitLines == 0 || o.size <= m.o.SplitLines {
		return m.task(name, o.size, &r)
	}
	parts := (o.size + m.o.SplitLines - 1) / m.o.SplitLines
	if parts > maxNumber {
		return fmt.Errorf("%s would have %d parts, more than %d (--split-lines with a larger SIZE)", r.name(), parts, maxNumber)
	}
	dir, base := name[:strings.LastIndexByte(name, '/')+1], name[strings.LastIndexByte(name, '/')+1:]
	for i := range parts {
		r.From, r.To = i*m.o.SplitLines, min((i+1)*m.o.SplitLines, o.size)
		if err := m.task(fmt.Sprintf("%s%05d_%s", dir, i, base), r.To-r.From, &r); err != nil {
			return err
		}
	}
	return nil
}

// maxNumber is how many parts the five digits of their names can count.
const maxNumber = 100000

func (m *manifest) task(name string, size int64, r *record) error {
	if err := names.CheckKey(m.dir + "/" + name); err != nil {
		if m.badN++; len(m.bad) < maxNamed {
			m.bad = append(m.bad, fmt.Sprintf("%q %s", r.Key, reason(err)))
		}
		return nil
	}
	if other, ok := m.from[name]; ok {
		return fmt.Errorf("%s and %s would both be %s (leave one out: --exclude)", other, r.name(), s4.Scheme+m.dir+"/"+name)
	}
	m.from[name] = r.name()
	line, err := r.encode()
	if err != nil {
		return err
	}
	m.bytes += size
	m.tasks = append(m.tasks, s4.ManifestTask{Name: name, Record: line, Size: size})
	return nil
}

// end returns an error if the tasks cannot be run.
func (m *manifest) end() error {
	for name := range m.from {
		for i, c := range name {
			if other, ok := m.from[name[:i]]; ok && c == '/' {
				return fmt.Errorf("%s would be a key and a directory, because of %s (leave one out: --exclude)", other, m.from[name])
			}
		}
	}
	if m.badN > 0 && !m.o.SkipBadNames {
		more := ""
		if m.badN > len(m.bad) {
			more = ", …"
		}
		return fmt.Errorf("%d of the names are none that s4 takes: %s%s (leave them out: --exclude, or all of them: --skip-bad-names)", m.badN, strings.Join(m.bad, ", "), more)
	}
	if len(m.tasks) == 0 {
		return errors.New("no object matches")
	}
	return nil
}

// reason returns what an error of package names says is wrong.
func reason(err error) string {
	if _, text, ok := strings.Cut(err.Error(), ": "); ok {
		return text
	}
	return err.Error()
}

const (
	// batchBytes is about how much one command moves, so that its start, 10 ms of CPU
	// time, is little beside it. If one fails, all of its objects are moved again.
	batchBytes = 128 << 20
	// maxBatch bounds the objects of one command: they count as done together.
	maxBatch = 1000
)

// batchOf returns how many objects one command should do, 0 for one, and how many
// requests it should have under way at once: small objects are mostly waited for.
func batchOf(tasks int, bytes int64) (batch, parallel int) {
	mean := bytes/int64(max(tasks, 1)) + 1
	batch = int(min(batchBytes/mean, maxBatch))
	if batch < 2 {
		batch = 0
	}
	if mean < 1<<20 {
		return batch, 16
	}
	return batch, 4
}
