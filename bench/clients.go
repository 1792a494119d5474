package bench

import (
	"context"
	"fmt"
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
			Room:      int64(1+clientKeys+puts) * treeRoom(1, size),
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				side, err := prepareClients(ctx, e, puts, size)
				if err != nil {
					return nil, err
				}
				cmp := &Comparison{S4: side(manyClients), Yardstick: side(few)}
				cmp.S4.Name = "s4"
				return cmp, nil
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

// prepareClients puts what there is to get, and returns what makes a side of so
// many clients: all do the same.
func prepareClients(ctx context.Context, e *Env, puts int, size int64) (func(clients int) Side, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	src, err := makeSource(ctx, filepath.Join(e.RowDir, "client-source"), size)
	if err != nil {
		return nil, err
	}
	const from, to = "s4://bench/from/", "s4://bench/to/"
	if _, err := e.load(ctx, load{conf: c.Conf, clients: 1, puts: clientKeys, file: src.Path, to: from, keys: 1}); err != nil {
		return nil, fmt.Errorf("put what is to be got: %w", err)
	}
	if err := checkTree(ctx, loadSum(clientKeys, src.Sum), c.Dirs(from)...); err != nil {
		return nil, err
	}
	return func(clients int) Side {
		l := load{conf: c.Conf, clients: clients, puts: puts, gets: puts, file: src.Path, to: to, from: from, keys: clientKeys, sum: src.Hash}
		// What was got, the clients compare.
		side := c.side(Command{Args: append([]string{e.self}, l.args()...)}, to, loadSum(puts, src.Sum))
		side.Name = fmt.Sprintf("s4, %d clients", clients)
		return side.moving(2*int64(puts)*size, 2*int64(puts))
	}, nil
}
