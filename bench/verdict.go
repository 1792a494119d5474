package bench

import (
	"fmt"
	"math"
	"slices"
)

// Sample is one side's measurements in one round.
type Sample struct {
	Wall        float64 `json:"wall_seconds"`
	ClientCPU   float64 `json:"client_cpu_seconds"` // user and system, with all children it waited for
	ServerCPU   float64 `json:"server_cpu_seconds"` // of all servers together, with all children they waited for
	ClientPeak  int64   `json:"client_peak_bytes"`  // of the largest process of the client
	ServerPeaks []int64 `json:"server_peak_bytes"`  // of each server; none if there is none to be seen
	Bytes       int64   `json:"bytes"`
	Keys        int64   `json:"keys"`
}

// serverPeak returns the peak of the largest server.
func (s Sample) serverPeak() int64 {
	if len(s.ServerPeaks) == 0 {
		return 0
	}
	return slices.Max(s.ServerPeaks)
}

// cpu is that of the client and all servers.
func (s Sample) cpu() float64 { return s.ClientCPU + s.ServerCPU }

// speed is bytes per second, or keys per second where no bytes count.
func (s Sample) speed() float64 {
	v, _ := s.speedMetric().value(s)
	return v
}

func (s Sample) speedMetric() Metric {
	if s.Bytes > 0 {
		return Throughput
	}
	return KeyThroughput
}

