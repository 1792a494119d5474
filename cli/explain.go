package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// explain prints what a job would run on each server.
func (a *app) explain(ctx context.Context, c *s4.Client, j *mapJob) error {
	plans, err := c.Explain(ctx, j.verb, j.indir, j.outdir, j.cmd, &j.opts)
	if err != nil {
		return err
	}
	if !a.json {
		return printPlans(a.stdout, plans)
	}
	for _, p := range plans {
		err := a.line("", map[string]any{"server": p.Server.String(), "tasks": p.Tasks, "skipped": p.Skipped,
			"keys": p.Keys, "bytes": p.Bytes, "free": p.Free})
		if err != nil {
			return err
		}
	}
	return nil
}

// printPlans prints a line per server, the totals, and the skew: how much more input
// the largest server has than the mean. All others wait for that server.
func printPlans(w io.Writer, plans []s4.ServerPlan) error {
	var total s4.ServerPlan
	var largest int64
	for _, p := range plans {
		total.Tasks += p.Tasks
		total.Skipped += p.Skipped
		total.Keys += p.Keys
		total.Bytes += p.Bytes
		largest = max(largest, p.Bytes)
	}
	out := newTable(w)
	row := func(name string, p s4.ServerPlan) {
		fmt.Fprintf(out, "%s\t%s\t", name, count(p.Tasks, "task"))
		if total.Skipped > 0 {
			fmt.Fprintf(out, "%d skipped\t", p.Skipped)
		}
		fmt.Fprintf(out, "%s\t%s", count(p.Keys, "key"), flags.FormatSize(p.Bytes))
	}
	for _, p := range plans {
		row(p.Server.String(), p)
		fmt.Fprintf(out, "\t%s free\n", flags.FormatSize(p.Free))
	}
	row("total", total)
	fmt.Fprintln(out)
	if total.Bytes > 0 {
		mean := float64(total.Bytes) / float64(len(plans))
		fmt.Fprintf(out, "skew: largest server has %.1fx the mean of bytes\n", float64(largest)/mean)
	}
	return out.Flush()
}

// newTable returns a writer that aligns cells, which end with tabs, in columns. Its
// writes do not fail; Flush does.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
}
