package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nathants/s4"
)

const (
	// jobKeys is how many keys a job has whose servers are counted.
	jobKeys = 64
	// fewServers is what more servers are compared with.
	fewServers = 3
	// serversCost is how much longer a job may take on manyServers.
	serversCost = 0.050
	manyServers = 64
)

// serversWorkload is what a job of few small tasks costs where there are many servers:
// each must be told of it, promise to publish its part, and do so.
func serversWorkload(o Options) Workload {
	keys, many := o.count(jobKeys), o.count(manyServers)
	row := func(verb, command string) Row {
		return Row{
			Name:      verb,
			Work:      fmt.Sprintf("%s of %d keys on %d servers in one process", verb, keys, many),
			Yardstick: fmt.Sprintf("the same by s4 on %d servers", fewServers),
			Targets:   []Target{{Metric: TimeEach, Kind: OfDifference, Max: serversCost}},
			Rounds:    largeRounds,
			Needs:     Needs{Tree: randomFiles(keys, 100), Put: true, Copies: 5, Servers: many, OneProcess: true},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				few, err := e.startFew(ctx)
				if err != nil {
					return nil, err
				}
				return &Comparison{S4: e.jobSide(e.Cluster, verb, command), Yardstick: e.jobSide(few, verb, command)}, nil
			},
		}
	}
	return Workload{
		Name:  "servers",
		Title: "what a job costs on many servers",
		Rows:  []Row{row("map", "cat"), row("map-to-n", "x=x$filename; cat >$x; echo $x"), row("map-from-n", "cat")},
	}
}

// startFew starts a second cluster, of fewServers in one process, for the row, and puts the
// tree there, too.
func (e *Env) startFew(ctx context.Context) (*Cluster, error) {
	few, err := e.startCluster(ctx, Needs{Servers: fewServers, OneProcess: true})
	if err != nil {
		return nil, err
	}
	e.AfterRow(few.Close)
	if _, _, err := few.s4(ctx, "cp", "-q", "-r", e.Tree.Dir, inKeys); err != nil {
		return nil, fmt.Errorf("put what is to be read: %w", err)
	}
	return few, nil
}

// jobSide is a job on all keys of a cluster, each of which makes one.
func (e *Env) jobSide(c *Cluster, verb, command string) Side {
	return Side{
		Name: fmt.Sprintf("s4, %d servers", c.servers), Servers: c.Pids, Keys: 1,
		Command: c.Command(verb, "-q", inKeys, outKeys, command),
		Check: func(ctx context.Context, _ []byte) error {
			names, err := filesBelow(c.Dirs(outKeys))
			if err == nil && names != int(e.Tree.Files) {
				err = fmt.Errorf("the job has made %d keys, not %d", names, e.Tree.Files)
			}
			return err
		},
		Clean: func(ctx context.Context) error { return c.Remove(ctx, outKeys) },
	}
}

// filesBelow counts the files below directories, some of which may not be there.
func filesBelow(dirs []string) (n int, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// serversCurve is a job on more and more servers, and where its time goes.
func serversCurve(o Options) Curve {
	keys := o.count(jobKeys)
	var xs []int
	for _, n := range []int{fewServers, 16, manyServers, 200} {
		xs = append(xs, o.count(n))
	}
	return Curve{
		Name:   "servers of a job",
		XLabel: "servers in one process",
		Note: fmt.Sprintf("A map of %d keys by a command that does nothing, from a new client. Beside each runs the same on %d servers, by turns.",
			keys, fewServers),
		Xs: slices.Compact(xs),
		Needs: func(x int) Needs {
			return Needs{Tree: randomFiles(keys, 100), Put: true, Copies: 5, Servers: x, OneProcess: true}
		},
		Start: func(ctx context.Context, e *Env, _ int) (roundFunc, error) {
			few, err := e.startFew(ctx)
			if err != nil {
				return nil, err
			}
			return func() ([]Measured, error) {
				beside, _, err := e.jobOn(ctx, few)
				if err != nil {
					return nil, err
				}
				t, cpu, err := e.jobOn(ctx, e.Cluster)
				ms := func(seconds float64) float64 { return 1e3 * seconds }
				return []Measured{
					{"set-up of a job, by servers", "ms", ms(t.SetUp)},
					{"commit of a job, by servers", "ms", ms(t.Commit)},
					{"all of a job, by servers", "ms", ms(t.All)},
					{"all of a job beside 3 servers, by servers", "ratio", t.All / beside.All},
					{"CPU time of a job, by servers", "ms", ms(cpu)},
				}, err
			}, nil
		},
	}
}

// jobOn runs a job on a cluster and removes what it made. It returns the times, and the
// CPU time of client, servers and commands.
func (e *Env) jobOn(ctx context.Context, c *Cluster) (t jobTimes, cpu float64, err error) {
	side := Side{Servers: c.Pids, Command: Command{Args: e.itself(jobName, jobRun{Conf: c.Conf, In: inKeys, Out: outKeys, Command: "true"})}}
	sample, out, err := e.measure(ctx, &side)
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	if err == nil {
		err = c.Remove(ctx, outKeys)
	}
	return t, sample.cpu(), err
}

// jobRun is a map by a client of its own.
type jobRun struct{ Conf, In, Out, Command string }

// jobTimes are the seconds that a job took until all servers were ready, from the end of
// the last task on, and in all.
type jobTimes struct{ SetUp, Commit, All float64 }

// run is the hidden subcommand: it prints the job's times.
func (r jobRun) run(ctx context.Context) error {
	c, err := s4.Open(r.Conf)
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	var ready, last time.Duration // Progress is called by one goroutine at a time
	progress := func(s4.JobProgress) {
		last = time.Since(start)
		if ready == 0 {
			ready = last
		}
	}
	in, out := strings.TrimSuffix(r.In, "/"), strings.TrimSuffix(r.Out, "/")
	if _, err := c.Map(ctx, in, out, r.Command, &s4.JobOptions{Progress: progress}); err != nil {
		return err
	}
	all := time.Since(start)
	return json.NewEncoder(os.Stdout).Encode(jobTimes{SetUp: ready.Seconds(), Commit: (all - last).Seconds(), All: all.Seconds()})
}
