package bench

import (
	"math"
	"slices"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   Stat
	}{
		{nil, Stat{}},
		{[]float64{3}, Stat{3, 3, 3}},
		{[]float64{4, 2}, Stat{3, 2, 4}},
		{[]float64{9, 1, 5}, Stat{5, 1, 9}},
		{[]float64{4, 1, 3, 2}, Stat{2.5, 1, 4}},
	} {
		before := slices.Clone(tt.values)
		if got := summarize(tt.values); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.values, got, tt.want)
		}
		if !slices.Equal(before, tt.values) {
			t.Errorf("%v was changed to %v", before, tt.values)
		}
	}
}

// The ratio is that of the medians; the spread is that of the rounds.
func TestCompare(t *testing.T) {
	walls := func(list ...float64) (s []Sample) {
		for _, w := range list {
			s = append(s, Sample{Wall: w, Bytes: 100})
		}
		return s
	}
	v := compare(AtMost(1, Time), walls(1, 2, 30), walls(2, 4, 3))
	if v.Ratio != 2.0/3 || v.PerRound != (Stat{0.5, 0.5, 10}) || !v.Holds || v.Unknown != "" || v.S4 != 2 || v.Yardstick != 3 {
		t.Errorf("time: %+v", v)
	}
	v = compare(AtLeast(0.95, Throughput), walls(2), walls(1))
	if v.Ratio != 0.5 || v.Holds {
		t.Errorf("throughput: %+v", v)
	}
	for name, v := range map[string]Verdict{
		"no rounds":         compare(AtMost(1, Time), nil, nil),
		"different rounds":  compare(AtMost(1, Time), walls(1), walls(1, 2)),
		"no servers seen":   compare(AtMost(1, ServerCPU), walls(1), walls(1)),
		"a yardstick of 0":  compare(AtMost(1, CPU), walls(1), walls(1)),
		"an unknown metric": compare(AtMost(1, "luck"), walls(1), walls(1)),
	} {
		if v.Unknown == "" || v.Holds || v.Ratio != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestServerCPU(t *testing.T) {
	s := Sample{ServerCPU: 6, ServerPeaks: []int64{5, 7}, Bytes: 3}
	if v, ok := ServerCPU.value(s); !ok || v != 2 {
		t.Errorf("per byte: %v, %v", v, ok)
	}
	s.Bytes = 0
	if v, ok := ServerCPU.value(s); !ok || v != 6 {
		t.Errorf("without bytes: %v, %v", v, ok)
	}
	if v, ok := ServerPeak.value(s); !ok || v != 7 {
		t.Errorf("peak: %v, %v", v, ok)
	}
}

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		target  Target
		ratio   float64
		holds   bool
		printed string
	}{
		{AtLeast(0.95, Throughput), 0.95, true, ">= 0.95 of throughput"},
		{AtLeast(0.95, Throughput), 0.949, false, ">= 0.95 of throughput"},
		{AtMost(1.1, ServerCPU), 1.1, true, "<= 1.1 x server CPU"},
		{AtMost(1.1, ServerCPU), 1.11, false, "<= 1.1 x server CPU"},
		{AtMost(1, Time), math.NaN(), false, "<= 1 x time"},
		{Target{Metric: Time}, 100, true, "none"},
	} {
		if got := tt.target.Holds(tt.ratio); got != tt.holds {
			t.Errorf("%v with %v: %v", tt.target, tt.ratio, got)
		}
		if got := tt.target.String(); got != tt.printed {
			t.Errorf("printed %q, want %q", got, tt.printed)
		}
	}
}

func TestNewPoint(t *testing.T) {
	if got, want := newPoint(7, []float64{4, 1, 3}), (Point{X: 7, Y: 3, Min: 1, Max: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
