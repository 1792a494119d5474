package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) verify() *cobra.Command {
	var (
		opts   s4.VerifyOptions
		rate   rateFlag
		choose chooser
	)
	cmd := &cobra.Command{
		Use:   "verify [PREFIX...]",
		Short: "compare keys with their checksums",
		Long: `Have every server read its keys whose names begin with PREFIX, or that a pattern
matches or is above, as in 's4://bucket/2024-*', or all keys, and compare each with the checksum that was stored with it when it was written. Those that
are damaged are printed, one a line, as they are found. So are files that have no
checksum, as something other than s4 wrote them. Exit code 1 if there are any, if one that
was to be removed could not be, or if no key matches.

What is in a server's memory is compared as it is there. s4-server --scrub does this by
itself while the server is idle, and logs what it finds.`,
		Example: `  s4 verify
  s4 verify s4://bucket/in/ --rate 200MB/s
  s4 verify 's4://bucket/2024-*/part_?'
  s4 verify s4://bucket --remove-damaged`,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if len(args) == 0 {
				args = []string{s4.Scheme}
			}
			opts.Rate, opts.Glob = int64(rate), choose.globs()
			failed := failures{a: a, verb: "verify"}
			var total s4.VerifyProgress
			for _, prefix := range args {
				a.subject = prefix
				p, err := c.Verify(ctx, prefix, &opts, func(d s4.DamagedKey) error {
					if d.Err != nil {
						defer failed.add(d.Key, d.Err)
					}
					failed.some, failed.other = true, true
					return output(a.line(damagedLine(d)))
				})
				total.Keys += p.Keys
				total.Bytes += p.Bytes
				total.Damaged += p.Damaged
				total.NoChecksum += p.NoChecksum
				if err := failed.after(ctx, prefix, err); err != nil {
					return err
				}
			}
			if total.Keys > 0 {
				a.note("%s", verified(total))
			}
			return failed.err()
		}),
	}
	f := cmd.Flags()
	choose.registerGlob(f)
	f.Var(&rate, "rate", "how much each server reads a second, as in 200MB/s (default as much as it can)")
	f.BoolVar(&opts.Remove, "remove-damaged", false, "remove the keys that are damaged")
	f.BoolVar(&opts.RemoveNoChecksum, "remove-no-checksum", false, "remove files that have no checksum")
	return cmd
}

// verified says what was compared.
func verified(p s4.VerifyProgress) string {
	var text parts
	text.add(true, "%s, %s", count(p.Keys, "key"), flags.FormatSize(p.Bytes))
	text.add(p.Damaged > 0, "%s", count(p.Damaged, "damaged key"))
	text.add(p.Damaged == 0, "none is damaged")
	text.add(p.NoChecksum > 0, "%d without a checksum", p.NoChecksum)
	return text.String()
}

// damagedLine returns the line for a key that is damaged or has no checksum, and what --json prints.
func damagedLine(d s4.DamagedKey) (string, any) {
	state := "damaged"
	switch {
	case d.Removed:
		state = "removed"
	case d.NoChecksum:
		state = "no-checksum"
	}
	return fmt.Sprintf("%s %s %s: %s", state, d.Server, oneLine(d.Key), oneLine(d.Reason)),
		map[string]any{"key": text(d.Key), "server": d.Server.String(), "size": d.Size, "removed": d.Removed, "no_checksum": d.NoChecksum, "reason": text(d.Reason)}
}

// rateFlag is a flag that takes bytes a second.
type rateFlag int64

// String implements pflag.Value.
func (r *rateFlag) String() string {
	if *r == 0 {
		return ""
	}
	return fmt.Sprintf("%d/s", int64(*r))
}

// Type implements pflag.Value.
func (r *rateFlag) Type() string { return "SIZE/s" }

// Set implements pflag.Value.
func (r *rateFlag) Set(text string) error {
	n, err := flags.ParseSize(strings.TrimSuffix(text, "/s"))
	*r = rateFlag(n)
	return err
}
