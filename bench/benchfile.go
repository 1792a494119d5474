package bench

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// WriteBench writes each round of each side in Go's benchmark format, for
// benchstat to compare with those of another run:
//
//	BenchmarkPut/put-file/side=s4 1 0.816 sec/op 1.3e+09 B/s ...
//
// A point of a curve is one line, as no more than its median is kept. The
// settings that make runs comparable go above: benchstat makes a table of its own
// for each of them, so the time and the version are none of them.
func (r *Report) WriteBench(w io.Writer) error {
	config := r.benchConfig()
	out := benchfmt.NewWriter(w)
	write := func(name string, values []benchfmt.Value) error {
		err := out.Write(&benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1, Values: values})
		if err != nil {
			return fmt.Errorf("write benchmark results: %w", err)
		}
		return nil
	}
	for _, res := range r.Results {
		for side, s := range res.Sides {
			name := fmt.Sprintf("%s/%s/side=%s", benchWord(strings.ToUpper(res.Workload[:1])+res.Workload[1:]), benchWord(res.Row), benchWord(s.Name))
			for round, one := range s.Samples {
				values := one.benchValues()
				if side == 0 && len(res.Verdicts) > 0 && round < len(res.Verdicts[0].Rounds) {
					// It says more than seconds where other work slowed both sides.
					values = append(values, benchfmt.Value{Value: res.Verdicts[0].Rounds[round], Unit: "of-yardstick"})
				}
				if err := write(name, values); err != nil {
					return err
				}
			}
		}
	}
	for _, s := range r.Series {
		for _, p := range s.Points {
			name := fmt.Sprintf("Curve/%s/x=%v", benchWord(s.Name), p.X)
			if err := write(name, []benchfmt.Value{{Value: p.Y, Unit: benchWord(s.YLabel)}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// benchConfig is what two runs must have in common to be compared.
func (r *Report) benchConfig() (config []benchfmt.Config) {
	m, s := r.Machine, r.Setup
	for _, c := range [][2]any{
		{"cpu", m.CPU}, {"cores", m.Cores}, {"file-system", m.FileSystem}, {"servers", s.Servers},
		{"size", sizeText(s.Size)}, {"scale", s.Scale}, {"full", s.Full},
	} {
		config = append(config, benchfmt.Config{Key: fmt.Sprint(c[0]), Value: fmt.Append(nil, c[1]), File: true})
	}
	return config
}

// benchValues are the figures of one round in units that benchstat knows.
func (s Sample) benchValues() []benchfmt.Value {
	speed := "keys/s"
	if s.Bytes > 0 {
		speed = "B/s"
	}
	values := []benchfmt.Value{
		{Value: s.Wall, Unit: "sec/op"},
		{Value: s.speed(), Unit: speed},
		{Value: s.cpu(), Unit: "cpu-sec/op"},
		{Value: float64(s.ClientPeak), Unit: "client-B"},
	}
	if len(s.ServerPeaks) > 0 {
		values = append(values, benchfmt.Value{Value: float64(s.serverPeak()), Unit: "server-B"})
	}
	return values
}

// benchWord makes a part of a benchmark's name of a text: no spaces, and no
// slash, which parts names.
func benchWord(text string) string {
	return strings.NewReplacer(", ", ",", " ", "-", "/", "-per-").Replace(text)
}
