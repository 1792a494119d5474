package partition

import (
	"fmt"
	"strconv"
)

// Limits of a Config and of its input.
const (
	MaxN       = 1_000_000 // files
	MaxHeld    = 64 << 20  // bytes of a line up to the end of its key field; also of a header to keep
	maxWidth   = 7         // digits of a file's name
	minWidth   = 3         // 007, so that few and many files are named alike
	maxSlot    = 64 << 10  // larger ones leave the cache, and their writes are not faster
	minSlot    = 512
	maxOpen    = 16384 // files kept open where the system would allow more
	spareFiles = 16    // left of the system's limit: standard streams, the directory, the runtime's own
)

// By is how a line's file is chosen.
type By int

const (
	Hash       By = iota // xxh64 of the key, modulo the number of files
	Range                // how many split points are not above the key
	RoundRobin           // line 0 to file 0, line 1 to file 1 and so on, in a ring
)

// Header is what happens to the first line of the input.
type Header int

const (
	HeaderNone Header = iota // it is a line like the others
	HeaderDrop               // it goes nowhere
	HeaderKeep               // it becomes the first line of every file
)

// Config says how to split. The zero value of each field but N is good.
type Config struct {
	N         int      // how many files there may be, 1 to MaxN
	Key       int      // the field that is the key, from 1 on; 0 is the whole line
	Delimiter byte     // between fields; 0 is a field delimiter like any other
	By        By       // how the key decides
	Points    [][]byte // for Range: at most N-1 split points in bytewise order
	Header    Header   // what to do with the first line
	Memory    int      // bytes of output to keep in memory, 0 for 64 MiB
	OpenFiles int      // files to keep open at most, 0 for what the system allows

	held int // MaxHeld, for tests
}

// check completes c.
func (c *Config) check() error {
	switch {
	case c.N < 1 || c.N > MaxN:
		return fmt.Errorf("the number of partitions is %d, not from 1 to %d", c.N, MaxN)
	case c.Key < 0:
		return fmt.Errorf("field %d: fields count from 1, and 0 is the whole line", c.Key)
	case c.Delimiter == '\n':
		return fmt.Errorf("the delimiter cannot be a newline: it ends the line")
	case len(c.Points) >= c.N:
		return fmt.Errorf("%d split points for %d partitions, which have at most %d", len(c.Points), c.N, c.N-1)
	}
	if c.Memory <= 0 {
		c.Memory = 64 << 20
	}
	if c.OpenFiles <= 0 {
		c.OpenFiles = openFiles()
	}
	if c.held == 0 {
		c.held = MaxHeld
	}
	return nil
}

// width is how many digits the names of n files have.
func width(n int) int {
	return max(minWidth, len(strconv.Itoa(n-1)))
}

// appendName appends the name of file i.
func appendName(b []byte, i, width int) []byte {
	var digits [maxWidth]byte
	for k := width - 1; k >= 0; k-- {
		digits[k] = '0' + byte(i%10)
		i /= 10
	}
	return append(b, digits[:width]...)
}
