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
