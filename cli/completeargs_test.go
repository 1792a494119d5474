package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestArgumentNames(t *testing.T) {
	t.Parallel()
	for use, want := range map[string]string{
		"ls":                           "",
		"cp SRC DST":                   "SRC DST",
		"cp SRC... DST":                "SRC... DST",
		"head KEY... [-c SIZE | -n N]": "KEY...",
		"partition -n N [FILE]":        "FILE",
		"x [-h] [-c N | -n N] KEY...":  "KEY...",
	} {
		if got := strings.Join(argumentNames(use), " "); got != want {
			t.Errorf("%s: %q, want %q", use, got, want)
		}
	}
}

// TestArgumentsAreKnown looks for arguments that nothing completes by oversight.
func TestArgumentsAreKnown(t *testing.T) {
	t.Parallel()
	known := []string{"KEY", "PREFIX", "INDIR", "OUTDIR", "DIR", "SRC", "DST", "FILE", "ID", "CMD", "S3URL", "VERB"} // VERB is of help, which cobra completes
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, name := range argumentNames(cmd.Use) {
			if cmd.ValidArgs == nil && !slices.Contains(known, strings.TrimSuffix(name, "...")) {
				t.Errorf("%s: the argument %s is not known to complete.go", cmd.CommandPath(), name)
			}
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(Command())
}
