package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// trafficObject is a part of a shuffle as --json prints it.
type trafficObject struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
}

// traffic prints what the servers have pushed to each other, after the job.
func (v *jobView) traffic(ctx context.Context, s s4.JobStatus) error {
	rows, err := v.client.JobTraffic(ctx, s.ID)
	if rows == nil {
		return err
	}
	servers := v.client.Cluster().Servers
	if v.json {
		for from, row := range rows {
			for to, t := range row {
				if t.Files == 0 {
					continue
				}
				if err := v.line("", trafficObject{servers[from].String(), servers[to].String(), t.Files, t.Bytes}); err != nil {
					return err
				}
			}
		}
		return err
	}
	out := tabwriter.NewWriter(v.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "\nbytes from each server to each, of which its own stayed there\n\n")
	got := make([]int64, len(servers)) // by others
	fmt.Fprint(out, "from\\to\t")
	for to := range servers {
		fmt.Fprintf(out, "%d\t", to)
	}
	fmt.Fprint(out, "to others\t  server\n")
	for from, row := range rows {
		sent := int64(0)
		fmt.Fprintf(out, "%d\t", from)
		for to := range servers {
			if row == nil {
				fmt.Fprint(out, "?\t")
				continue
			}
			fmt.Fprintf(out, "%s\t", trafficCell(row[to]))
			if from != to {
				sent += row[to].Bytes
				got[to] += row[to].Bytes
			}
		}
		total := flags.FormatSize(sent)
		if row == nil {
			total = "?"
		}
		fmt.Fprintf(out, "%s\t  %s\n", total, servers[from])
	}
	fmt.Fprint(out, "from others\t")
	for _, n := range got {
		fmt.Fprintf(out, "%s\t", flags.FormatSize(n))
	}
	fmt.Fprintln(out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

// trafficCell is how a table shows what went from one server to another.
func trafficCell(t s4.Traffic) string {
	if t.Files == 0 {
		return "-"
	}
	return flags.FormatSize(t.Bytes)
}
