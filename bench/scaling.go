package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// linkRate is what each server's link carries each way.
	linkRate = 200e6 // bits per second
	// linkBytes is what a round moves over links that slow.
	linkBytes = 64 << 20
	// sizeBudget is about how many bytes a round of each size moves, so that small
	// keys are many.
	sizeBudget = 64 << 20
)

// scalingWorkload is how s4 goes with what is varied: keys, their size, servers
// and clients.
func scalingWorkload(o Options) Workload {
	const keySize, smallSize = 100, 4 << 10
	keys := []int{100, 1000, 10_000, 100_000}
	servers := []int{1, 2, 3, 4, 8}
	sizes := []int{1, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20}
	sizes = append(slices.DeleteFunc(sizes, func(n int) bool { return int64(n) >= o.Size }), int(o.Size))
	if o.Full {
		keys = append(keys, 1_000_000)
		servers = append(servers, 16)
		sizes = append(sizes, 4*int(o.Size))
	}
	for i, n := range keys {
		keys[i] = o.count(n)
	}
	keys = slices.Compact(keys)
	puts, small, linked := o.count(256), o.count(5000), csvFiles(o.inputs(), o.input(linkBytes))
	return Workload{
		Name:  "scaling",
		Title: "curves over keys, their size, servers and clients",
		Apart: true,
		Curves: []Curve{{
			Name:   "number of keys",
			XLabel: "keys",
			Note:   fmt.Sprintf("Keys of %d B on %d servers, with the start of the command.", keySize, o.Servers),
			Xs:     keys,
			Needs:  func(x int) Needs { return Needs{Tree: randomFiles(x, keySize), Copies: 3} },
			Start: func(ctx context.Context, e *Env, x int) (roundFunc, error) {
				return e.treeSteps(ctx, "keys", "µs per key", func(s float64) float64 { return s * 1e6 / float64(x) }), nil
			},
		}, {
			Name:   "size of a key",
			XLabel: "bytes of a key",
			Note:   "One client that does one after the other, without its start: from a file, and to nowhere.",
			Xs:     sizes,
			Needs:  func(x int) Needs { return Needs{Room: 2*int64(x) + 3*sizeBudget} },
			Start:  scaleSizes,
		}, {
			Name:   "servers",
			XLabel: "servers",
			Note: fmt.Sprintf("%s keys of %s. All servers share this host's CPUs and loopback: more servers add work and no power.",
				countText(small), sizeText(smallSize)),
			Xs:    servers,
			Needs: func(x int) Needs { return Needs{Tree: randomFiles(small, smallSize), Copies: 3, Servers: x} },
			Start: func(ctx context.Context, e *Env, _ int) (roundFunc, error) {
				return e.treeSteps(ctx, "servers", "keys/s", func(s float64) float64 { return float64(small) / s }), nil
			},
		}, {
			Name:   "servers, each behind a slow link",
			XLabel: "servers",
			Note: fmt.Sprintf("%d files of %s. Each server is in a network namespace, its link limited to %.0f MB/s each way; the client's is not.",
				linked.files, sizeText(int64(o.input(linkBytes))), linkRate/8e6),
			Xs:       servers,
			Possible: linksHere,
			Needs:    func(x int) Needs { return Needs{Tree: linked, Copies: shuffleCopies, Servers: x, Link: linkRate} },
			Start:    scaleLinks,
		}, serversCurve(o), {
			Name:   "clients",
			XLabel: "clients",
			Note: fmt.Sprintf("%d puts and as many gets of %s by turns, on %d servers, all clients in one process.",
				puts, sizeText(clientSize), o.Servers),
			Xs:    []int{1, 2, 4, 8, 16, 32, 64},
			Needs: func(int) Needs { return clientsNeeds(puts) },
			Start: func(ctx context.Context, e *Env, x int) (roundFunc, error) {
				l, err := e.prepareClients(ctx, puts)
				side := e.clientsSide(l, x)
				return func() ([]Measured, error) {
					s, err := e.once(ctx, &side)
					return []Measured{
						{"throughput, by clients", "MB/s", s.speed() / 1e6},
						{"memory of the largest server, by clients", "MiB", float64(s.serverPeak()) / (1 << 20)},
					}, err
				}, err
			},
		}},
	}
}

// step is one run of s4 that is timed alone. What is in dirs after it must be want.
type step struct {
	name  string
	args  []string
	want  TreeSum
	dirs  []string
	check func(stdout []byte) error // or nil
}

