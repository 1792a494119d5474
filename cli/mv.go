package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) mv() *cobra.Command {
	var (
		choose    chooser
		recursive bool
		retries   int
		progress  progressFlag
	)
	cmd := &cobra.Command{
		Use:   "mv SRC... DST",
		Short: "move keys to other keys, files to keys, or keys to files",
		Long: `Copy as 's4 cp' does, and remove each SRC as soon as its copy is complete and
verified. At least one of SRC and DST starts with s4://. Between keys, the servers move
the bytes among themselves, or where both names belong to one server, none.

Until a SRC is removed, it is there beside its copy: a move that is interrupted leaves
both of some, and neither of none. To finish it, repeat it: a key that exists with the
size and xxh64 of its SRC counts as its copy. One that differs is an error, as keys are
immutable, and its SRC stays. So does what fails, and a local file that has changed since
it was read. Local directories stay, also when they are empty.

With -r, SRC is a directory, and all below it is moved to below DST; see 's4 cp' for that,
for several SRC, wildcards, --from-file, --include and --exclude. A name is not moved to
itself, and a directory not into itself.`,
		Example: `  s4 mv s4://bucket/tmp/000 s4://bucket/out/000
  s4 mv -r s4://bucket/tmp s4://bucket/out
  s4 mv 's4://bucket/tmp/part_*' s4://bucket/done/
  s4 mv data.csv s4://bucket/in/
  s4 mv s4://bucket/out/000 .
  s4 mv -r -n --exclude '*.log' s4://bucket/tmp s4://bucket/out`,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if choose.from != "" && len(args) == 0 {
				return wrongArgs("DST with --from-file", args)
			}
			if choose.from == "" && len(args) < 2 {
				return wrongArgs("SRC... DST", args)
			}
			if err := refuseS3(args); err != nil {
				return err
			}
			srcs, dst := args[:len(args)-1], args[len(args)-1]
			many := choose.from != "" || len(srcs) > 1
			pattern := len(srcs) == 1 && strings.HasPrefix(srcs[0], s4.Scheme) && choose.glob(srcs[0])
			switch {
			case slices.Contains(args, "-"):
				return usagef("stdin and stdout are not moved: use cp")
			case choose.filtered && !recursive && !many && !pattern:
				return usagef("--include and --exclude are for -r, for patterns and for many sources")
			case retries < 0:
				return usagef("--retries must not be negative")
			}
			names, err := choose.names(ctx, a, srcs)
			if err != nil {
				return err
			}
			mv := &copying{app: a, c: c, verb: "mv", progress: progress, opts: s4.CopyOptions{Recursive: recursive,
				Glob: choose.globs(), Filter: &choose.filter, DryRun: choose.dryRun, Retries: retries}}
			return mv.start(ctx, func() error {
				if !many {
					return mv.copy(ctx, srcs[0], dst, pattern)
				}
				return mv.copyAll(ctx, names, dst, choose.from != "-")
			})
		}),
	}
	f := cmd.Flags()
	progress.register(f)
	a.compress.register(f, "on the network")
	f.BoolVarP(&recursive, "recursive", "r", false, "move everything below SRC")
	f.IntVar(&retries, "retries", defaultRetries, "try a transfer that breaks up to `N` more times")
	choose.registerDryRun(f)
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "sources")
	return cmd
}
