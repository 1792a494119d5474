package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Partitioner splits one input.
type Partitioner struct {
	config  Config
	eol     byte // ends a record
	key     keyer
	out     *output    // nil for a sample
	sample  *reservoir // of keys, where nothing is to be written
	records int64      // placed so far, for RoundRobin; without the header

	// The record that the next chunk begins in the middle of.
	held      []byte     // its start, while its key has not ended
	delims    int        // delimiters in held
	streaming bool       // its file is known: what follows goes to current
	current   int        // the file of the last record
	csv       csvScanner // how far it was scanned
	newlines  int64      // of the records before, but one each: of CSV's fields and empty lines

	header   []byte // to repeat, or to look for columns
	inHeader bool   // the header has not ended yet
}

// New returns a Partitioner, or what is wrong with c.
func New(c Config) (*Partitioner, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Partitioner{
		config:   c,
		eol:      c.Format.end(),
		key:      keyer{delimiter: c.Delimiter, csv: c.Format == CSV},
		csv:      csvScanner{delimiter: c.Delimiter},
		inHeader: c.Header != HeaderNone,
	}
	if !c.named() {
		var fields []int
		for _, k := range c.Key {
			fields = append(fields, k.Field)
		}
		p.key.set(fields)
	}
	return p, nil
}

// File is one file that was written.
type File struct {
	Name    string
	Records int64 // with a header that was kept
	Bytes   int64
}

// InputError says what is wrong with the input, and where.
type InputError struct {
	Where  string // as "line 7"
	Reason string
}

func (e *InputError) Error() string { return e.Where + ": " + e.Reason }

// Run reads in to its end and writes its records to new files in dir; one that
// exists is an error. After an error, which is an InputError if the input is not
// what Config says, some files may be there, in any state. When ctx ends, Run
// returns its error at once; a Read of in that blocks is left behind. Run can be
// called once.
func (p *Partitioner) Run(ctx context.Context, in io.Reader, dir string) error {
	out, err := newOutput(dir, &p.config)
	if err != nil {
		return err
	}
	p.out = out
	defer out.close()
	if err := p.read(ctx, in); err != nil {
		return err
	}
	return out.finish(ctx)
}

// Files returns the files that Run has written, in the order of their names.
func (p *Partitioner) Files() iter.Seq[File] {
	return func(yield func(File) bool) {
		if p.out == nil {
			return
		}
		for i := range p.out.files {
			f := &p.out.files[i]
			if f.state != fileAbsent && !yield(File{p.out.name(i), f.records, f.bytes}) {
				return
			}
		}
	}
}

// read takes the whole input.
func (p *Partitioner) read(ctx context.Context, in io.Reader) error {
	if p.config.Format == CSV || p.config.named() {
		in = &unmarked{r: in}
	}
	a := newAhead()
	defer close(a.free)
	go a.run(in)
	for {
		if err := ctx.Err(); err != nil { // select would choose at random
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-a.full:
			if err := p.chunk(c.data); err != nil {
				return err
			}
			if c.err != nil {
				if errors.Is(c.err, io.EOF) {
					return p.end()
				}
				return fmt.Errorf("input: %w", c.err)
			}
			a.release(c)
		}
	}
}

// chunk takes the next bytes of the input.
func (p *Partitioner) chunk(b []byte) error {
	for p.inHeader || p.streaming || len(p.held) > 0 {
		i, err := p.find(b)
		if err != nil {
			return err
		}
		if i < 0 {
			return p.part(b)
		}
		if err := p.endRecord(b[:i+1]); err != nil {
			return err
		}
		b = b[i+1:]
	}
	if p.config.Format == CSV {
		return p.csvChunk(b)
	}
	for {
		i := bytes.IndexByte(b, p.eol)
		if i < 0 {
			return p.part(b)
		}
		if err := p.record(b[:i], b[:i+1]); err != nil {
			return err
		}
		b = b[i+1:]
	}
}

