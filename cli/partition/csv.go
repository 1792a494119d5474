package partition

import (
	"bytes"
	"errors"
)

// csvScanner finds the ends of CSV records, which may come in pieces. The rules
// are those of encoding/csv, which are those of RFC 4180 with line ends of \n,
// too. It does what encoding/csv cannot: to leave a record's bytes as they are.
type csvScanner struct {
	delimiter byte
	state     csvState
	fields    int   // that have ended in the record so far
	newlines  int64 // in it
}

type csvState uint8

const (
	csvStart  csvState = iota // of a field
	csvBare                   // in a field without quotes
	csvQuoted                 // in one with
	csvQuote                  // behind a quote in one with: its end, or the first of two
	csvReturn                 // behind its end and a carriage return
)

var (
	errBareQuote = errors.New(`a " in a field that does not begin with one`)
	errQuote     = errors.New(`a " in a quoted field that neither ends it nor is doubled`)
	errUnclosed  = errors.New(`a quoted field does not end`)
)

// scan returns the index of the newline that ends the record which b goes on
// with, or -1 if b has no end of it. After an end, reset begins the next.
func (s *csvScanner) scan(b []byte) (int, error) {
	for i := 0; i < len(b); i++ {
		switch s.state {
		case csvStart:
			if b[i] == '"' {
				s.state = csvQuoted
				continue
			}
			s.state = csvBare
			fallthrough
		case csvBare:
			for i < len(b) && b[i] != s.delimiter && b[i] != '\n' && b[i] != '"' {
				i++
			}
			if i == len(b) {
				return -1, nil
			}
			switch b[i] {
			case s.delimiter:
				s.endField()
			case '\n':
				return i, nil
			default:
				return 0, errBareQuote
			}
		case csvQuoted:
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				s.newlines += int64(bytes.Count(b[i:], []byte{'\n'}))
				return -1, nil
			}
			s.newlines += int64(bytes.Count(b[i:i+n], []byte{'\n'}))
			i += n
			s.state = csvQuote
		case csvQuote:
			switch b[i] {
			case '"':
				s.state = csvQuoted
			case s.delimiter:
				s.endField()
			case '\r':
				s.state = csvReturn
			case '\n':
				return i, nil
			default:
				return 0, errQuote
			}
		case csvReturn:
			if b[i] != '\n' {
				return 0, errQuote
			}
			return i, nil
		}
	}
	return -1, nil
}

func (s *csvScanner) endField() {
	s.fields++
	s.state = csvStart
}

// reset begins a record.
func (s *csvScanner) reset() {
	s.state, s.fields, s.newlines = csvStart, 0, 0
}

// end returns an error if the input must not end here.
func (s *csvScanner) end() error {
	if s.state == csvQuoted {
		return errUnclosed
	}
	return nil
}
