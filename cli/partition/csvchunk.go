package partition

import "bytes"

// csvChunk takes bytes that begin with a record of CSV. As most records have no
// quotes, it looks where the next quote is, and up to there all newlines end a
// record.
func (p *Partitioner) csvChunk(b []byte) error {
	quote := bytes.IndexByte(b, '"')
	for {
		i := bytes.IndexByte(b, '\n')
		quoted := i < 0 || quote >= 0 && quote < i
		p.key.setQuoted(quoted)
		if quoted {
			var err error
			if i, err = p.scan(b); err != nil {
				return err
			}
			if i < 0 {
				return p.part(b)
			}
		}
		if err := p.csvRecord(b[:i+1]); err != nil {
			return err
		}
		b = b[i+1:]
		switch {
		case quote > i:
			quote -= i + 1
		case quote >= 0:
			quote = bytes.IndexByte(b, '"')
		}
	}
}

// scan is that of p.csv, with the place in its errors.
func (p *Partitioner) scan(b []byte) (int, error) {
	i, err := p.csv.scan(b)
	if err != nil {
		return 0, p.errorf("%v", err)
	}
	return i, nil
}

// csvRecord takes a whole record. Empty lines are none.
func (p *Partitioner) csvRecord(data []byte) error {
	if blank(data) {
		p.newlines++
		p.csv.reset()
		return nil
	}
	err := p.record(p.trim(data), data)
	p.endCSV()
	return err
}

// endCSV is called at the end of a record or header.
func (p *Partitioner) endCSV() {
	p.newlines += p.csv.newlines
	p.csv.reset()
}

// blank reports whether there is only a line end.
func blank(line []byte) bool {
	return len(line) <= 2 && (line[0] == '\n' || string(line) == "\r\n")
}
