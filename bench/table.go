package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %s of memory, %s, %s, %s, %s\n", m.CPU, m.Cores, memoryText(m.Memory), m.Kernel, m.FileSystem, m.Go, m.S4)
	fmt.Fprintf(&b, "%s, load before %.1f; medians of %s, s4 with %s and its yardstick by turns\n\n",
		r.Date.Format("2006-01-02"), m.Load, r.roundsText(), r.Setup.serversText())
	if m.Loopback > 0 {
		fmt.Fprintf(&b, "iperf3 moves %s over loopback\n\n", Throughput.amount(m.Loopback))
	}
	if len(r.Results) > 0 {
		if err := r.writeResults(&b); err != nil {
			return err
		}
	}
	if err := r.writeSeries(&b); err != nil {
		return err
	}
	for _, l := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %s, because %s\n", l.What, l.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// roundsText says how many rounds the rows and curves have: "5 rounds", or "3 to 15 rounds".
func (r *Report) roundsText() string {
	var counts []int
	for _, res := range r.Results {
		for _, s := range res.Sides {
			counts = append(counts, len(s.Samples))
		}
	}
	if len(r.Series) > 0 || len(counts) == 0 {
		counts = append(counts, r.Setup.Rounds)
	}
	least, most := slices.Min(counts), slices.Max(counts)
	switch {
	case least != most:
		return fmt.Sprintf("%d to %d rounds", least, most)
	case most == 1:
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", most)
}

// writeResults writes the table, and below it what it compares.
func (r *Report) writeResults(w io.Writer) error {
	var b, table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\ts4 s\tyardstick s\ts4\tyardstick\ts4 CPU s\tyardstick\tclient\tserver\tratio (spread)\tbest\ttarget\tholds")
	for _, res := range r.Results {
		res.writeRows(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("\nThe ratio is that of the medians, s4 to yardstick; the spread is that of the\nrounds, and best is that of the best round of each side, which other work on the\nmachine disturbed least. Where the target is an amount, it is s4's own figure, and\nwith a sign the difference. Client and server are peak memory of s4, the server's\nof the largest one.")
	if slices.ContainsFunc(r.Results, func(res Result) bool { return len(res.Peers) > 0 }) {
		b.WriteString(" Against others it is the ratio of the times: below 1, s4 was\nfaster.")
	}
	b.WriteString("\n")
	if s := r.Setup; s.Size != defaultSize || s.Scale != 1 || s.Servers != defaultServers {
		fmt.Fprintf(&b, "Targets are meant for a large file of %s, scale 1 and %d servers, other than here.\n", sizeText(defaultSize), defaultServers)
	}
	b.WriteString("\n")
	for _, res := range r.Results {
		fmt.Fprintf(&b, "%s: against %s\n", res.Work, res.Yardstick)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRows writes a line for each verdict and each peer; the first has the
// figures of both sides.
func (res *Result) writeRows(w io.Writer) {
	if len(res.Sides) < 2 {
		return
	}
	a, b := res.Sides[0], res.Sides[1]
	figures := fmt.Sprintf("%s\t%.3f\t%.3f\t%s\t%s\t%.3f\t%.3f\t%s\t%s", res.Work, a.Wall.Median, b.Wall.Median,
		speedText(a), speedText(b), a.CPU.Median, b.CPU.Median, memoryText(a.ClientPeak), memoryText(a.ServerPeak))
	if len(res.Verdicts) == 0 {
		fmt.Fprintf(w, "%s\t\t\tnone\t\n", figures)
	}
	for i, v := range res.Verdicts {
		if i > 0 {
			m := v.Target.Metric
			figures = fmt.Sprintf("  %s\t\t\t%s\t%s\t\t\t\t", m, m.text(v.S4, a), m.text(v.Yardstick, b))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", figures, v.ratioText(), v.bestText(), v.Target, v.holdsText())
	}
	for i, p := range res.Peers {
		side := res.Sides[2+i]
		fmt.Fprintf(w, "  against %s\t%.3f\t%.3f\t%s\t%s\t%.3f\t%.3f (client)\t\t\t%s\t%s\t%s\t\n", p.Name, a.Wall.Median, side.Wall.Median,
			speedText(a), speedText(side), a.CPU.Median, side.CPU.Median, p.Time.ratioText(), p.Time.bestText(), p.Time.Target)
	}
}

func (v *Verdict) ratioText() string {
	if v.Unknown != "" {
		return "? (" + v.Unknown + ")"
	}
	t := v.Target
	if t.Kind == OfRatio {
		return fmt.Sprintf("%.2f (%.2f-%.2f)", v.Value, v.Spread.Min, v.Spread.Max)
	}
	return fmt.Sprintf("%s (%s to %s)", t.text(v.Value), t.text(v.Spread.Min), t.text(v.Spread.Max))
}

// bestText is empty where there is no best, also in reports from before.
func (v *Verdict) bestText() string {
	if v.Unknown != "" || v.Best == 0 {
		return ""
	}
	return v.Target.text(v.Best)
}

// text is a value of the metric for people, as of the side.
func (m Metric) text(v float64, s SideResult) string {
	if m == ServerCPU && s.movesBytes() {
		return fmt.Sprintf("%.3f s/GiB", v*(1<<30))
	}
	return m.amount(v)
}

func (s SideResult) movesBytes() bool { return len(s.Samples) == 0 || s.Samples[0].Bytes > 0 }

func (v *Verdict) holdsText() string {
	switch {
	case v.Target.none():
		return ""
	case v.Holds:
		return "yes"
	}
	return "NO"
}

// speedText is the median speed in MB or keys per second.
func speedText(s SideResult) string {
	if s.movesBytes() {
		return Throughput.text(s.Speed.Median, s)
	}
	return KeyThroughput.text(s.Speed.Median, s)
}

// memoryText is memory in the unit that people compare.
func memoryText(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// secondsText is a short time in the unit that people compare.
func secondsText(s float64) string {
	switch {
	case s < 0.0001:
		return fmt.Sprintf("%.2f µs", s*1e6)
	case s < 0.001:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.2f ms", s*1e3)
	}
	return fmt.Sprintf("%.3f s", s)
}
