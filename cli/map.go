package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"s4"
)

// mapHelpText is what differs between the map verbs, but for the work.
type mapHelpText struct {
	use, short, long, example string
	run                       func(c *s4.Client, ctx context.Context, indir, outdir, cmd string, o *s4.JobOptions) (s4.JobResult, error)
}

const mapCommon = `

INDIR may hold globs, each matched within one path segment. CMD runs with bash,
with errexit, nounset and pipefail, in an empty directory of its own, on the
server that has the key. Either every task succeeds and all output appears at
once, or there is none.`

var (
	mapHelp = mapHelpText{
		use:   "map INDIR OUTDIR CMD",
		short: "run a command for every key, 1:1",
		long: `For every key below INDIR run CMD with the key as standard input; its standard
output becomes the key with the same relative path below OUTDIR.` + mapCommon,
		example: `  s4 map s4://bucket/in/ s4://bucket/out/ 'tr A-Z a-z'`,
		run:     (*s4.Client).Map,
	}
	mapToNHelp = mapHelpText{
		use:   "map-to-n INDIR OUTDIR CMD",
		short: "run a command for every key, 1:n: the shuffle",
		long: `For every key below INDIR run CMD with the key as standard input. CMD writes
files into its working directory and prints their names, one a line; each
becomes the key OUTDIR/<the key's relative path>/<the file's basename>, on the
server that basename belongs to.` + mapCommon,
		example: `  s4 map-to-n s4://bucket/in/ s4://bucket/parts/ 'awk "{print > \$1 % 12}"; ls'`,
		run:     (*s4.Client).MapToN,
	}
	mapFromNHelp = mapHelpText{
		use:   "map-from-n INDIR OUTDIR CMD",
		short: "run a command for every group of keys, n:1: the merge",
		long: `Group the keys below INDIR by numeric prefix, or by basename where there is
none. For every group run CMD with the paths of the group's files on standard
input, one a line, sorted; its standard output becomes OUTDIR/<prefix>, with
the suffix that all keys of the group share.` + mapCommon,
		example: `  s4 map-from-n s4://bucket/parts/ s4://bucket/sums/ 'xargs cat | sort | uniq -c'`,
		run:     (*s4.Client).MapFromN,
	}
)

func (a *app) mapVerb(h mapHelpText) *cobra.Command {
	return &cobra.Command{
		Use:     h.use,
		Short:   h.short,
		Long:    h.long,
		Example: h.example,
		Args:    cobra.ExactArgs(3),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			a.about = args[0]
			start := time.Now()
			res, err := h.run(c, ctx, args[0], args[1], args[2], nil)
			if err != nil {
				return err
			}
			took := time.Since(start)
			if a.json {
				return a.line("", map[string]any{"job": res.ID, "tasks": res.Tasks, "keys": res.Keys, "bytes": res.Bytes,
					"bytes_in": res.BytesIn, "bytes_pushed": res.Pushed, "seconds": took.Seconds()})
			}
			a.note("%s, %s in, %s out in %s, %.1fs", count(res.Tasks, "task"), bytes(res.BytesIn), bytes(res.Bytes), count(res.Keys, "key"), took.Seconds())
			return nil
		}),
	}
}
