package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// WriteComparison writes for people what of the report differs from an older
// one, row by row: s4's time, and its ratio to the yardstick, which says more
// where other work on the machine slowed both. A difference that chance explains
// (Mann-Whitney U, as benchstat has it) is "~".
func (r *Report) WriteComparison(w io.Writer, old *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\ncompared with %s, %s\n", old.Date.Format("2006-01-02 15:04"), old.Machine.S4)
	for _, d := range r.Machine.differences(old.Machine) {
		fmt.Fprintf(&b, "warning: another machine: %s\n", d)
	}
	if a, b2 := old.Setup.Servers, r.Setup.Servers; a != b2 {
		fmt.Fprintf(&b, "warning: another cluster: %d servers then, %d now\n", a, b2)
	}
	b.WriteString("\n")
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "work\told s\tnew s\tchange\told ratio\tnew ratio\tchange\t")
	var notes []string
	note := func(text string) {
		if !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	rows := 0
	for _, res := range r.Results {
		was, ok := old.result(res.Workload, res.Row)
		switch {
		case !ok:
			note(res.Work + " is new")
		case was.Work != res.Work:
			note(fmt.Sprintf("%s was %s", res.Work, was.Work))
		case len(was.Sides) == 0 || len(res.Sides) == 0:
			note(res.Work + " has no rounds")
		default:
			rows++
			line := []change{secondsChange(was.Sides[0], res.Sides[0])}
			if ratio, ok := ratioChange(was, res); ok {
				line = append(line, ratio)
			}
			fmt.Fprint(t, res.Work)
			for _, c := range line {
				fmt.Fprintf(t, "\t%.3f\t%.3f\t%s (%s)", c.old, c.new, c.Comparison.FormatDelta(c.old, c.new), c.Comparison)
				for _, warning := range c.Comparison.Warnings {
					note(warning.Error())
				}
			}
			fmt.Fprintln(t, "\t")
		}
	}
	for _, was := range old.Results {
		if _, ok := r.result(was.Workload, was.Row); !ok {
			note(was.Work + " was not done now")
		}
	}
	if len(r.Series)+len(old.Series) > 0 {
		note("curves are not compared")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if rows > 0 {
		for line := range strings.Lines(table.String()) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		b.WriteString("\nMedians of s4. The ratio is s4 to the yardstick, by the metric of the row's first\ntarget, round by round; ~ is a change that chance explains (Mann-Whitney U, 5%).\n")
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// change is one number then and now.
type change struct {
	benchmath.Comparison
	old, new float64 // medians
}

func newChange(old, new []float64) change {
	// The copies are sorted.
	sample := func(v []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds)
	}
	return change{
		Comparison: benchmath.AssumeNothing.Compare(sample(old), sample(new)),
		old:        summarize(old).Median,
		new:        summarize(new).Median,
	}
}

func secondsChange(old, new SideResult) change {
	walls := func(s SideResult) (v []float64) {
		for _, one := range s.Samples {
			v = append(v, one.Wall)
		}
		return v
	}
	return newChange(walls(old), walls(new))
}

// ratioChange compares the ratios of the first target, by round. ok is false
// where there are none of one metric.
func ratioChange(old, new Result) (c change, ok bool) {
	if len(old.Verdicts) == 0 || len(new.Verdicts) == 0 {
		return c, false
	}
	a, b := old.Verdicts[0], new.Verdicts[0]
	if a.Target.Metric != b.Target.Metric || len(a.Rounds) == 0 || len(b.Rounds) == 0 {
		return c, false
	}
	return newChange(a.Rounds, b.Rounds), true
}

// result returns the result of a row.
func (r *Report) result(workload, row string) (Result, bool) {
	for _, res := range r.Results {
		if res.Workload == workload && res.Row == row {
			return res, true
		}
	}
	return Result{}, false
}

// differences says in what that matters to times this machine is another.
func (m Machine) differences(old Machine) (list []string) {
	differ := func(what, then, now string) {
		if then != now {
			list = append(list, fmt.Sprintf("%s was %s, is %s", what, then, now))
		}
	}
	differ("CPU", old.CPU, m.CPU)
	differ("cores", fmt.Sprint(old.Cores), fmt.Sprint(m.Cores))
	differ("memory", memoryText(old.Memory), memoryText(m.Memory))
	differ("kernel", old.Kernel, m.Kernel)
	differ("file system", old.FileSystem, m.FileSystem)
	return list
}
