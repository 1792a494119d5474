package bench

import (
	"context"
	"encoding/json"
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
	largest := slices.Max(sizes)
	puts := o.count(256)
	small := o.count(5000)
	return Workload{
		Name:  "scaling",
		Title: "curves over keys, their size, servers and clients",
		Apart: true,
		Curves: []Curve{{
			Name:    "number of keys",
			Room:    func(Options) int64 { return 3 * treeRoom(slices.Max(keys), keySize) },
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleKeys(ctx, e, keys, keySize) },
		}, {
			Name:    "size of a key",
			Room:    func(Options) int64 { return 2*largest + 3*sizeBudget },
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleSizes(ctx, e, sizes) },
		}, {
			Name: "servers",
			Room: func(Options) int64 { return 3 * treeRoom(small, 4<<10) },
			Measure: func(ctx context.Context, e *Env) ([]Series, error) {
				return scaleServers(ctx, e, servers, small, 4<<10)
			},
		}, {
			Name:    "servers, each behind a slow link",
			Room:    func(Options) int64 { return 5*int64(linkTotal(o)) + treeRoom(2*o.inputs()*shuffleBuckets, 1) },
			Measure: func(ctx context.Context, e *Env) ([]Series, error) { return scaleLinks(ctx, e, servers) },
		}, {
			Name: "clients",
			Room: func(Options) int64 { return int64(1+clientKeys+puts) * treeRoom(1, clientSize) },
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

// s4Command is s4 where it sees the cluster.
func (e *Env) s4Command(c *Cluster, args ...string) Command {
	return Command{Args: slices.Concat(c.enter, []string{e.S4}, args), Env: c.Env()}
}

// s4Wall runs s4 and returns how many seconds it took, and its output.
func (e *Env) s4Wall(ctx context.Context, c *Cluster, args ...string) (float64, []byte, error) {
	u, out, err := e.run(ctx, e.s4Command(c, args...))
	return u.Wall.Seconds(), out, err
}

// treeSteps puts, lists, gets and removes a tree, checks each, and returns the
// seconds of each.
func (e *Env) treeSteps(ctx context.Context, c *Cluster, t *Tree) ([]float64, error) {
	const prefix = "s4://bench/scale/"
	out := filepath.Join(e.Dir, "scale-out")
	put, _, err := e.s4Wall(ctx, c, "cp", "-q", "-r", t.Dir, prefix)
	if err == nil {
		err = checkTree(ctx, t.TreeSum, c.Dirs(prefix)...)
	}
	if err != nil {
		return nil, err
	}
	list, names, err := e.s4Wall(ctx, c, "ls", "-r", prefix)
	if err == nil {
		err = checkListing(names, 3, "scale/", t.TreeSum)
	}
	if err != nil {
		return nil, err
	}
	get, _, err := e.s4Wall(ctx, c, "cp", "-q", "-r", prefix, out)
	if err == nil {
		err = checkTree(ctx, t.TreeSum, out)
	}
	if err := errors.Join(err, os.RemoveAll(out)); err != nil {
		return nil, err
	}
	remove, _, err := e.s4Wall(ctx, c, "rm", "-q", "-r", prefix)
	if err == nil {
		err = checkTree(ctx, TreeSum{}, c.Dirs(prefix)...)
	}
	return []float64{put, list, get, remove}, err
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
		var mbs [2][]float64
		values, err := e.loadSteps(ctx, c, load{clients: 1}, n, size, func(seconds float64, i int) float64 {
			mbs[i] = append(mbs[i], float64(size)*float64(n)/1e6/seconds)
			return 1e3 * seconds / float64(n)
		})
		if err != nil {
			return nil, fmt.Errorf("keys of %d bytes: %w", size, err)
		}
		times.add(float64(size), values)
		speeds.add(float64(size), [][]float64{mbs[0][1:], mbs[1][1:]}) // without the warm-up
	}
	return append(times.list, speeds.list...), nil
}

// loadSteps puts n keys and gets them, by the rounds, and returns of each what
// value makes of its seconds; i is 0 for puts and 1 for gets.
func (e *Env) loadSteps(ctx context.Context, c *Cluster, l load, n int, size int64, value func(seconds float64, i int) float64) (_ [][]float64, err error) {
	src, err := makeSource(ctx, filepath.Join(e.Dir, "scale-source"), size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(src.Path)) }()
	const prefix = "s4://bench/scale/"
	l.conf, l.file, l.to, l.from, l.keys, l.sum = c.Conf, src.Path, prefix, prefix, n, src.Hash
	return e.rounds(func() ([]float64, error) {
		l.puts, l.gets = n, 0
		put, err := e.load(ctx, l)
		if err == nil {
			err = checkTree(ctx, loadSum(n, src.Sum), c.Dirs(prefix)...)
		}
		if err != nil {
			return nil, err
		}
		l.puts, l.gets = 0, n
		get, err := e.load(ctx, l)
		return []float64{value(put, 0), value(get, 1)}, errors.Join(err, c.Remove(ctx, prefix, true))
	})
}

// load runs the subcommand and returns the seconds that it tells.
func (e *Env) load(ctx context.Context, l load) (float64, error) {
	_, out, err := e.run(ctx, Command{Args: append([]string{e.self}, l.args()...)})
	if err != nil {
		return 0, err
	}
	var t loadTime
	err = json.Unmarshal(out, &t)
	return t.Seconds, err
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
	sides, err := startClients(ctx, e, puts, size, numbers...)
	defer func() {
		if len(sides) > 0 {
			err = errors.Join(err, sides[0].Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d puts and as many gets of %s by turns, on %d servers, all clients in one process.", puts, sizeText(size), e.Servers)
	speed := newCurves("clients", "MB/s", note, "throughput, by clients")
	memory := newCurves("clients", "MiB", note, "memory of the largest server, by clients")
	for i, n := range numbers {
		var peaks []float64
		values, err := e.rounds(func() ([]float64, error) {
			sample, err := e.once(ctx, &sides[i])
			peaks = append(peaks, float64(sample.serverPeak())/(1<<20))
			return []float64{sample.speed() / 1e6}, err
		})
		if err != nil {
			return nil, fmt.Errorf("%d clients: %w", n, err)
		}
		speed.add(float64(n), values)
		memory.add(float64(n), [][]float64{peaks[1:]}) // without the warm-up
	}
	return append(speed.list, memory.list...), nil
}
