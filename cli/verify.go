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
		opts s4.VerifyOptions
		rate rateFlag
	)
	cmd := &cobra.Command{
		Use:   "verify [PREFIX]",
		Short: "compare keys with their checksums",
		Long: `Have every server read its keys whose names begin with PREFIX, or all of them, and
compare each with the checksum that was stored with it when it was written. Those that
are damaged are printed, one a line, as they are found. Exit code 1 if there are any, or
if no key matches.

What is in a server's memory is compared as it is there. s4-server --scrub does this by
itself while the server is idle, and logs what it finds.`,
		Example: `  s4 verify
  s4 verify s4://bucket/in/ --rate 200MB/s
  s4 verify s4://bucket --remove-damaged`,
		Args: wantArgs(0, 1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			prefix := s4.Scheme
			if len(args) == 1 {
				prefix = args[0]
			}
			a.subject = prefix
			opts.Rate = int64(rate)
			p, err := c.Verify(ctx, prefix, &opts, func(d s4.DamagedKey) error { return a.line(damagedLine(d)) })
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s, %s, %s", count(p.Keys, "key"), flags.FormatSize(p.Bytes), count(p.Damaged, "damaged key"))
			if p.Damaged == 0 {
				text = fmt.Sprintf("%s, %s, none is damaged", count(p.Keys, "key"), flags.FormatSize(p.Bytes))
			}
			a.note("%s", text)
			if p.Damaged > 0 {
				return errReported
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.Var(&rate, "rate", "how much each server reads a second, as in 200MB/s (default as much as it can)")
	f.BoolVar(&opts.Remove, "remove-damaged", false, "remove the keys that are damaged")
	return cmd
}

// damagedLine returns the line for a key that is damaged, and what --json prints.
func damagedLine(d s4.DamagedKey) (string, any) {
	state := "damaged"
	if d.Removed {
		state = "removed"
	}
	return fmt.Sprintf("%s %s %s: %s", state, d.Server, oneLine(d.Key), oneLine(d.Reason)),
		map[string]any{"key": text(d.Key), "server": d.Server.String(), "size": d.Size, "removed": d.Removed, "reason": text(d.Reason)}
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
