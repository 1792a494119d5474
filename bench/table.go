package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %s of memory, %s, %s, %s, %s\n", m.CPU, m.Cores, memoryText(m.Memory), m.Kernel, m.FileSystem, m.Go, m.S4)
	fmt.Fprintf(&b, "%s, load before %.1f; medians of %s, s4 with %s and its yardstick by turns\n\n",
		r.Date.Format("2006-01-02"), m.Load, r.roundsText(), plural(r.Setup.Servers, "server"))
	if m.Loopback > 0 {
		fmt.Fprintf(&b, "iperf3 moves %s over loopback\n\n", Throughput.amount(m.Loopback))
	}
	if len(r.Results) > 0 {
		r.writeResults(&b)
	}
	r.writeSeries(&b)
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
	if least != most {
		return fmt.Sprintf("%d to %d rounds", least, most)
	}
	return plural(most, "round")
}

// writeResults writes the table, and below it what it compares.
func (r *Report) writeResults(b *strings.Builder) {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
	line("work", "s4 s", "yardstick s", "s4", "yardstick", "s4 CPU s", "yardstick", "client", "server", "ratio (spread)", "best", "target", "holds")
	peers := false
	for _, res := range r.Results {
		s4, yardstick := res.Sides[0], res.Sides[1]
		first := append(figures(res.Work, s4, yardstick), memoryText(s4.ClientPeak), memoryText(s4.ServerPeak))
		if len(res.Verdicts) == 0 {
			line(append(first, "", "", "none", "")...)
		}
		for i, v := range res.Verdicts {
			if m := v.Target.Metric; i > 0 {
				first = []string{"  " + string(m), "", "", m.text(v.S4, s4), m.text(v.Yardstick, yardstick), "", "", "", ""}
			}
			line(append(first, v.ratioText(), v.bestText(), v.Target.String(), v.holdsText())...)
		}
		for i, p := range res.Peers {
			cells := append(figures("  against "+p.Name, s4, res.Sides[2+i]), "", "", p.Time.ratioText(), p.Time.bestText(), p.Time.Target.String(), "")
			cells[6] += " (client)"
			line(cells...)
			peers = true
		}
	}
	_ = t.Flush() // to a strings.Builder, which takes all
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("\nThe ratio is that of the medians, s4 to yardstick; the spread is that of the\nrounds, and best is that of the best round of each side, which other work on the\nmachine disturbed least. Where the target is an amount, it is s4's own figure, and\nwith a sign the difference. Client and server are peak memory of s4, the server's\nof the largest one.")
	if peers {
		b.WriteString(" Against others it is the ratio of the times: below 1, s4 was\nfaster.")
	}
	b.WriteString("\n")
	if s := r.Setup; s.Size != defaultSize || s.Scale != 1 || s.Servers != defaultServers {
		fmt.Fprintf(b, "Targets are meant for a large file of %s, scale 1 and %d servers, other than here.\n", sizeText(defaultSize), defaultServers)
	}
	b.WriteString("\n")
	for _, res := range r.Results {
		fmt.Fprintf(b, "%s: against %s\n", res.Work, res.Yardstick)
	}
}

// figures are the first cells of a line: both sides' time, speed and CPU.
func figures(what string, a, b SideResult) []string {
	seconds := func(s Stat) string { return fmt.Sprintf("%.3f", s.Median) }
	speed := func(s SideResult) string { return s.speedMetric().amount(s.Speed.Median) }
	return []string{what, seconds(a.Wall), seconds(b.Wall), speed(a), speed(b), seconds(a.CPU), seconds(b.CPU)}
}

// speedMetric is that of Speed.
func (s SideResult) speedMetric() Metric {
	if len(s.Samples) == 0 {
		return Throughput
	}
	return s.Samples[0].speedMetric()
}

// text is a value of the metric for people, as of the side.
func (m Metric) text(v float64, s SideResult) string {
	if m == ServerCPU && s.speedMetric() == Throughput {
		return fmt.Sprintf("%.3f s/GiB", v*(1<<30))
	}
	return m.amount(v)
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

// bestText is empty where there is no best.
func (v *Verdict) bestText() string {
	if v.Best == 0 {
		return ""
	}
	return v.Target.text(v.Best)
}

func (v *Verdict) holdsText() string {
	switch {
	case v.Target.none():
		return ""
	case v.Holds:
		return "yes"
	}
	return "NO"
}

// writeSeries writes the curves as tables, those in one that have what is varied
// and their note in common and stand together.
func (r *Report) writeSeries(b *strings.Builder) {
	for list := r.Series; len(list) > 0; {
		n := 1
		for n < len(list) && list[n].sharesTable(list[0]) {
			n++
		}
		writeCurves(b, list[:n])
		list = list[n:]
	}
	if len(r.Series) > 0 {
		b.WriteString("\n")
	}
}

// sharesTable reports whether two series have the same labels, note and places.
func (s *Series) sharesTable(t Series) bool {
	return s.XLabel == t.XLabel && s.YLabel == t.YLabel && s.Note == t.Note &&
		slices.EqualFunc(s.Points, t.Points, func(a, b Point) bool { return a.X == b.X })
}

func writeCurves(b *strings.Builder, list []Series) {
	fmt.Fprintf(b, "\n%s. %s, median (spread).\n", strings.TrimSuffix(list[0].Note, "."), list[0].YLabel)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t", list[0].XLabel)
	for _, s := range list {
		fmt.Fprintf(t, "%s\t", s.Name)
	}
	for i, p := range list[0].Points {
		fmt.Fprintf(t, "\n%s\t", strconv.FormatFloat(p.X, 'f', -1, 64))
		for _, s := range list {
			fmt.Fprintf(t, "%s (%s-%s)\t", figure(s.Points[i].Y), figure(s.Points[i].Min), figure(s.Points[i].Max))
		}
	}
	fmt.Fprintln(t)
	_ = t.Flush() // to a strings.Builder, which takes all
}
