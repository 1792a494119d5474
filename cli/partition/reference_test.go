package partition

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// reference splits as the documentation says, slowly and in memory. It returns
// false if the input is not well-formed or lacks a column.
func reference(in []byte, c Config) (map[string]string, bool) {
	split := splitLines
	if c.Format == CSV {
		split = splitCSV
	}
	records, ok := split(in, c)
	if !ok {
		return nil, false
	}
	var columns []int
	for _, k := range c.Key {
		columns = append(columns, k.Field)
	}
	header := ""
	if c.Header != HeaderNone && len(records) > 0 {
		for i, k := range c.Key {
			if k.Name == "" {
				continue
			}
			columns[i] = slices.Index(records[0].fields, k.Name) + 1
			if columns[i] == 0 || slices.Contains(records[0].fields[columns[i]:], k.Name) {
				return nil, false
			}
		}
		if c.Header == HeaderKeep {
			header = records[0].raw
		}
		records = records[1:]
	}
	files := make(map[string]*strings.Builder)
	for nth, r := range records {
		key := strings.TrimSuffix(r.raw, string([]byte{c.Format.end()}))
		if c.Format == CSV {
			key = strings.TrimSuffix(key, "\r")
		}
		if len(columns) > 0 {
			var values []string
			for _, n := range columns {
				if n > len(r.fields) && !c.Missing && c.By != RoundRobin {
					return nil, false
				}
				if n > len(r.fields) {
					values = append(values, "")
					continue
				}
				values = append(values, r.fields[n-1])
			}
			key = strings.Join(values, string([]byte{c.Delimiter}))
		}
		file := 0
		switch c.By {
		case Hash:
			file = int(xxhash.Sum64String(key) % uint64(c.N))
		case Range:
			for _, p := range c.Points {
				if string(p) <= key {
					file++
				}
			}
		case RoundRobin:
			file = nth % c.N
		}
		name := fmt.Sprintf("%0*d", max(3, len(fmt.Sprint(c.N-1))), file)
		if files[name] == nil {
			files[name] = new(strings.Builder)
			files[name].WriteString(header)
		}
		files[name].WriteString(r.raw)
	}
	text := make(map[string]string)
	for name, b := range files {
		text[name] = b.String()
	}
	return text, true
}

// record is one of the input.
type record struct {
	raw    string // with what ends it
	fields []string
}

// splitLines splits what has no quotes.
func splitLines(in []byte, c Config) (records []record, ok bool) {
	end := string([]byte{c.Format.end()})
	if c.named() {
		in = bytes.TrimPrefix(in, []byte(byteOrderMark))
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(in), end), end) {
		if len(in) > 0 {
			records = append(records, record{line + end, strings.Split(line, string([]byte{c.Delimiter}))})
		}
	}
	return records, true
}

// splitCSV splits with encoding/csv.
func splitCSV(in []byte, c Config) (records []record, ok bool) {
	in = bytes.TrimPrefix(in, []byte(byteOrderMark))
	r := csv.NewReader(bytes.NewReader(in))
	r.Comma, r.FieldsPerRecord = rune(c.Delimiter), -1
	for begin := int64(0); ; begin = r.InputOffset() {
		fields, err := r.Read()
		if err == io.EOF {
			return records, true
		}
		if err != nil {
			return nil, false
		}
		raw := string(in[begin:r.InputOffset()])
		for { // empty lines, which it skips
			rest, found := strings.CutPrefix(raw, "\n")
			if !found {
				rest, found = strings.CutPrefix(raw, "\r\n")
			}
			if !found {
				break
			}
			raw = rest
		}
		records = append(records, record{strings.TrimSuffix(raw, "\n") + "\n", fields})
	}
}
