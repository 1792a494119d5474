package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Options is what the user chose.
type Options struct {
	Parent  string // where to make a directory to work in; empty for the default
	Size    int64  // of the large file
	Rounds  int    // of all rows and curves; 0 is of each what it needs
	Servers int
	Scale   float64 // of all counts and sizes but Size; 0 is 1
	Full    bool    // with the sizes that take long
	Most    int     // servers of scaling; 0 is mostServers, or mostServersFull
	ETLSize int64   // of the trips of etl; 0 is the default
	Peers   []Peer
}

func (o Options) setup() Setup {
	return Setup{Size: o.Size, Rounds: o.rounds(0), Servers: o.Servers, Scale: o.scale(), Full: o.Full}
}

// defaultRounds is how many rounds count if neither the user nor the row says so.
const defaultRounds = 5

// rounds returns how many rounds count of what needs so many, or the default for 0.
func (o Options) rounds(need int) int { return cmp.Or(o.Rounds, need, defaultRounds) }

func (o Options) scale() float64 {
	if o.Scale == 0 {
		return 1
	}
	return o.Scale
}

// count returns a number of keys, or of bytes, by the scale: at least 1.
func (o Options) count(n int) int {
	return max(1, int(math.Round(float64(n)*o.scale())))
}

// Run runs the workloads and returns what they found, also if it fails or ctx
// ends: the rows that are complete. The report is nil if there is nothing to it.
// Progress goes to log, a line for each row. Nothing is left behind.
func Run(ctx context.Context, o Options, list []Workload, log io.Writer) (_ *Report, err error) {
	var need int64
	for _, w := range list {
		for _, r := range w.Rows {
			need = max(need, r.room(o, false))
		}
		for _, c := range w.Curves {
			need = max(need, c.Room)
		}
	}
	var left *LeftOut
	parent := o.Parent
	if parent == "" {
		parent, left = chooseDir(need)
	}
	env, err := newEnv(o, parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, env.close()) }()
	if left != nil {
		env.LeaveOut(left.What, left.Why)
	}
	report := &Report{
		Version: ReportVersion,
		Date:    time.Now().UTC().Truncate(time.Second),
		Machine: describe(env.Dir),
		Setup:   o.setup(),
	}
	if report.Machine.S4, err = env.s4Version(ctx); err != nil {
		return nil, err
	}
	if movesSource(list) {
		report.Machine.Loopback, err = env.loopback(ctx)
		if lacks, ok := errors.AsType[*NotHere](err); ok {
			env.LeaveOut("the raw rate of loopback", lacks.Why)
		} else if err != nil {
			return nil, err
		}
	}
	for _, w := range list {
		var results []Result
		results, err = env.runAll(ctx, w, log)
		err = errors.Join(err, env.endWorkload())
		report.Results = append(report.Results, results...)
		report.Series = append(report.Series, env.series...)
		env.series = nil
		if err != nil {
			env.LeaveOut(w.Name+", from some row on, and what comes after it", "the run did not get to its end")
			break
		}
	}
	report.LeftOut = env.leftOut
	if err != nil && len(report.Results)+len(report.Series) == 0 {
		return nil, err
	}
	return report, err
}

// movesSource reports whether a row moves the large file.
func movesSource(list []Workload) bool {
	return slices.ContainsFunc(list, func(w Workload) bool {
		return slices.ContainsFunc(w.Rows, func(r Row) bool { return r.Source })
	})
}

// runAll runs the rows and the curves, if the host has what they need.
func (e *Env) runAll(ctx context.Context, w Workload, log io.Writer) ([]Result, error) {
	if w.Needs != nil {
		err := w.Needs(ctx, e)
		if lacks, ok := errors.AsType[*NotHere](err); ok {
			e.LeaveOut(w.Name+": "+w.Title, lacks.Why)
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	results, err := e.runWorkload(ctx, w, log)
	if err != nil {
		return results, err
	}
	return results, e.runCurves(ctx, w, log)
}

// runWorkload runs the rows for which there is room. Those before an error are
// returned with it.
func (e *Env) runWorkload(ctx context.Context, w Workload, log io.Writer) ([]Result, error) {
	var results []Result
	for _, row := range w.Rows {
		name := w.Name + ": " + row.Work
		if ok, err := e.hasRoom(name, row.room(e.Options, e.source != nil)); err != nil {
			return results, err
		} else if !ok {
			continue
		}
		fmt.Fprintln(log, name)
		more, err := e.runRow(ctx, w.Name, row)
		if lacks, ok := errors.AsType[*NotHere](err); ok {
			e.LeaveOut(name, lacks.Why)
			continue
		}
		if err != nil {
			return results, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, more...)
	}
	return results, nil
}

// hasRoom reports whether need bytes can be had, and notes it if not.
func (e *Env) hasRoom(name string, need int64) (bool, error) {
	have, err := free(e.Dir)
	if err != nil {
		return false, err
	}
	if have < need {
		e.LeaveOut(name, fmt.Sprintf("it needs %s, and %s has %s besides the %s that are left free", aboutSize(need), e.Dir, aboutSize(have), aboutSize(slack)))
	}
	return have >= need, nil
}

// runCurves measures the curves for which there is room.
func (e *Env) runCurves(ctx context.Context, w Workload, log io.Writer) error {
	for _, curve := range w.Curves {
		name := w.Name + ": " + curve.Name
		if ok, err := e.hasRoom(name, curve.Room); err != nil {
			return err
		} else if !ok {
			continue
		}
		fmt.Fprintln(log, name)
		series, err := e.runCurve(ctx, curve)
		if lacks, ok := errors.AsType[*NotHere](err); ok {
			e.LeaveOut(name, lacks.Why)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		e.series = append(e.series, series...)
	}
	return nil
}

func (e *Env) runCurve(ctx context.Context, curve Curve) (_ []Series, err error) {
	if err := e.beginRow(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.endRow(ctx)) }()
	return curve.Measure(ctx, e)
}

// runRow runs a warm-up round and then those that count.
func (e *Env) runRow(ctx context.Context, workload string, row Row) (_ []Result, err error) {
	if err := e.beginRow(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.endRow(ctx)) }()
	c, err := row.Start(ctx, e)
	if err != nil {
		return nil, err
	}
	sides := c.sides()
	for _, s := range sides {
		if err := s.clean(ctx); err != nil {
			return nil, err
		}
	}
	for round := -1; round < e.Options.rounds(row.Rounds); round++ {
		// Backwards and forwards by turns, so that none always has the caches and
		// the clock speed that another leaves.
		slices.Reverse(sides)
		for _, s := range sides {
			sample, err := e.once(ctx, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
			if round >= 0 {
				s.samples = append(s.samples, sample)
			}
		}
	}
	return c.results(workload, row), nil
}

// once measures one round of a side and leaves nothing of it.
func (e *Env) once(ctx context.Context, s *Side) (Sample, error) {
	sample, out, err := e.measure(ctx, s)
	if err == nil && s.Check != nil {
		if err = s.Check(ctx, out); err != nil {
			err = fmt.Errorf("wrong result: %w", err)
		}
	}
	if err != nil {
		return Sample{}, err
	}
	return sample, s.clean(ctx)
}

func (s *Side) clean(ctx context.Context) error {
	if s.Clean == nil {
		return nil
	}
	if err := s.Clean(ctx); err != nil {
		return fmt.Errorf("%s: clean up: %w", s.Name, err)
	}
	return nil
}
