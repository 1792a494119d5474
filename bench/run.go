package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nathants/s4"
)

// Options is what the user chose.
type Options struct {
	Parent  string // where to make a directory to work in; empty for the default
	Size    int64  // of the large file
	Rounds  int    // of all rows and curves; 0 is of each what it needs
	Servers int
	Scale   float64 // of all counts and sizes but Size; 0 is 1
	Full    bool    // with the sizes that take long
	All     bool    // the workloads are one of many: etl is smaller
	Peers   []Peer
}

// How many rounds count if neither the user nor the row says so, of what moves
// much, and of what takes long. Where a virtual machine gives free memory back to
// its host, a file of 1 GiB that meets pages to be had anew takes three times as
// long; that is every seventh one, by chance, or more.
const (
	defaultRounds = 5
	largeRounds   = 9
	longRounds    = 3
)

// count returns a number of keys, or of bytes, by the scale: at least 1.
func (o Options) count(n int) int {
	return max(1, int(math.Round(float64(n)*cmp.Or(o.Scale, 1))))
}

// Run runs the workloads and returns what they found, also if it fails or ctx
// ends: the rows that are complete. The report is nil if there is nothing to it.
// Progress goes to log, a line for each row; a line that cannot be written ends the
// run. Nothing is left behind.
func Run(ctx context.Context, o Options, list []Workload, log io.Writer) (_ *Report, err error) {
	var need int64
	source := false
	for _, w := range list {
		for _, r := range w.Rows {
			source = source || r.Needs.Source
			need = max(need, o.room(r.Needs, r.Needs.Source))
		}
		for _, c := range w.Curves {
			need = max(need, c.room())
		}
	}
	report := &Report{
		Version: ReportVersion,
		Date:    time.Now().UTC().Truncate(time.Second),
		Setup:   Setup{Size: o.Size, Rounds: cmp.Or(o.Rounds, defaultRounds), Servers: o.Servers, Scale: cmp.Or(o.Scale, 1), Full: o.Full},
	}
	if o.Parent == "" {
		o.Parent = memoryFS
		if err := roomInMemory(need); err != nil {
			o.Parent = os.TempDir()
			report.LeftOut = []LeftOut{{What: "a memory file system", Why: err.Error()}}
		}
	}
	env, err := newEnv(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, env.close()) }()
	env.report, env.log = report, log
	report.Machine = describe(env.Dir)
	_, version, err := env.run(ctx, Command{Args: []string{env.S4, "--version"}})
	if err != nil {
		return nil, err
	}
	report.Machine.S4 = strings.TrimSpace(string(version))
	if source {
		report.Machine.Loopback, err = env.loopback(ctx)
		if err := env.unlessNotHere("the raw rate of loopback", err); err != nil {
			return nil, err
		}
	}
	for _, w := range list {
		err = errors.Join(env.runWorkload(ctx, w), env.endWorkload())
		if err != nil {
			env.LeaveOut(w.Name+", from some row on, and what comes after it", "the run did not get to its end")
			break
		}
	}
	if err != nil && report.empty() {
		return nil, err
	}
	return report, err
}

// room returns how many bytes a row needs, with those of the source, or without.
func (o Options) room(n Needs, source bool) int64 {
	if source {
		return n.room() + o.Size
	}
	return n.room()
}

