package partition

import (
	"fmt"
	"slices"
	"strconv"
)

// Limits of a Config and of its input.
const (
	MaxN       = 1_000_000 // files
	MaxHeld    = 64 << 20  // bytes of a record up to the end of its key; also of a header
	maxWidth   = 7         // digits of a file's name
	minWidth   = 3         // 007, so that few and many files are named alike
	maxSlot    = 64 << 10  // larger ones leave the cache, and their writes are not faster
	minSlot    = 512
	maxOpen    = 16384 // files kept open where the system would allow more
	spareFiles = 16    // left of the system's limit: standard streams, the directory, the runtime's own
)

// By is how a record's file is chosen.
type By int

const (
	Hash       By = iota // xxh64 of the key, modulo the number of files
	Range                // how many split points are not above the key
	RoundRobin           // record 0 to file 0, record 1 to file 1 and so on, in a ring
)

// Header is what happens to the first record of the input.
type Header int

const (
	HeaderNone Header = iota // it is a record like the others
	HeaderDrop               // it goes nowhere
	HeaderKeep               // it becomes the first record of every file
)

// Format is what the records are, and what ends them.
type Format int

const (
	Lines Format = iota // newlines end them, and quotes mean nothing
	Null                // NUL bytes do
	CSV                 // newlines outside of quotes do, see csvScanner
)

// Config says how to split. The zero value of each field but N is good.
type Config struct {
	N         int      // how many files there may be, 1 to MaxN
	Format    Format   // of the input, and so of the files
	Key       []Column // the columns that are the key, in this order; none is the whole record
	Missing   bool     // a column that a record does not have is empty, and no error
	Delimiter byte     // between fields; 0 is a field delimiter like any other
	By        By       // how the key decides
	Points    [][]byte // for Range: at most N-1 split points in bytewise order
	Header    Header   // what to do with the first record
	Memory    int      // bytes of output to keep in memory, 0 for 64 MiB
	OpenFiles int      // files to keep open at most, 0 for what the system allows

	held int // MaxHeld, for tests
}

// check completes c.
func (c *Config) check() error {
	switch {
	case c.N < 1 || c.N > MaxN:
		return fmt.Errorf("the number of partitions is %d, not from 1 to %d", c.N, MaxN)
	case c.Format == CSV && (c.Delimiter == '"' || c.Delimiter == '\r' || c.Delimiter == '\n'):
		return fmt.Errorf("the delimiter of CSV cannot be %q", c.Delimiter)
	case c.Format == Lines && c.Delimiter == '\n':
		return fmt.Errorf("the delimiter cannot be a newline: it ends the line")
	case c.Format == Null && c.Delimiter == 0:
		return fmt.Errorf("the delimiter cannot be NUL: it ends the record")
	case len(c.Points) >= c.N:
		return fmt.Errorf("%d split points for %d partitions, which have at most %d", len(c.Points), c.N, c.N-1)
	}
	for _, k := range c.Key {
		switch {
		case k.Name == "" && k.Field < 1:
			return fmt.Errorf("field %d: fields count from 1", k.Field)
		case k.Name != "" && c.Header == HeaderNone:
			return fmt.Errorf("column %q is looked up in the header: say whether to keep or to drop it", k.Name)
		}
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

// named reports whether the header has to be read for the key.
func (c *Config) named() bool {
	return slices.ContainsFunc(c.Key, func(k Column) bool { return k.Name != "" })
}

// end is the byte that ends a record.
func (f Format) end() byte {
	if f == Null {
		return 0
	}
	return '\n'
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
