package bench

import "fmt"

// Metric names what is compared of two sides.
type Metric string

// The metrics. All but the throughputs are better when smaller.
const (
	Throughput    Metric = "throughput"     // bytes per second of wall time
	KeyThroughput Metric = "key throughput" // keys per second of wall time
	Time          Metric = "time"           // wall seconds
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
		return float64(s.Bytes) / s.Wall, s.Wall > 0
	case KeyThroughput:
		return float64(s.Keys) / s.Wall, s.Wall > 0
	case Time:
		return s.Wall, true
	case CPU:
		return s.ClientCPU + s.ServerCPU, true
	case ServerCPU:
		if s.Bytes > 0 {
			return s.ServerCPU / float64(s.Bytes), len(s.ServerPeaks) > 0
		}
		return s.ServerCPU, len(s.ServerPeaks) > 0
	case ServerPeak:
		return float64(s.serverPeak()), len(s.ServerPeaks) > 0
	case ClientPeak:
		return float64(s.ClientPeak), true
	}
	return 0, false
}

// Target is a limit for the ratio of s4's median to the yardstick's.
type Target struct {
	Metric Metric  `json:"metric"`
	Min    float64 `json:"min,omitempty"` // the ratio must not be smaller, if not 0
	Max    float64 `json:"max,omitempty"` // nor greater, if not 0
}

// AtLeast is the target of a ratio of at least x.
func AtLeast(x float64, m Metric) Target { return Target{Metric: m, Min: x} }

// AtMost is the target of a ratio of at most x.
func AtMost(x float64, m Metric) Target { return Target{Metric: m, Max: x} }

// Holds reports whether the ratio meets the target. NaN meets none.
func (t Target) Holds(ratio float64) bool {
	return ratio >= t.Min && (t.Max == 0 || ratio <= t.Max)
}

// String returns the target in words.
func (t Target) String() string {
	switch {
	case t.Min == 0 && t.Max == 0:
		return "none"
	case t.Max == 0:
		return fmt.Sprintf(">= %.4g of %s", t.Min, t.Metric)
	case t.Min == 0:
		return fmt.Sprintf("<= %.4g x %s", t.Max, t.Metric)
	}
	return fmt.Sprintf("%.4g to %.4g x %s", t.Min, t.Max, t.Metric)
}
