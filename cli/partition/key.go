package partition

import (
	"bytes"
	"fmt"
	"slices"
)

// Column is a field of every record.
type Column struct {
	Field int    // from 1 on
	Name  string // its name in the header, in place of Field, unless empty
}

// keyer takes the key out of records: the values of its columns, with the
// delimiter between them.
type keyer struct {
	fields    []int // the columns; none is the whole record
	last      int   // the greatest of them
	delimiter byte
	csv       bool   // there may be quotes
	plain     bool   // the key is plainField(record, last, delimiter)
	value     []byte // of a quoted field
	joined    []byte // of several columns
}

// set sets the columns.
func (k *keyer) set(fields []int) {
	k.fields, k.last = fields, 0
	k.plain = len(fields) == 1 && !k.csv
	for _, n := range fields {
		k.last = max(k.last, n)
	}
}

// setQuoted says whether there may be quotes in the records of CSV that come.
func (k *keyer) setQuoted(quoted bool) {
	k.csv = quoted
	k.plain = len(k.fields) == 1 && !quoted
}

// key returns the key of a record, which may lack everything behind the key. If
// it has too few fields, ok is false, and those that are missing are empty in the
// key. The key is valid until the next call.
func (k *keyer) key(record []byte) (key []byte, ok bool) {
	switch len(k.fields) {
	case 0:
		return record, true
	case 1:
		return k.field(record, k.last)
	}
	k.joined, ok = k.joined[:0], true
	for i, n := range k.fields {
		if i > 0 {
			k.joined = append(k.joined, k.delimiter)
		}
		value, found := k.field(record, n)
		k.joined = append(k.joined, value...)
		ok = ok && found
	}
	return k.joined, ok
}

// field returns field n of a record, from 1 on, and whether there is one. It is
// valid until the next call.
func (k *keyer) field(record []byte, n int) ([]byte, bool) {
	if k.csv {
		return k.csvField(record, n)
	}
	return plainField(record, n, k.delimiter)
}

// plainField is field where quotes mean nothing.
func plainField(record []byte, n int, delimiter byte) ([]byte, bool) {
	for range n - 1 {
		i := bytes.IndexByte(record, delimiter)
		if i < 0 {
			return nil, false
		}
		record = record[i+1:]
	}
	if i := bytes.IndexByte(record, delimiter); i >= 0 {
		return record[:i], true
	}
	return record, true
}

// csvField is field for CSV.
func (k *keyer) csvField(record []byte, n int) ([]byte, bool) {
	for range n - 1 {
		_, rest, more := cutCSV(record, k.delimiter)
		if !more {
			return nil, false
		}
		record = rest
	}
	raw, _, _ := cutCSV(record, k.delimiter)
	return k.unquote(raw), true
}

// cutCSV returns the first field of a record that is well-formed, as it stands
// there, what is behind its delimiter, and whether there is a delimiter.
func cutCSV(record []byte, delimiter byte) (raw, rest []byte, more bool) {
	i := 0
	for i < len(record) && record[i] == '"' { // a piece in quotes; "" is between two
		n := bytes.IndexByte(record[i+1:], '"')
		if n < 0 {
			return record, nil, false
		}
		i += 1 + n + 1
	}
	n := bytes.IndexByte(record[i:], delimiter)
	if n < 0 {
		return record, nil, false
	}
	return record[:i+n], record[i+n+1:], true
}

// unquote returns the value of a field, as encoding/csv does: a line end in it
// is a newline, also if it was written as \r\n.
func (k *keyer) unquote(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '"') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	k.value = k.value[:0]
	for i := 0; i < len(raw); i++ {
		switch {
		case raw[i] == '"':
			i++ // the second of two
		case raw[i] == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
			i++
		}
		k.value = append(k.value, raw[i])
	}
	return k.value
}

// missing returns the first column that the record has no field for.
func (k *keyer) missing(record []byte) int {
	i := slices.IndexFunc(k.fields, func(n int) bool {
		_, ok := k.field(record, n)
		return !ok
	})
	return k.fields[i]
}

// resolve sets the columns, whose names are in the header.
func (k *keyer) resolve(columns []Column, header []byte) error {
	numbers := make(map[string][]int)
	for n, more := 1, true; more; n++ {
		var raw []byte
		if k.csv {
			raw, header, more = cutCSV(header, k.delimiter)
			raw = k.unquote(raw)
		} else {
			raw, header, more = bytes.Cut(header, []byte{k.delimiter})
		}
		numbers[string(raw)] = append(numbers[string(raw)], n)
	}
	var fields []int
	for _, c := range columns {
		if c.Name == "" {
			fields = append(fields, c.Field)
			continue
		}
		switch n := numbers[c.Name]; len(n) {
		case 0:
			return fmt.Errorf("the header has no column %q", c.Name)
		case 1:
			fields = append(fields, n[0])
		default:
			return fmt.Errorf("the header has the column %q in fields %d and %d: give the number", c.Name, n[0], n[1])
		}
	}
	k.set(fields)
	return nil
}
