package partition

import (
	"bytes"
	"fmt"
	"io"
)

// maxPoints is the most bytes a file of split points may have.
const maxPoints = 64 << 20

// ReadPoints reads split points for c, one a line, or with NUL after each if its
// records have that. They must be in bytewise order, as LC_ALL=C sort makes it, and
// at most c.N-1. One that is there twice has an empty file between.
func ReadPoints(in io.Reader, c Config) ([][]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPoints+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPoints {
		return nil, fmt.Errorf("more than %d MiB of split points", maxPoints>>20)
	}
	var points [][]byte
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{c.Format.end()})
		text = rest
		k := len(points)
		if k >= c.N-1 {
			return nil, fmt.Errorf("line %d: too many split points: %d partitions have at most %d", k+1, c.N, c.N-1)
		}
		if k > 0 && bytes.Compare(points[k-1], line) > 0 {
			return nil, fmt.Errorf("line %d: split points are not in order: sort them with LC_ALL=C sort", k+1)
		}
		points = append(points, line)
	}
	return points, nil
}
