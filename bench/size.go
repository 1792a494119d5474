package bench

import (
	"fmt"
	"strconv"

	"github.com/nathants/s4/cli/flags"
)

// sizeFlag is a flag that takes a number of bytes.
type sizeFlag int64

func (s *sizeFlag) String() string {
	if *s == 0 {
		return "" // the default is told in words
	}
	return sizeText(int64(*s))
}

// Type is what pflag calls it.
func (s *sizeFlag) Type() string { return "SIZE" }

// Set is given what the user wrote.
func (s *sizeFlag) Set(text string) error {
	n, err := flags.ParseSize(text)
	*s = sizeFlag(n)
	return err
}

// sizeText returns the size in the largest unit that leaves it whole.
func sizeText(n int64) string {
	unit := 0
	for n > 0 && n%1024 == 0 && unit < 4 {
		n /= 1024
		unit++
	}
	return fmt.Sprintf("%d %s", n, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// aboutSize returns the size for people, in a unit of its magnitude.
func aboutSize(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// countText writes a number with commas between the thousands.
func countText(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
