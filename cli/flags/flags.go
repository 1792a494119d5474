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
	why := "out of range"
	switch kind := bad.GetFlag().Value.Type(); {
	case errors.Is(err, strconv.ErrRange):
	case kind == "int" || kind == "int64":
		why = "want a whole number"
	case kind == "float64":
		why = "want a number"
	case kind == "bool":
		why = "want true or false"
	case kind == "duration":
		why = "want a time such as 90s, 5m or 1h30m"
	default:
		return err
	}
	return fmt.Errorf("invalid argument %q for %q flag: %s", bad.GetValue(), "--"+bad.GetFlag().Name, why)
}
