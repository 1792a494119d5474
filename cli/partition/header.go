package partition

import (
	"bytes"
	"io"
)

// addHeader takes bytes of the header.
func (p *Partitioner) addHeader(b []byte) error {
	if p.config.Header != HeaderKeep && p.config.Format != CSV && !p.config.named() {
		return nil
	}
	p.header = append(p.header, b...)
	if len(p.header) > p.config.held {
		return p.errorf("the header does not end within %d bytes", p.config.held)
	}
	return nil
}

// endHeader is called at the end of the header. Without records after it, it is
// in no file.
func (p *Partitioner) endHeader() error {
	if p.config.Format == CSV && blank(p.header) {
		p.header = p.header[:0]
		p.newlines++
		p.csv.reset()
		return nil
	}
	if p.config.named() {
		if err := p.key.resolve(p.config.Key, p.trim(p.header)); err != nil {
			return p.errorf("%v", err)
		}
	}
	p.inHeader = false
	p.endCSV()
	return nil
}

// trim returns a record without what ends it.
func (p *Partitioner) trim(record []byte) []byte {
	record = record[:len(record)-1]
	if p.config.Format == CSV {
		return bytes.TrimSuffix(record, []byte{'\r'})
	}
	return record
}

// unmarked is a reader without the byte order mark at the start of r, which
// would else be in the first field.
type unmarked struct {
	r     io.Reader
	begun bool
}

const byteOrderMark = "\ufeff"

// Read is that of r, but the first waits for as much as the mark has.
func (u *unmarked) Read(b []byte) (int, error) {
	if u.begun {
		return u.r.Read(b)
	}
	u.begun = true
	n, err := io.ReadAtLeast(u.r, b, len(byteOrderMark))
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return copy(b, bytes.TrimPrefix(b[:n], []byte(byteOrderMark))), err
}