// Stat sums up a number over the rounds.
type Stat struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summarize returns the Stat of values, and the zero Stat for none.
func summarize(values []float64) Stat {
	if len(values) == 0 {
		return Stat{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	median := v[mid]
	if len(v)%2 == 0 {
		median = (v[mid-1] + v[mid]) / 2
	}
	return Stat{Median: median, Min: v[0], Max: v[len(v)-1]}
}

// stat sums up one number of the samples.
func stat(samples []Sample, f func(Sample) float64) Stat {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = f(s)
	}
	return summarize(values)
}

// compare fills in a Verdict: what the target limits of the medians of a and b,
// and of each round, where both did the same at nearly the same time.
func compare(t Target, a, b []Sample) Verdict {
	v := Verdict{Target: t}
	if len(a) != len(b) || len(a) == 0 {
		v.Unknown = fmt.Sprintf("%d rounds against %d", len(a), len(b))
		return v
	}
	var as, bs, values, ratios []float64
	for i := range a {
		x, ok1 := t.Metric.value(a[i])
		y, ok2 := t.Metric.value(b[i])
		if !ok1 || !ok2 && t.Kind != OfS4 {
			v.Unknown = "not to be measured on one of the sides"
			return v
		}
		as, bs = append(as, x), append(bs, y)
		values, ratios = append(values, t.value(x, y)), append(ratios, x/y)
	}
	v.S4, v.Yardstick = summarize(as).Median, summarize(bs).Median
	value := t.value(v.S4, v.Yardstick)
	if !finite(append(values, value)) {
		v.Unknown = "the yardstick measures 0"
		return v
	}
	if finite(ratios) {
		v.Ratio, v.PerRound, v.Rounds = v.S4/v.Yardstick, summarize(ratios), ratios
	}
	v.Value, v.Spread, v.Holds = value, summarize(values), t.Holds(value)
	switch t.Metric {
	case Throughput, KeyThroughput:
		v.Best = t.value(slices.Max(as), slices.Max(bs))
	case Time, TimeEach:
		v.Best = t.value(slices.Min(as), slices.Min(bs))
	}
	return v
}

// finite reports whether nothing was divided by 0.
func finite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// Metric names what is compared of two sides.
type Metric string

// The metrics. All but the throughputs are better when smaller.
const (
	Throughput    Metric = "throughput"     // bytes per second of wall time
	KeyThroughput Metric = "key throughput" // keys per second of wall time
	Time          Metric = "time"           // wall seconds
	TimeEach      Metric = "time each"      // wall seconds per key, or per run of a command that is run many times
	CPU           Metric = "CPU"            // seconds of the client and all servers
	ServerCPU     Metric = "server CPU"     // seconds of the servers per byte, or per run if no bytes move
	ServerPeak    Metric = "server memory"  // peak of the largest server
	ClientPeak    Metric = "client memory"  // peak of the client
)

// value returns the metric of one sample. ok is false where the sample does not
// say it.
func (m Metric) value(s Sample) (v float64, ok bool) {
	switch m {
	case Throughput:
		v = float64(s.Bytes) / s.Wall
	case KeyThroughput:
		v = float64(s.Keys) / s.Wall
	case Time:
		v = s.Wall
	case TimeEach:
		v = s.Wall / float64(s.Keys)
	case CPU:
		v = s.cpu()
	case ServerCPU:
		v = s.ServerCPU / float64(max(1, s.Bytes))
	case ServerPeak:
		v = float64(s.serverPeak())
	case ClientPeak:
		v = float64(s.ClientPeak)
	default:
		v = math.NaN()
	}
	unseen := (m == ServerCPU || m == ServerPeak) && len(s.ServerPeaks) == 0
	if unseen || !finite([]float64{v}) {
		return 0, false
	}
	return v, true
}

// amount is a value of the metric in a unit for people.
func (m Metric) amount(v float64) string {
	switch m {
	case Throughput:
		return fmt.Sprintf("%.0f MB/s", v/1e6)
	case KeyThroughput:
		return fmt.Sprintf("%.0f keys/s", v)
	case TimeEach:
		return secondsText(v)
	case ServerPeak, ClientPeak:
		return memoryText(int64(v))
	}
	return fmt.Sprintf("%.3f s", v)
}

// Kind is what of a metric a Target limits.
type Kind string

// The kinds of targets.
const (
	OfRatio      Kind = ""           // s4's median divided by the yardstick's
	OfS4         Kind = "s4"         // s4's median alone
	OfDifference Kind = "difference" // s4's median less the yardstick's
)

// Target is a limit for the medians of a row.
type Target struct {
	Metric Metric  `json:"metric"`
	Kind   Kind    `json:"kind,omitempty"`
	Min    float64 `json:"min,omitempty"` // it must not be smaller, if not 0
	Max    float64 `json:"max,omitempty"` // nor greater, if not 0
}

// AtLeast is the target of a ratio of at least x.
func AtLeast(x float64, m Metric) Target { return Target{Metric: m, Min: x} }

// AtMost is the target of a ratio of at most x.
func AtMost(x float64, m Metric) Target { return Target{Metric: m, Max: x} }

// none reports whether the target limits nothing, and only names what to
// compare.
func (t Target) none() bool { return t.Min == 0 && t.Max == 0 }

// Holds reports whether the value, of the target's kind, meets it. NaN meets
// none.
func (t Target) Holds(value float64) bool {
	return !math.IsNaN(value) && (t.Min == 0 || value >= t.Min) && (t.Max == 0 || value <= t.Max)
}

// value returns what the target limits.
func (t Target) value(s4, yardstick float64) float64 {
	switch t.Kind {
	case OfS4:
		return s4
	case OfDifference:
		return s4 - yardstick
	}
	return s4 / yardstick
}

// text is a value of the target's kind for people.
func (t Target) text(v float64) string {
	switch t.Kind {
	case OfS4:
		return t.Metric.amount(v)
	case OfDifference:
		if v < 0 {
			return "-" + t.Metric.amount(-v)
		}
		return "+" + t.Metric.amount(v)
	}
	return fmt.Sprintf("%.2f", v)
}

// String returns the target in words.
func (t Target) String() string {
	switch {
	case t.none():
		return string(t.Metric) + ", no target"
	case t.Min > 0:
		return fmt.Sprintf(">= %.4g of %s", t.Min, t.Metric)
	case t.Kind != OfRatio:
		return fmt.Sprintf("<= %s of %s", t.text(t.Max), t.Metric)
	}
	return fmt.Sprintf("<= %.4g x %s", t.Max, t.Metric)
}
