package cli

import (
	"strconv"

	"github.com/nathants/s4/cli/flags"
)

// sizeFlag is a flag that takes a number of bytes; 0 is not given.
type sizeFlag int64

func (s *sizeFlag) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type is what pflag calls it.
func (s *sizeFlag) Type() string { return "SIZE" }

// Set is given what the user wrote.
func (s *sizeFlag) Set(text string) error {
	n, err := flags.ParseSize(text)
	*s = sizeFlag(n)
	return err
}
