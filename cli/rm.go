package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) rm() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "rm PREFIX",
		Short: "remove a key, or all keys with a prefix",
		Long: `Remove one key or, with -r, every key whose name begins with PREFIX.
Exit code 1 if there is none.`,
		Example: `  s4 rm s4://bucket/dir/key
  s4 rm -r s4://bucket/dir/`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			a.about = args[0]
			n, err := c.Remove(ctx, args[0], recursive)
			if err != nil {
				return err
			}
			if a.json {
				return a.line("", map[string]any{"prefix": args[0], "removed": n})
			}
			if recursive {
				a.note("removed %s", count(n, "key"))
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "remove every key with the prefix")
	return cmd
}

// count prints a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
