// Package flags has what the flags of all commands have in common.
package flags

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Explain says what a flag wants, in place of the words of strconv and time, where
// err is that its value cannot be parsed; other errors it returns as they are. It is
// for cobra's SetFlagErrorFunc.
func Explain(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	var want string
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("invalid argument %q for %q flag: out of range", bad.GetValue(), "--"+bad.GetFlag().Name)
	}
	switch bad.GetFlag().Value.Type() {
	case "int", "int64":
		want = "a whole number"
	case "float64":
		want = "a number"
	case "bool":
		want = "true or false"
	case "duration":
		want = "a time such as 90s, 5m or 1h30m"
	default:
		return err
	}
	return fmt.Errorf("invalid argument %q for %q flag: want %s", bad.GetValue(), "--"+bad.GetFlag().Name, want)
}
