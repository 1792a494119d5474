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
	config Config
	out    *output
	lines  int64 // placed so far, for RoundRobin; without the header

	// The line that the next chunk begins in the middle of.
	held      []byte // its start, while its key has not ended
	delims    int    // delimiters in held
	streaming bool   // its file is known: what follows goes to current
	current   int    // the file of the last line

	header   []byte // to repeat
	inHeader bool   // the header has not ended yet
}

// New returns a Partitioner, or what is wrong with c.
func New(c Config) (*Partitioner, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Partitioner{config: c, inHeader: c.Header != HeaderNone}, nil
}

// File is one file that was written.
type File struct {
	Name  string
	Lines int64 // with a header that was kept
	Bytes int64
}

// Run reads in to its end and writes its lines to new files in dir; one that
// exists is an error. After an error some files may be there, in any state.
// When ctx ends, Run returns its error at once; a Read of in that blocks is
// left behind. Run can be called once.
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
	if err := p.end(); err != nil {
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
			if f.state != fileAbsent && !yield(File{p.out.name(i), f.lines, f.bytes}) {
				return
			}
		}
	}
}

func (p *Partitioner) read(ctx context.Context, in io.Reader) error {
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
					return nil
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
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return p.part(b)
		}
		if err := p.endLine(b[:i+1]); err != nil {
			return err
		}
		b = b[i+1:]
	}
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return p.part(b)
		}
		if err := p.line(b[:i], b[:i+1]); err != nil {
			return err
		}
		b = b[i+1:]
	}
}

// part takes bytes of a line that goes on in the next chunk.
func (p *Partitioner) part(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case p.inHeader:
		return p.addHeader(b)
	case p.streaming:
		return p.out.put(p.current, b)
	}
	p.hold(b)
	if p.keySeen(b) {
		p.streaming = true
		return p.releaseHeld(p.held)
	}
	if len(p.held) > p.config.held {
		return fmt.Errorf("line %d: the key does not end within %d bytes", p.number(), p.config.held)
	}
	return nil
}

// endLine takes the end of a line, with its newline, that began before b, or
// of the header.
func (p *Partitioner) endLine(b []byte) error {
	switch {
	case p.inHeader:
		err := p.addHeader(b)
		p.inHeader = false
		return err
	case p.streaming:
		p.streaming = false
		return p.out.put(p.current, b)
	}
	p.hold(b)
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

// keySeen reports whether the key of the line that is held ends in it; b is
// what was added last.
func (p *Partitioner) keySeen(b []byte) bool {
	switch {
	case p.config.By == RoundRobin:
		return true
	case p.config.Key == 0:
		return false
	}
	p.delims += bytes.Count(b, []byte{p.config.Delimiter})
	return p.delims >= p.config.Key
}

// releaseHeld puts what is held where its line belongs; line is the same
// without the newline.
func (p *Partitioner) releaseHeld(line []byte) error {
	err := p.line(line, p.held)
	p.held, p.delims = p.held[:0], 0
	return err
}

// line begins a new line: data, which may not be all of it, but has its key.
// line is data without the newline.
func (p *Partitioner) line(line, data []byte) error {
	i := p.config.place(line, p.lines)
	p.lines++
	p.current = i
	f := &p.out.files[i]
	if f.lines == 0 && len(p.header) > 0 {
		if err := p.out.put(i, p.header); err != nil {
			return err
		}
		f.lines++
	}
	f.lines++
	return p.out.put(i, data)
}

// addHeader takes bytes of the header.
func (p *Partitioner) addHeader(b []byte) error {
	if p.config.Header != HeaderKeep {
		return nil
	}
	p.header = append(p.header, b...)
	if len(p.header) > p.config.held {
		return fmt.Errorf("line 1: the header does not end within %d bytes", p.config.held)
	}
	return nil
}

// end ends a last line that has no newline. A header without lines after it is
// nothing.
func (p *Partitioner) end() error {
	if p.streaming || len(p.held) > 0 {
		return p.endLine([]byte("\n"))
	}
	return nil
}

// number is the number of the line that is held, from 1 on.
func (p *Partitioner) number() int64 {
	if p.config.Header != HeaderNone {
		return p.lines + 2
	}
	return p.lines + 1
}
