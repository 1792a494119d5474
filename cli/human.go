package cli

import (
	"strconv"

	"github.com/nathants/s4/cli/flags"
	"github.com/spf13/cobra"
)

// humanFlag is -h, --human-readable. In verbs that have it, help is --help only.
type humanFlag bool

func (h *humanFlag) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Bool("help", false, "help for "+cmd.Name())
	f.BoolVarP((*bool)(h), "human-readable", "h", false, "print sizes as 1.5 GB")
}

// size prints a number of bytes.
func (h humanFlag) size(n int64) string {
	if h {
		return flags.FormatSize(n)
	}
	return strconv.FormatInt(n, 10)
}
