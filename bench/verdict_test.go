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
	walls := wallSamples
	v := compare(AtMost(1, Time), walls(1, 2, 30), walls(2, 4, 3))
	if v.Ratio != 2.0/3 || v.PerRound != (Stat{0.5, 0.5, 10}) || !v.Holds || v.Unknown != "" || v.S4 != 2 || v.Yardstick != 3 || v.Best != 0.5 {
		t.Errorf("time: %+v", v)
	}
	cpu := compare(AtMost(1, CPU), []Sample{{ClientCPU: 1}}, []Sample{{ClientCPU: 2}})
	if cpu.Ratio != 0.5 || cpu.Best != 0 {
		t.Errorf("CPU has a best round: %+v", cpu)
	}
	// The least seconds are the best, and the most bytes a second.
	v = compare(AtLeast(1, Throughput), walls(1, 2, 4), walls(2, 4, 3))
	if v.Best != 2 {
		t.Errorf("best throughput: %+v", v)
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

// A target of s4 alone needs nothing of the yardstick, and a difference is that
// of the medians. The ratio is told where there is one.
func TestCompareKinds(t *testing.T) {
	samples := func(list ...Sample) []Sample { return list }
	v := compare(Target{Metric: ServerPeak, Kind: OfS4, Max: 100}, samples(Sample{ServerPeaks: []int64{90}}, Sample{ServerPeaks: []int64{110}}), samples(Sample{}, Sample{}))
	if v.Value != 100 || v.Spread != (Stat{100, 90, 110}) || !v.Holds || v.Unknown != "" || v.Ratio != 0 || v.Rounds != nil {
		t.Errorf("s4 alone: %+v", v)
	}
	if text := v.ratioText(); text != "0.0 MiB (0.0 MiB to 0.0 MiB)" {
		t.Errorf("printed %s", text)
	}
	runs := func(walls ...float64) (s []Sample) {
		for _, w := range walls {
			s = append(s, Sample{Wall: w, Keys: 4})
		}
		return s
	}
	v = compare(Target{Metric: TimeEach, Kind: OfDifference, Max: 0.5}, runs(4, 8, 40), runs(6, 4, 8))
	if v.Value != 0.5 || v.Spread != (Stat{1, -0.5, 8}) || !v.Holds || v.Ratio != 2.0/1.5 || len(v.Rounds) != 3 {
		t.Errorf("difference: %+v", v)
	}
	if text := v.ratioText(); text != "+500.00 ms (-500.00 ms to +8.000 s)" {
		t.Errorf("printed %s", text)
	}
	if v := compare(Target{Metric: TimeEach, Kind: OfDifference, Max: 1}, runs(1), samples(Sample{Wall: 1})); v.Unknown == "" || v.Holds {
		t.Errorf("a yardstick without keys: %+v", v)
	}
	if v := compare(Target{Metric: ServerPeak, Kind: OfS4, Max: 1}, samples(Sample{}), samples(Sample{})); v.Unknown == "" || v.Holds {
		t.Errorf("s4 alone, not measured: %+v", v)
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
		{AtMost(1.3, TimeEach), 1.2, true, "<= 1.3 x time each"},
		{Target{Metric: ClientPeak, Kind: OfS4, Max: 64 << 20}, 64 << 20, true, "<= 64.0 MiB of client memory"},
		{Target{Metric: ClientPeak, Kind: OfS4, Max: 64 << 20}, 64<<20 + 1, false, "<= 64.0 MiB of client memory"},
		{Target{Metric: TimeEach, Kind: OfDifference, Max: 0.003}, 0.003, true, "<= +3.00 ms of time each"},
		{Target{Metric: TimeEach, Kind: OfDifference, Max: 0.003}, 0.0031, false, "<= +3.00 ms of time each"},
		{Target{Metric: TimeEach, Kind: OfDifference, Max: 0.003}, -1, true, "<= +3.00 ms of time each"},
		{Target{Metric: TimeEach, Kind: OfDifference, Max: 0.003}, math.NaN(), false, "<= +3.00 ms of time each"},
		{Target{Metric: Time}, 100, true, "time, no target"},
	} {
		if got := tt.target.Holds(tt.ratio); got != tt.holds {
			t.Errorf("%v with %v: %v", tt.target, tt.ratio, got)
		}
		if got := tt.target.String(); got != tt.printed {
			t.Errorf("printed %q, want %q", got, tt.printed)
		}
	}
}
