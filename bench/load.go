package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

// loadName is the name of a hidden subcommand.
const loadName = "load"

// load is many clients in one process, each with connections of its own: what
// they do is measured, and not how 64 processes start on a few cores. By turns
// they put a file as a new key and get one of the keys that are there.
type load struct {
	conf    string
	clients int
	puts    int    // how many, of all clients together
	gets    int    // the same
	file    string // what is put
	to      string // prefix of the keys put, which are numbers from 0
	from    string // prefix of the keys got, the same
	keys    int    // how many there are to get
	sum     uint64 // xxh64 that each must have
}

// loadTime is what the subcommand prints: without the start of the process.
type loadTime struct {
	Seconds float64
}

func (l *load) command() *cobra.Command {
	cmd := &cobra.Command{Use: loadName, Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		seconds, err := l.run(cmd.Context())
		if err == nil {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(loadTime{seconds})
		}
		if err != nil {
			return failure{err}
		}
		return nil
	}}
	f := cmd.Flags()
	f.StringVar(&l.conf, "conf", "", "")
	f.IntVar(&l.clients, "clients", 1, "")
	f.IntVar(&l.puts, "puts", 0, "")
	f.IntVar(&l.gets, "gets", 0, "")
	f.StringVar(&l.file, "file", "", "")
	f.StringVar(&l.to, "to", "", "")
	f.StringVar(&l.from, "from", "", "")
	f.IntVar(&l.keys, "keys", 1, "")
	f.Uint64Var(&l.sum, "sum", 0, "")
	return cmd
}

// args returns the arguments of the subcommand, without the program.
func (l *load) args() []string {
	return []string{loadName, "--conf", l.conf, "--clients", strconv.Itoa(l.clients),
		"--puts", strconv.Itoa(l.puts), "--gets", strconv.Itoa(l.gets), "--file", l.file, "--to", l.to,
		"--from", l.from, "--keys", strconv.Itoa(l.keys), "--sum", strconv.FormatUint(l.sum, 10)}
}

// loadKey is the i-th key below a prefix. It is placed by its number, so that
// all servers have the same share.
func loadKey(prefix string, i int) string { return fmt.Sprintf("%s%06d", prefix, i) }

// run does all and returns how long it took. The first error ends it.
func (l *load) run(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	start := time.Now()
	for range l.clients {
		c, err := s4.Open(l.conf)
		if err != nil {
			return 0, err
		}
		wg.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= l.puts+l.gets {
					return
				}
				if err := l.one(ctx, c, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start).Seconds(), context.Cause(ctx)
}

// one does the i-th of all operations.
func (l *load) one(ctx context.Context, c *s4.Client, i int) error {
	put, n := l.operation(i)
	if put {
		return c.PutFile(ctx, l.file, loadKey(l.to, n))
	}
	o, err := c.Get(ctx, loadKey(l.from, n%l.keys), io.Discard)
	if err != nil {
		return err
	}
	return compareSums(o.XXH64, l.sum)
}

// operation returns what the i-th of all operations is: the n-th put, or the
// n-th get. They are by turns while there are both.
func (l *load) operation(i int) (put bool, n int) {
	both := min(l.puts, l.gets)
	if i < 2*both {
		return i%2 == 0, i / 2
	}
	return l.puts > l.gets, i - both
}

// loadSum is what n keys are that were put from the same source.
func loadSum(n int, content Sum) (sum TreeSum) {
	for i := range n {
		sum.add(loadKey("", i), content)
	}
	return sum
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
