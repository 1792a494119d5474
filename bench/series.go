package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Series is one curve: how a measure of s4 changes with one thing that is
// varied. What draws or prints it needs nothing else.
type Series struct {
	Name   string  `json:"name"`           // what is measured of what, unique in a report
	XLabel string  `json:"x_label"`        // what is varied, with its unit
	YLabel string  `json:"y_label"`        // what is measured, with its unit
	XLog   bool    `json:"x_log"`          // X is best drawn on a logarithmic axis
	Points []Point `json:"points"`         // by rising X
	Note   string  `json:"note,omitempty"` // how it was measured, and what was left out
}

// Point is the median of the rounds at one X, and their spread.
type Point struct {
	X   float64 `json:"x"`
	Y   float64 `json:"y"`
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// newPoint sums up what was measured at x.
func newPoint(x float64, values []float64) Point {
	s := summarize(values)
	return Point{X: x, Y: s.Median, Min: s.Min, Max: s.Max}
}

// writeSeries writes the curves as tables, those in one that have what is varied
// and their note in common and stand together.
func (r *Report) writeSeries(w io.Writer) error {
	for list := r.Series; len(list) > 0; {
		n := 1
		for n < len(list) && list[n].sharesTable(list[0]) {
			n++
		}
		if err := writeCurves(w, list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	if len(r.Series) > 0 {
		fmt.Fprintln(w)
	}
	return nil
}

// sharesTable reports whether two series have the same labels, note and places.
func (s *Series) sharesTable(t Series) bool {
	return s.XLabel == t.XLabel && s.YLabel == t.YLabel && s.Note == t.Note &&
		slices.EqualFunc(s.Points, t.Points, func(a, b Point) bool { return a.X == b.X })
}

func writeCurves(w io.Writer, list []Series) error {
	fmt.Fprintf(w, "\n%s. %s, median (spread).\n", strings.TrimSuffix(list[0].Note, "."), list[0].YLabel)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t", list[0].XLabel)
	for _, s := range list {
		fmt.Fprintf(t, "%s\t", s.Name)
	}
	fmt.Fprintln(t)
	for i, p := range list[0].Points {
		fmt.Fprintf(t, "%s\t", strconv.FormatFloat(p.X, 'f', -1, 64))
		for _, s := range list {
			p := s.Points[i]
			fmt.Fprintf(t, "%s (%s-%s)\t", figure(p.Y), figure(p.Min), figure(p.Max))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// figure is a number of three digits, or all of a greater one.
func figure(v float64) string {
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	if v == 0 || decimals < 0 {
		decimals = 0
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
