package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// ReportVersion is the version of the JSON of a Report. It rises when a field
// changes its meaning or goes; a new field leaves it as it is.
const ReportVersion = 1

// Report is all that a run has found. What prints or compares results works
// from it alone.
type Report struct {
	Version int       `json:"version"`
	Date    time.Time `json:"date"`
	Machine Machine   `json:"machine"`
	Setup   Setup     `json:"setup"`
	Results []Result  `json:"results"`
	Series  []Series  `json:"series,omitempty"` // the curves of "scaling"
	LeftOut []LeftOut `json:"left_out"`
}

// Setup is what the user chose, as far as it changes results.
type Setup struct {
	Size    int64 `json:"size_bytes"`
	Rounds  int   `json:"rounds"` // or the default, from which some rows differ
	Servers int   `json:"servers"`
	// Scale is that of all counts and sizes but Size.
	Scale float64 `json:"scale"`
	Full  bool    `json:"full,omitempty"` // with the sizes that take long
}

// LeftOut is something that could not be done on this host, and why.
type LeftOut struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Result is one Row after its rounds.
type Result struct {
	Workload  string       `json:"workload"`
	Row       string       `json:"row"`
	Work      string       `json:"work"`
	Yardstick string       `json:"yardstick"`
	Sides     []SideResult `json:"sides"`    // s4, the yardstick, then the peers
	Verdicts  []Verdict    `json:"verdicts"` // s4 to the yardstick, one for each target
	Peers     []PeerResult `json:"peers,omitempty"`
}

// SideResult is one side of a Result.
type SideResult struct {
	Name    string   `json:"name"`
	Samples []Sample `json:"samples"` // by round, without the warm-up
	Wall    Stat     `json:"wall_seconds"`
	CPU     Stat     `json:"cpu_seconds"` // client and servers
	// Speed is in bytes, or where none move keys, per second.
	Speed Stat `json:"speed"`
	// The largest of all rounds.
	ClientPeak int64 `json:"client_peak_bytes"`
	ServerPeak int64 `json:"server_peak_bytes"` // of the largest server
}

// Verdict is s4 against a yardstick by one metric.
type Verdict struct {
	// S4 and Yardstick are the medians of the metric, in its unit: seconds,
	// bytes, or one of them per byte or second.
	S4        float64 `json:"s4"`
	Yardstick float64 `json:"yardstick"`
	Target    Target  `json:"target"`
	// Value is what the target limits, by the medians: the ratio, s4's own
	// figure or the difference.
	Value  float64 `json:"value"`
	Spread Stat    `json:"value_of_each_round"` // summed up
	// Best is the Value by the fastest round of each side, if time is what counts:
	// what else the machine does makes a round slower and never faster. 0 for
	// other metrics.
	Best float64 `json:"value_of_best_rounds,omitempty"`
	// Ratio is that of the medians, s4 to the other, whatever the target
	// limits; 0 where the other measures 0 or nothing.
	Ratio    float64   `json:"ratio"`
	PerRound Stat      `json:"ratio_of_each_round"` // summed up
	Rounds   []float64 `json:"rounds"`              // the ratio of each
	Holds    bool      `json:"holds"`
	Unknown  string    `json:"unknown,omitempty"` // why there is no Value
}

// PeerResult is s4 against another system, which has no target.
type PeerResult struct {
	Name string  `json:"name"`
	Time Verdict `json:"time"`
}

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

// newResult sums up the samples of each side.
func newResult(workload string, row Row, s4, yardstick Side, peers ...Side) Result {
	r := Result{Workload: workload, Row: row.Name, Work: row.Work, Yardstick: row.Yardstick}
	for _, side := range append([]Side{s4, yardstick}, peers...) {
		s := SideResult{Name: side.Name, Samples: side.samples}
		s.Wall = stat(s.Samples, func(s Sample) float64 { return s.Wall })
		s.CPU = stat(s.Samples, Sample.cpu)
		s.Speed = stat(s.Samples, Sample.speed)
		for _, one := range s.Samples {
			s.ClientPeak = max(s.ClientPeak, one.ClientPeak)
			s.ServerPeak = max(s.ServerPeak, one.serverPeak())
		}
		r.Sides = append(r.Sides, s)
	}
	for _, t := range row.Targets {
		r.Verdicts = append(r.Verdicts, compare(t, s4.samples, yardstick.samples))
	}
	for _, p := range peers {
		r.Peers = append(r.Peers, PeerResult{Name: p.Name, Time: compare(Target{Metric: Time}, s4.samples, p.samples)})
	}
	return r
}

// empty reports whether nothing was measured.
func (r *Report) empty() bool { return len(r.Results)+len(r.Series) == 0 }

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
