package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	manyClients = 64
	// someClients is near where throughput is best, on few cores and on many.
	someClients = 8
	// serverMemory is the most that a server may take with manyClients.
	serverMemory = 150 << 20
	// clientKeys is how many keys there are to get.
	clientKeys = 64
)

// clientsWorkload is many clients at once.
func clientsWorkload(o Options) Workload {
	const size = 1 << 20
	puts := o.count(512)
	row := func(few int, targets ...Target) Row {
		than := "one client"
		if few > 1 {
			than = fmt.Sprintf("%d clients", few)
		}
		return Row{
			Name:      fmt.Sprintf("clients-%d", few),
			Work:      fmt.Sprintf("%d puts and gets of %s by %d clients beside %s", puts, sizeText(size), manyClients, than),
			Yardstick: "the same by s4 with " + than,
			Targets:   targets,
			Room:      func(Options) int64 { return int64(1+clientKeys+puts) * treeRoom(1, size) },
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				return startClients(ctx, e, puts, size, manyClients, few)
			},
		}
	}
	return Workload{
		Name:  "clients",
		Title: "many clients at once, some putting and some getting",
		Rows: []Row{
			row(1, AtLeast(0.9, Throughput), NoMore(serverMemory, ServerPeak)),
			row(someClients, AtLeast(0.9, Throughput)),
		},
	}
}

// startClients makes sides of s4 alone that do the same with each number of
// clients.
func startClients(ctx context.Context, e *Env, puts int, size int64, numbers ...int) ([]Side, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	src, err := makeSource(ctx, filepath.Join(e.Dir, "client-source"), size)
	if err != nil {
		return nil, err
	}
	const from, to = "s4://bench/from/", "s4://bench/to/"
	var sides []Side
	for _, n := range numbers {
		l := load{conf: c.Conf, clients: n, puts: puts, gets: puts, file: src.Path, to: to, from: from, keys: clientKeys, sum: src.Hash}
		sides = append(sides, Side{
			Name:    fmt.Sprintf("s4, %d clients", n),
			Servers: c.Pids,
			Command: Command{Args: append([]string{e.self}, l.args()...)},
			Bytes:   2 * int64(puts) * size,
			Keys:    2 * int64(puts),
			// What was got, the clients compare.
			Check: func(ctx context.Context, _ []byte) error {
				return checkTree(ctx, loadSum(puts, src.Sum), c.Dirs(to)...)
			},
			Clean: func(ctx context.Context) error { return c.Remove(ctx, to, true) },
		})
	}
	sides[0].Name = "s4"
	sides[0].Close = func() error {
		return errors.Join(os.Remove(src.Path), c.Remove(context.WithoutCancel(ctx), from, true))
	}
	return sides, e.putLoadKeys(ctx, c, clientKeys, src, from)
}