// find returns the index of the byte that ends the record which b goes on with, or -1.
func (p *Partitioner) find(b []byte) (int, error) {
	if p.config.Format == CSV {
		return p.scan(b)
	}
	return bytes.IndexByte(b, p.eol), nil
}

// part takes bytes of a record that goes on in the next chunk.
func (p *Partitioner) part(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case p.inHeader:
		return p.addHeader(b)
	case p.streaming:
		return p.put(p.current, b)
	}
	p.hold(b)
	if p.keySeen(b) {
		p.streaming = true
		return p.releaseHeld(p.held)
	}
	if len(p.held) > p.config.held {
		return p.errorf("the key does not end within %d bytes", p.config.held)
	}
	return nil
}

// endRecord takes the end of a record, with the byte that ends it, that began
// before b, or of the header.
func (p *Partitioner) endRecord(b []byte) error {
	switch {
	case p.inHeader:
		if err := p.addHeader(b); err != nil {
			return err
		}
		return p.endHeader()
	case p.streaming:
		p.streaming = false
		p.endCSV()
		return p.put(p.current, b)
	}
	p.hold(b)
	if p.config.Format == CSV {
		err := p.csvRecord(p.held)
		p.held = p.held[:0]
		return err
	}
	return p.releaseHeld(p.held[:len(p.held)-1])
}

// hold adds b to what is held.
func (p *Partitioner) hold(b []byte) {
	if need := len(p.held) + len(b); need > cap(p.held) && need > 4*readSize {
		// All there can ever be, once: growing would leave twice that behind as
		// garbage, and what is not used of a new piece is no memory.
		p.held = append(make([]byte, 0, max(need, p.config.held+readSize)), p.held...)
	}
	p.held = append(p.held, b...)
}

// keySeen reports whether the key of the record that is held ends in it; b is
// what was added last.
func (p *Partitioner) keySeen(b []byte) bool {
	switch {
	case p.config.By == RoundRobin:
		return string(p.held) != "\r" // of CSV, this may be an empty line
	case p.key.last == 0:
		return false
	case p.config.Format == CSV:
		return p.csv.fields >= p.key.last
	}
	p.delims += bytes.Count(b, []byte{p.config.Delimiter})
	return p.delims >= p.key.last
}

// releaseHeld puts what is held where its record belongs; record is the same
// without what ends it.
func (p *Partitioner) releaseHeld(record []byte) error {
	err := p.record(record, p.held)
	p.held, p.delims = p.held[:0], 0
	return err
}

// record begins a new record: data, which may not be all of it, but has its key.
// record is data without what ends it.
func (p *Partitioner) record(record, data []byte) error {
	i, err := p.place(record)
	if err != nil {
		return err
	}
	p.records++
	p.current = i
	if p.sample != nil {
		return nil
	}
	f := &p.out.files[i]
	if f.records == 0 && p.config.Header == HeaderKeep && len(p.header) > 0 {
		if err := p.out.put(i, p.header); err != nil {
			return err
		}
		f.records++
	}
	f.records++
	return p.out.put(i, data)
}

// put adds to a record that has begun.
func (p *Partitioner) put(i int, data []byte) error {
	if p.sample != nil {
		return nil
	}
	return p.out.put(i, data)
}

// end ends a last record that nothing ends.
func (p *Partitioner) end() error {
	if err := p.csv.end(); err != nil {
		return p.errorf("%v", err)
	}
	if p.streaming || len(p.held) > 0 || p.inHeader && len(p.header) > 0 {
		return p.endRecord([]byte{p.eol})
	}
	return nil
}

// errorf returns an error in the record that is held, or that comes next.
func (p *Partitioner) errorf(format string, args ...any) error {
	what, n := "line", p.records+1+p.newlines
	if p.config.Format == Null {
		what = "record"
	}
	if p.config.Header != HeaderNone && !p.inHeader {
		n++
	}
	if p.streaming {
		n-- // it was counted when it began
	}
	return &InputError{fmt.Sprintf("%s %d", what, n), fmt.Sprintf(format, args...)}
}
