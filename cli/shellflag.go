package cli

import (
	"errors"

	"github.com/spf13/pflag"
)

// shellFlag is --shell: whether a command that needs no shell is run by bash, too.
type shellFlag bool

func (s *shellFlag) String() string {
	if *s {
		return "always"
	}
	return "auto"
}

// Type is what pflag calls it.
func (s *shellFlag) Type() string { return "WHEN" }

// Set is given what the user wrote.
func (s *shellFlag) Set(text string) error {
	switch text {
	case "auto":
		*s = false
	case "always":
		*s = true
	default:
		return errors.New("want auto or always")
	}
	return nil
}

// register adds the flag.
func (s *shellFlag) register(fl *pflag.FlagSet) {
	fl.Var(s, "shell", "run CMD with bash: auto, if it needs a shell, or always")
}