// unlessNotHere notes what this host lacks, which is no error.
func (e *Env) unlessNotHere(what string, err error) error {
	if lacks, ok := errors.AsType[*NotHere](err); ok {
		e.LeaveOut(what, lacks.Why)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// runWorkload adds the rows and the curves to the report, as far as the host has
// what they need. Those before an error stay.
func (e *Env) runWorkload(ctx context.Context, w Workload) error {
	if w.Possible != nil {
		what := w.Name + ": " + w.Title
		before := len(e.report.LeftOut)
		if err := e.unlessNotHere(what, w.Possible(ctx, e)); err != nil || len(e.report.LeftOut) > before {
			return err
		}
	}
	for _, row := range w.Rows {
		room := e.room(row.Needs, row.Needs.Source && e.Source == nil)
		err := e.attempt(w.Name+": "+row.Work, room, func() error { return e.runRow(ctx, w.Name, row) })
		if err != nil {
			return err
		}
	}
	for _, curve := range w.Curves {
		err := e.attempt(w.Name+": "+curve.Name, curve.room(), func() error { return e.runCurve(ctx, curve) })
		if err != nil {
			return err
		}
	}
	return nil
}

// attempt calls f if there is room for what it does.
func (e *Env) attempt(name string, room int64, f func() error) error {
	have, err := free(e.Dir)
	if err == nil && have < room {
		err = &NotHere{fmt.Sprintf("it needs %s, and %s has %s besides the %s that are left free", memoryText(room), e.Dir, memoryText(have), memoryText(slack))}
	}
	if err == nil {
		_, err = fmt.Fprintln(e.log, name)
	}
	if err == nil {
		err = f()
	}
	return e.unlessNotHere(name, err)
}

// runRow runs a warm-up round and then those that count.
func (e *Env) runRow(ctx context.Context, workload string, row Row) error {
	return e.with(ctx, row.Needs, func() error {
		c, err := row.Start(ctx, e)
		if err != nil {
			return err
		}
		sides := c.sides()
		for _, s := range sides {
			if err := e.clean(ctx, s); err != nil {
				return err
			}
		}
		for round := range 1 + cmp.Or(e.Rounds, row.Rounds, defaultRounds) {
			// Backwards and forwards by turns, so that none always has the caches and
			// the clock speed that another leaves.
			slices.Reverse(sides)
			for _, s := range sides {
				sample, err := e.once(ctx, s)
				if err != nil {
					return fmt.Errorf("%s: %w", s.Name, err)
				}
				if round > 0 {
					s.samples = append(s.samples, sample)
				}
			}
		}
		e.report.Results = append(e.report.Results, c.results(workload, row)...)
		return nil
	})
}

// runCurve does the same at each of a curve's points.
func (e *Env) runCurve(ctx context.Context, c Curve) error {
	if c.Possible != nil {
		if err := c.Possible(ctx, e); err != nil {
			return err
		}
	}
	var list []Series
	for _, x := range c.Xs {
		values := make(map[string][]float64)
		err := e.with(ctx, c.Needs(x), func() error {
			once, err := c.Start(ctx, e, x)
			if err != nil {
				return err
			}
			for round := range 1 + cmp.Or(e.Rounds, defaultRounds) {
				all, err := once()
				if err != nil {
					return err
				}
				for _, m := range all {
					if !slices.ContainsFunc(list, func(s Series) bool { return s.Name == m.Series }) {
						list = append(list, Series{Name: m.Series, XLabel: c.XLabel, YLabel: m.Unit, XLog: true, Note: c.Note})
					}
					if round > 0 {
						values[m.Series] = append(values[m.Series], m.Value)
					}
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%d %s: %w", x, c.XLabel, err)
		}
		for i, s := range list {
			list[i].Points = append(s.Points, newPoint(float64(x), values[s.Name]))
		}
	}
	e.report.Series = append(e.report.Series, list...)
	return nil
}

// once measures one round of a side and leaves nothing of it.
func (e *Env) once(ctx context.Context, s *Side) (Sample, error) {
	sample, out, err := e.measure(ctx, s)
	if err != nil {
		return Sample{}, err
	}
	if s.Out != "" {
		err = checkTree(ctx, s.Want, e.dirs(s.Out)...)
	}
	if err == nil && s.Check != nil {
		err = s.Check(ctx, out)
	}
	if err != nil {
		return Sample{}, fmt.Errorf("wrong result: %w", err)
	}
	return sample, e.clean(ctx, s)
}

// dirs are the directories that have the files of a Side's Out.
func (e *Env) dirs(out string) []string {
	if strings.HasPrefix(out, s4.Scheme) {
		return e.Cluster.Dirs(out)
	}
	return []string{out}
}

// clean removes what a side made.
func (e *Env) clean(ctx context.Context, s *Side) (err error) {
	if strings.HasPrefix(s.Out, s4.Scheme) {
		err = e.Cluster.Remove(ctx, s.Out)
	} else if s.Out != "" {
		err = os.RemoveAll(s.Out)
	}
	if err == nil && s.Clean != nil {
		err = s.Clean(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: clean up: %w", s.Name, err)
	}
	return nil
}
