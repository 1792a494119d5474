package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// How many servers scaling goes up to.
const (
	mostServers     = 8
	mostServersFull = 16
)

func (o Options) most() int {
	switch {
	case o.Most > 0:
		return o.Most
	case o.Full:
		return mostServersFull
	}
	return mostServers
}

// scalingWorkload is how s4 goes with what is varied: keys, their size, servers
// and clients.
func scalingWorkload(o Options) Workload {
	const keySize, clientSize = 100, 1 << 20
	keys := []int{100, 1000, 10_000, 100_000}
	servers := []int{1, 2, 3, 4, 8, 16, 32, 64}
	sizes := []int64{1, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20, o.Size}
	clients := []int{1, 2, 4, 8, 16, 32, 64}
	if o.Full {
		keys = append(keys, 1_000_000)
		sizes = append(sizes, 4*o.Size)
	}
	servers = slices.DeleteFunc(servers, func(n int) bool { return n > o.most() })
	for i, n := range keys {
		keys[i] = o.count(n)
	}
	keys = slices.Compact(keys)
	sizes = slices.DeleteFunc(sizes, func(n int64) bool { return n > o.Size && !(o.Full && n == 4*o.Size) })
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	puts := o.count(256)
	small := o.count(5000)
	return Workload{
		Name:  "scaling",
		Title: "curves over keys, their size, servers and clients",
		Apart: true,
		Curves: []Curve{{
			Name:    "number of keys",
			Room:    3 * treeRoom(slices.Max(keys), keySize),
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleKeys(ctx, e, keys, keySize) },
		}, {
			Name:    "size of a key",
			Room:    2*slices.Max(sizes) + 3*sizeBudget,
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleSizes(ctx, e, sizes) },
		}, {
			Name: "servers",
			Room: 3 * treeRoom(small, 4<<10),
			Measure: func(ctx context.Context, e *Env) ([]Series, error) {
				return scaleServers(ctx, e, servers, small, 4<<10)
			},
		}, {
			Name:    "servers, each behind a slow link",
			Room:    5*int64(linkTotal(o)) + treeRoom(2*o.inputs()*shuffleBuckets, 1),
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleLinks(ctx, e, servers) },
		}, {
			Name: "clients",
			Room: int64(1+clientKeys+puts) * treeRoom(1, clientSize),
			Measure: func(ctx context.Context, e *Env) ([]Series, error) {
				return scaleClients(ctx, e, clients, puts, clientSize)
			},
		}},
	}
}

// curves collects series that share what is varied.
type curves struct {
	list []Series
}

func newCurves(xLabel, yLabel, note string, names ...string) *curves {
	c := new(curves)
	for _, name := range names {
		c.list = append(c.list, Series{Name: name, XLabel: xLabel, YLabel: yLabel, XLog: true, Note: note})
	}
	return c
}

// add adds a point to each series: values has what was measured of each, by
// round.
func (c *curves) add(x float64, values [][]float64) {
	for i := range c.list {
		c.list[i].Points = append(c.list[i].Points, newPoint(x, values[i]))
	}
}

// rounds runs a function for a warm-up and each round, and returns what it
// returned in the latter, by its place.
func (e *Env) rounds(f func() ([]float64, error)) ([][]float64, error) {
	var values [][]float64
	for round := -1; round < e.Options.rounds(0); round++ {
		list, err := f()
		if err != nil {
			return nil, err
		}
		if values == nil {
			values = make([][]float64, len(list))
		}
		for i, v := range list {
			if round >= 0 {
				values[i] = append(values[i], v)
			}
		}
	}
	return values, nil
}

// step is one run of s4 that is timed alone. What is in dirs after it must be want.
type step struct {
	args  []string
	want  TreeSum
	dirs  []string
	check func(stdout []byte) error // or nil
}

// steps runs and checks each, and returns how many seconds it took.
func (c *Cluster) steps(ctx context.Context, list ...step) ([]float64, error) {
	var seconds []float64
	for _, s := range list {
		wall, stdout, err := c.s4(ctx, s.args...)
		if err == nil {
			err = checkTree(ctx, s.want, s.dirs...)
		}
		if err == nil && s.check != nil {
			err = s.check(stdout)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.args[0], err)
		}
		seconds = append(seconds, wall)
	}
	return seconds, nil
}

// treeSteps puts, lists, gets and removes a tree, checks each, and returns the
// seconds of each.
func (e *Env) treeSteps(ctx context.Context, c *Cluster, t *Tree) ([]float64, error) {
	const prefix = "s4://bench/scale/"
	out := filepath.Join(e.RowDir, "scale-out")
	seconds, err := c.steps(ctx,
		step{args: []string{"cp", "-q", "-r", t.Dir, prefix}, want: t.TreeSum, dirs: c.Dirs(prefix)},
		step{args: []string{"ls", "-r", prefix}, check: func(names []byte) error { return checkListing(names, 3, "scale/", t.TreeSum) }},
		step{args: []string{"cp", "-q", "-r", prefix, out}, want: t.TreeSum, dirs: []string{out}},
		step{args: []string{"rm", "-q", "-r", prefix}, dirs: c.Dirs(prefix)},
	)
	return seconds, errors.Join(err, os.RemoveAll(out))
}

