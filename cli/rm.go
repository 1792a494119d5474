package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) rm() *cobra.Command {
	var (
		choose            chooser
		recursive, prefix bool
	)
	cmd := &cobra.Command{
		Use:   "rm PREFIX...",
		Short: "remove keys, or all keys with a prefix",
		Long: `Remove keys or, with -r, the directory PREFIX with every key below it. A PREFIX
that is no directory and no key stands for every key whose name begins with it.
One that is, and begins other names, too, as test-1 begins test-10, is refused: end
it with a slash to mean the directory, or say --prefix to remove all that begins
with it. Of several names, or of a list, each is that of a key or a directory. Exit
code 1 if there is nothing to remove.

A PREFIX with wildcards, as in 's4://bucket/2024-*/part_?', removes the keys that it
matches as a whole, and with -r the directories, too. * and ? match no slash, ** any
directories. --include and --exclude look at paths below the directory PREFIX. A key
that cannot be removed does not stop the others. Nothing is asked: see --dryrun.`,
		Example: `  s4 rm s4://bucket/dir/key
  s4 rm -r s4://bucket/dir/
  s4 rm --dryrun 's4://bucket/2024-*/part_?'
  s4 rm -r --exclude '*.csv' s4://bucket/dir/
  s4 rm -r --prefix s4://bucket/test-1
  s4 ls -1r --full-path --since 1h s4://bucket | s4 rm --from-file -`,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if len(args) == 0 && choose.from == "" {
				return wrongArgs("PREFIX...", args)
			}
			names, err := choose.names(ctx, a, args)
			if err != nil {
				return err
			}
			recursive := recursive || prefix
			if choose.filtered && !recursive && !choose.many(args) {
				return usagef("--include and --exclude are for -r, for patterns and for many names")
			}
			if len(args) == 1 && !choose.glob(args[0]) && !choose.filtered && !choose.dryRun && choose.from == "" {
				return a.removeOne(ctx, c, args[0], recursive, prefix)
			}
			opts := s4.RemoveOptions{Recursive: recursive, Prefix: prefix, Whole: len(args) != 1}
			if choose.dryRun {
				return unlessStuck(ctx, func() error { return a.removeMany(ctx, c, &choose, names, opts) })
			}
			return a.removeMany(ctx, c, &choose, names, opts)
		}),
	}
	f := cmd.Flags()
	f.BoolVarP(&recursive, "recursive", "r", false, "remove a directory, or every key with the prefix")
	f.BoolVar(&prefix, "prefix", false, "remove every key whose name begins with PREFIX, whatever else it is")
	choose.registerDryRun(f)
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "keys")
	return cmd
}

// removeOne removes what one name stands for.
func (a *app) removeOne(ctx context.Context, c *s4.Client, name string, recursive, prefix bool) error {
	a.subject = name
	remove := c.RemoveAll
	if prefix || !recursive {
		remove = func(ctx context.Context, name string) (int64, error) { return c.Remove(ctx, name, recursive) }
	}
	n, err := remove(ctx, name)
	if err != nil {
		return err
	}
	if a.json {
		return a.line("", map[string]any{"prefix": name, "removed": n})
	}
	if recursive {
		a.note("removed %s", count(n, "key"))
	}
	return nil
}

// removeMany removes what many names stand for, or, with filters, a part of it.
func (a *app) removeMany(ctx context.Context, c *s4.Client, choose *chooser, names iter.Seq2[string, error], opts s4.RemoveOptions) error {
	failed := failures{a: a, verb: "rm", listed: choose.from != ""}
	var out error
	opts.Glob, opts.Filter, opts.DryRun = choose.globs(), &choose.filter, choose.dryRun
	opts.Report = func(r s4.Removal) {
		if r.Err != nil {
			failed.add(r.Key, r.Err)
		} else if choose.dryRun && out == nil {
			out = a.line("(dryrun) delete: "+printable(r.Key), dryRunObject{Dryrun: true, Key: text(r.Key)})
		}
	}
	n, err := c.RemoveEach(ctx, names, &opts)
	switch {
	case err != nil:
		a.subject = ""
		if n > 0 && !choose.dryRun {
			a.note("removed %s", count(n, "key"))
		}
		return err
	case out != nil:
		return out
	case choose.dryRun:
	case a.json:
		if err := a.line("", map[string]any{"removed": n}); err != nil {
			return err
		}
	case n > 0:
		a.note("removed %s", count(n, "key"))
	}
	return failed.err()
}

// dryRunObject is what a dry run would do as --json prints it.
type dryRunObject struct {
	Dryrun bool `json:"dryrun"`
	Key    text `json:"key"`
}

// count prints a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
