package bench

import (
	"fmt"
	"io"
	"strconv"
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

// writeSeries writes the curves as tables.
func (r *Report) writeSeries(w io.Writer) error {
	for _, s := range r.Series {
		fmt.Fprintf(w, "\n%s\n", s.Name)
		if s.Note != "" {
			fmt.Fprintf(w, "%s\n", s.Note)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "%s\t%s\tfrom\tto\t\n", s.XLabel, s.YLabel)
		for _, p := range s.Points {
			fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.4g\t\n", strconv.FormatFloat(p.X, 'f', -1, 64), p.Y, p.Min, p.Max)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}
