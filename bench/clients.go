package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nathants/s4"
)

const (
	manyClients = 64
	// someClients is near where throughput is best, on few cores and on many.
	someClients = 8
	// serverMemory is the most that a server may take with manyClients.
	serverMemory = 150 << 20
	// clientKeys is how many keys there are to get.
	clientKeys = 64
	// clientSize is the bytes of each key.
	clientSize = 1 << 20
)

// clientsWorkload is many clients at once.
func clientsWorkload(o Options) Workload {
	puts := o.count(512)
	row := func(few int, than string, targets ...Target) Row {
		return Row{
			Name:      fmt.Sprintf("clients-%d", few),
			Work:      fmt.Sprintf("%d puts and gets of %s by %d clients beside %s", puts, sizeText(clientSize), manyClients, than),
			Yardstick: "the same by s4 with " + than,
			Targets:   append([]Target{AtLeast(0.9, Throughput)}, targets...),
			Needs:     clientsNeeds(puts),
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				l, err := e.prepareClients(ctx, puts)
				cmp := &Comparison{S4: e.clientsSide(l, manyClients), Yardstick: e.clientsSide(l, few)}
				cmp.S4.Name = "s4"
				return cmp, err
			},
		}
	}
	return Workload{
		Name:  "clients",
		Title: "many clients at once, some putting and some getting",
		Rows: []Row{
			row(1, "one client", Target{Metric: ServerPeak, Kind: OfS4, Max: serverMemory}),
			row(someClients, fmt.Sprintf("%d clients", someClients)),
		},
	}
}

func clientsNeeds(puts int) Needs { return Needs{Room: treeRoom(1+clientKeys+puts, clientSize)} }

// prepareClients puts what there is to get, and returns what all clients together
// do: so many puts, and as many gets.
func (e *Env) prepareClients(ctx context.Context, puts int) (load, error) {
	src, err := makeSource(filepath.Join(e.RowDir, "client-source"), clientSize)
	if err != nil {
		return load{}, err
	}
	l := load{Conf: e.Cluster.Conf, Clients: 1, Puts: clientKeys, File: src.Path, To: inKeys, Sum: src.Sum}
	if _, err := e.load(ctx, l); err != nil {
		return load{}, fmt.Errorf("put what is to be got: %w", err)
	}
	err = checkTree(ctx, loadSum(clientKeys, src.Sum), e.Cluster.Dirs(inKeys)...)
	l.Puts, l.Gets, l.To, l.From, l.Keys = puts, puts, outKeys, inKeys, clientKeys
	return l, err
}

// clientsSide is a load by so many clients. What was got, they compare.
func (e *Env) clientsSide(l load, clients int) Side {
	l.Clients = clients
	return Side{
		Name: fmt.Sprintf("s4, %d clients", clients), Servers: e.Cluster.Pids,
		Command: Command{Args: e.itself(loadName, l)}, Out: l.To, Want: loadSum(l.Puts, l.Sum),
		Bytes: int64(l.Puts+l.Gets) * l.Sum.Size, Keys: int64(l.Puts + l.Gets),
	}
}

// load is many clients in one process, each with connections of its own: what
// they do is measured, and not how 64 processes start on a few cores. By turns
// they put a file as a new key and get one of the keys that are there.
type load struct {
	Conf    string
	Clients int
	Puts    int    // how many, of all clients together
	Gets    int    // the same
	File    string // what is put
	To      string // prefix of the keys put, which are numbers from 0
	From    string // prefix of the keys got, the same
	Keys    int    // how many there are to get
	Sum     Sum    // what each must be
}

// loadKey is the i-th key below a prefix. It is placed by its number, so that
// all servers have the same share.
func loadKey(prefix string, i int) string { return fmt.Sprintf("%s%06d", prefix, i) }

// run is the hidden subcommand: it does all and prints how many seconds that took,
// without the start of the process. The first error ends it.
func (l load) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	start := time.Now()
	for range l.Clients {
		c, err := s4.Open(l.Conf)
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= l.Puts+l.Gets {
					return
				}
				if err := l.one(ctx, c, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	seconds := time.Since(start).Seconds()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return json.NewEncoder(os.Stdout).Encode(seconds)
}

// one does the i-th of all operations.
func (l load) one(ctx context.Context, c *s4.Client, i int) error {
	put, n := l.operation(i)
	if put {
		return c.PutFile(ctx, l.File, loadKey(l.To, n))
	}
	o, err := c.Get(ctx, loadKey(l.From, n%l.Keys), io.Discard)
	if err != nil {
		return err
	}
	return compareSums(o.XXH64, l.Sum.Hash)
}

// operation returns what the i-th of all operations is: the n-th put, or the
// n-th get. They are by turns while there are both.
func (l load) operation(i int) (put bool, n int) {
	both := min(l.Puts, l.Gets)
	if i < 2*both {
		return i%2 == 0, i / 2
	}
	return l.Puts > l.Gets, i - both
}

// loadSum is what n keys are that were put from the same source.
func loadSum(n int, content Sum) (sum TreeSum) {
	for i := range n {
		sum.add(loadKey("", i), content)
	}
	return sum
}

// load runs the subcommand and returns the seconds that it tells.
func (e *Env) load(ctx context.Context, l load) (seconds float64, err error) {
	_, out, err := e.run(ctx, Command{Args: e.itself(loadName, l)})
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(out, &seconds)
	return seconds, err
}
