package flags

import (
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestExplain(t *testing.T) {
	for arg, want := range map[string]string{
		"--count=x":                    `invalid argument "x" for "--count" flag: want a whole number`,
		"--count=99999999999999999999": `invalid argument "99999999999999999999" for "--count" flag: out of range`,
		"--count=":                     `invalid argument "" for "--count" flag: want a whole number`,
		"--factor=1,5":                 `invalid argument "1,5" for "--factor" flag: want a number`,
		"--wait=5":                     `invalid argument "5" for "--wait" flag: want a time such as 90s, 5m or 1h30m`,
		"--yes=perhaps":                `invalid argument "perhaps" for "--yes" flag: want true or false`,
		"--none":                       `unknown flag: --none`,
	} {
		c := &cobra.Command{SilenceErrors: true, SilenceUsage: true, Run: func(*cobra.Command, []string) {}}
		f := c.Flags()
		f.IntP("count", "n", 1, "")
		f.Float64("factor", 1, "")
		f.Duration("wait", time.Second, "")
		f.Bool("yes", false, "")
		c.SetFlagErrorFunc(Explain)
		c.SetArgs([]string{arg})
		c.SetOut(io.Discard)
		if err := c.Execute(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
}
