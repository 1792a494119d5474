package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// comparison is what of a report differs from an older one.
type comparison struct {
	With     string // what is compared with
	Warnings []string
	Rows     []comparedRow
	Notes    []string
}

// comparedRow is a row that both reports have: s4's time, and its ratio to the
// yardstick, which says more where other work on the machine slowed both.
type comparedRow struct {
	Work    string
	Changes []change // of the seconds and, if both have that, of the ratio
}

// compare compares the report with an older one, row by row.
func (r *Report) compare(old *Report) *comparison {
	c := &comparison{With: fmt.Sprintf("%s, %s", old.Date.Format("2006-01-02 15:04"), old.Machine.S4)}
	for _, d := range r.Machine.differences(old.Machine) {
		c.Warnings = append(c.Warnings, "another machine: "+d)
	}
	if a, b := old.Setup.Servers, r.Setup.Servers; a != b {
		c.Warnings = append(c.Warnings, fmt.Sprintf("another cluster: %s then, %d now", old.Setup.serversText(), b))
	}
	note := func(text string) {
		if !slices.Contains(c.Notes, text) {
			c.Notes = append(c.Notes, text)
		}
	}
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
			row := comparedRow{res.Work, []change{secondsChange(was.Sides[0], res.Sides[0])}}
			if ratio, ok := ratioChange(was, res); ok {
				row.Changes = append(row.Changes, ratio)
			}
			c.Rows = append(c.Rows, row)
			for _, one := range row.Changes {
				for _, warning := range one.Warnings {
					note(warning.Error())
				}
			}
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
	return c
}

// comparedBy is how to read the rows.
const comparedBy = "The ratio is s4 to the yardstick, by the metric of the row's first\ntarget, round by round; ~ is a change that chance explains (Mann-Whitney U, 5%)."

// write writes the comparison for people.
func (c *comparison) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\ncompared with %s\n", c.With)
	for _, text := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", text)
	}
	b.WriteString("\n")
	if len(c.Rows) > 0 {
		var table strings.Builder
		t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "work\told s\tnew s\tchange\told ratio\tnew ratio\tchange\t")
		for _, row := range c.Rows {
			fmt.Fprint(t, row.Work)
			for _, one := range row.Changes {
				fmt.Fprintf(t, "\t%.3f\t%.3f\t%s", one.Old, one.New, one)
			}
			fmt.Fprintln(t, "\t")
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for line := range strings.Lines(table.String()) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		fmt.Fprintf(&b, "\nMedians of s4. %s\n", comparedBy)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// change is one number then and now.
type change struct {
	benchmath.Comparison
	Old, New float64 // medians
}

// String returns the change in percent, or ~ where chance explains it, and how
// sure that is.
func (c change) String() string {
	return fmt.Sprintf("%s (%s)", c.FormatDelta(c.Old, c.New), c.Comparison)
}

// Sure reports whether chance does not explain the change.
func (c change) Sure() bool { return c.P <= c.Alpha }

func newChange(old, new []float64) change {
	// The copies are sorted.
	sample := func(v []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds)
	}
	return change{
		Comparison: benchmath.AssumeNothing.Compare(sample(old), sample(new)),
		Old:        summarize(old).Median,
		New:        summarize(new).Median,
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