// steps runs and checks each, and returns what value makes of the seconds it took.
func (e *Env) steps(ctx context.Context, by, unit string, value func(seconds float64) float64, list ...step) ([]Measured, error) {
	var measured []Measured
	for _, s := range list {
		seconds, stdout, err := e.Cluster.s4(ctx, s.args...)
		if err == nil {
			err = checkTree(ctx, s.want, s.dirs...)
		}
		if err == nil && s.check != nil {
			err = s.check(stdout)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		measured = append(measured, Measured{s.name + ", by " + by, unit, value(seconds)})
	}
	return measured, nil
}

// treeSteps puts, lists, gets and removes the tree.
func (e *Env) treeSteps(ctx context.Context, by, unit string, value func(seconds float64) float64) roundFunc {
	t, dirs, out := e.Tree, e.Cluster.Dirs(inKeys), filepath.Join(e.RowDir, "scale-out")
	return func() ([]Measured, error) {
		list, err := e.steps(ctx, by, unit, value,
			step{name: "cp -r in", args: []string{"cp", "-q", "-r", t.Dir, inKeys}, want: t.TreeSum, dirs: dirs},
			step{name: "ls -r", args: []string{"ls", "-r", inKeys}, check: func(names []byte) error { return checkListing(names, 3, "in/", t.TreeSum) }},
			step{name: "cp -r out", args: []string{"cp", "-q", "-r", inKeys, out}, want: t.TreeSum, dirs: []string{out}},
			step{name: "rm -r", args: []string{"rm", "-q", "-r", inKeys}, dirs: dirs},
		)
		return list, errors.Join(err, os.RemoveAll(out))
	}
}

// scaleLinks moves files in and out, and shuffles them, with servers behind
// links that are slower than anything else.
func scaleLinks(ctx context.Context, e *Env, _ int) (roundFunc, error) {
	shuffled, err := e.made(ctx, e.localLoop(toN(partition(quote(e.S4)))), 1)
	t, c, out := e.Tree, e.Cluster, filepath.Join(e.RowDir, "scale-out")
	return func() ([]Measured, error) {
		list, err := e.steps(ctx, "servers with links", "MB/s", func(s float64) float64 { return float64(t.Bytes) / 1e6 / s },
			step{name: "cp -r in", args: []string{"cp", "-q", "-r", t.Dir, inKeys}, want: t.TreeSum, dirs: c.Dirs(inKeys)},
			step{name: "shuffle", args: []string{"map-to-n", "-q", inKeys, outKeys, partition("s4")}, want: shuffled, dirs: c.Dirs(outKeys)},
			step{name: "cp -r out", args: []string{"cp", "-q", "-r", inKeys, out}, want: t.TreeSum, dirs: []string{out}},
		)
		return list, errors.Join(err, os.RemoveAll(out), c.Remove(ctx, "s4://bench/"))
	}, err
}

// scaleSizes puts keys of a size and gets them by one client.
func scaleSizes(ctx context.Context, e *Env, size int) (roundFunc, error) {
	n := min(max(1, sizeBudget/size), e.count(1000))
	src, err := makeSource(filepath.Join(e.RowDir, "scale-source"), int64(size))
	if err != nil {
		return nil, err
	}
	puts := load{Conf: e.Cluster.Conf, Clients: 1, Puts: n, File: src.Path, To: inKeys}
	gets := load{Conf: e.Cluster.Conf, Clients: 1, Gets: n, From: inKeys, Keys: n, Sum: src.Sum}
	return func() ([]Measured, error) {
		put, err := e.load(ctx, puts)
		if err == nil {
			err = checkTree(ctx, loadSum(n, src.Sum), e.Cluster.Dirs(inKeys)...)
		}
		if err != nil {
			return nil, err
		}
		get, err := e.load(ctx, gets)
		ms := func(seconds float64) float64 { return 1e3 * seconds / float64(n) }
		speed := func(seconds float64) float64 { return float64(size*n) / 1e6 / seconds }
		return []Measured{
			{"put of a key, by size", "ms", ms(put)},
			{"get of a key, by size", "ms", ms(get)},
			{"throughput of puts, by size", "MB/s", speed(put)},
			{"throughput of gets, by size", "MB/s", speed(get)},
		}, errors.Join(err, e.Cluster.Remove(ctx, inKeys))
	}, nil
}