func scaleKeys(ctx context.Context, e *Env, numbers []int, size int) ([]Series, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("Keys of %d B on %d servers, with the start of the command.", size, e.Servers)
	s := newCurves("keys", "µs per key", note,
		"cp -r in, by keys", "ls -r, by keys", "cp -r out, by keys", "rm -r, by keys")
	for _, n := range numbers {
		t, err := e.Tree(ctx, n, size)
		if err != nil {
			return nil, err
		}
		values, err := e.rounds(func() ([]float64, error) {
			list, err := e.treeSteps(ctx, c, t)
			for i := range list {
				list[i] *= 1e6 / float64(n)
			}
			return list, err
		})
		if err := errors.Join(err, e.dropTree(t)); err != nil {
			return nil, fmt.Errorf("%d keys: %w", n, err)
		}
		s.add(float64(n), values)
	}
	return s.list, nil
}

// sizeBudget is about how many bytes a round of each size moves, so that small
// keys are many.
const sizeBudget = 64 << 20

func scaleSizes(ctx context.Context, e *Env, sizes []int64) ([]Series, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	const note = "One client that does one after the other, without its start: from a file, and to nowhere."
	times := newCurves("bytes of a key", "ms", note, "put of a key, by size", "get of a key, by size")
	speeds := newCurves("bytes of a key", "MB/s", note, "throughput of puts, by size", "throughput of gets, by size")
	for _, size := range sizes {
		n := int(min(max(1, sizeBudget/size), int64(e.count(1000))))
		seconds, err := e.loadSteps(ctx, c, n, size)
		if err != nil {
			return nil, fmt.Errorf("keys of %d bytes: %w", size, err)
		}
		times.add(float64(size), each(seconds, func(s float64) float64 { return 1e3 * s / float64(n) }))
		speeds.add(float64(size), each(seconds, func(s float64) float64 { return float64(size) * float64(n) / 1e6 / s }))
	}
	return append(times.list, speeds.list...), nil
}

// each returns what f makes of each value.
func each(values [][]float64, f func(float64) float64) [][]float64 {
	made := make([][]float64, len(values))
	for i, list := range values {
		for _, v := range list {
			made[i] = append(made[i], f(v))
		}
	}
	return made
}

// loadSteps puts n keys and gets them by one client, and returns the seconds of
// each round, of puts and then of gets.
func (e *Env) loadSteps(ctx context.Context, c *Cluster, n int, size int64) (_ [][]float64, err error) {
	src, err := makeSource(ctx, filepath.Join(e.RowDir, "scale-source"), size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(src.Path)) }()
	const prefix = "s4://bench/scale/"
	puts := load{conf: c.Conf, clients: 1, puts: n, file: src.Path, to: prefix, keys: 1}
	gets := load{conf: c.Conf, clients: 1, gets: n, from: prefix, keys: n, sum: src.Hash}
	return e.rounds(func() ([]float64, error) {
		put, err := e.load(ctx, puts)
		if err == nil {
			err = checkTree(ctx, loadSum(n, src.Sum), c.Dirs(prefix)...)
		}
		if err != nil {
			return nil, err
		}
		get, err := e.load(ctx, gets)
		return []float64{put, get}, errors.Join(err, c.Remove(ctx, prefix))
	})
}

func scaleServers(ctx context.Context, e *Env, numbers []int, keys, size int) ([]Series, error) {
	t, err := e.Tree(ctx, keys, size)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%s keys of %s. All servers share this host's CPUs and loopback: more servers add work and no power.",
		countText(keys), sizeText(int64(size)))
	s := newCurves("servers", "keys/s", note,
		"cp -r in, by servers", "ls -r, by servers", "cp -r out, by servers", "rm -r, by servers")
	for _, n := range numbers {
		if err := e.withCluster(ctx, n, func(c *Cluster) error {
			values, err := e.rounds(func() ([]float64, error) {
				list, err := e.treeSteps(ctx, c, t)
				for i := range list {
					list[i] = float64(keys) / list[i]
				}
				return list, err
			})
			if err == nil {
				s.add(float64(n), values)
			}
			return err
		}); err != nil {
			return nil, fmt.Errorf("%d servers: %w", n, err)
		}
	}
	return s.list, e.dropTree(t)
}

// withCluster calls f with a cluster of n servers that ends with it.
func (e *Env) withCluster(ctx context.Context, n int, f func(*Cluster) error) error {
	c, err := e.StartCluster(ctx, n)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Close())
}

func scaleClients(ctx context.Context, e *Env, numbers []int, puts int, size int64) ([]Series, error) {
	side, err := prepareClients(ctx, e, puts, size)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d puts and as many gets of %s by turns, on %d servers, all clients in one process.", puts, sizeText(size), e.Servers)
	speed := newCurves("clients", "MB/s", note, "throughput, by clients")
	memory := newCurves("clients", "MiB", note, "memory of the largest server, by clients")
	for _, n := range numbers {
		s := side(n)
		values, err := e.rounds(func() ([]float64, error) {
			sample, err := e.once(ctx, &s)
			return []float64{sample.speed() / 1e6, float64(sample.serverPeak()) / (1 << 20)}, err
		})
		if err != nil {
			return nil, fmt.Errorf("%d clients: %w", n, err)
		}
		speed.add(float64(n), values[:1])
		memory.add(float64(n), values[1:])
	}
	return append(speed.list, memory.list...), nil
}
