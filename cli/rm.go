package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) rm() *cobra.Command {
	var recursive, prefix bool
	cmd := &cobra.Command{
		Use:   "rm PREFIX",
		Short: "remove a key, or all keys with a prefix",
		Long: `Remove one key or, with -r, the directory PREFIX with every key below it. A PREFIX
that is no directory and no key stands for every key whose name begins with it.
One that is, and begins other names, too, as test-1 begins test-10, is refused: end
it with a slash to mean the directory, or say --prefix to remove all that begins
with it. Exit code 1 if there is nothing to remove.`,
		Example: `  s4 rm s4://bucket/dir/key
  s4 rm -r s4://bucket/dir/
  s4 rm -r --prefix s4://bucket/test-1`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			a.subject = args[0]
			recursive := recursive || prefix
			remove := c.RemoveAll
			if prefix || !recursive {
				remove = func(ctx context.Context, name string) (int64, error) { return c.Remove(ctx, name, recursive) }
			}
			n, err := remove(ctx, args[0])
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
	f := cmd.Flags()
	f.BoolVarP(&recursive, "recursive", "r", false, "remove a directory, or every key with the prefix")
	f.BoolVar(&prefix, "prefix", false, "remove every key whose name begins with PREFIX, whatever else it is")
	return cmd
}

// count prints a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
