package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// onlyCPU tells the CPU time of both sides. Servers run more commands at once
// than there are CPUs, and on a machine that others use they get a larger share
// of it than a local loop does, and less time.
var onlyCPU = Target{Metric: CPU}

// cores is how many commands a local loop runs at once: as many as there are
// CPUs, on which s4 runs, too.
func cores() string { return strconv.Itoa(runtime.NumCPU()) }

// mapWorkload is a command for each of many small keys.
func mapWorkload(o Options) Workload {
	keys := o.count(2000)
	const size = 4 << 10
	const tee = `tee 0 1 2 3 > 4; printf '%s\n' 0 1 2 3 4`
	row := func(name, verb, work, yardstick, command, script string, times int64, most float64) Row {
		return Row{
			Name:      name,
			Work:      fmt.Sprintf(work, countText(keys), sizeText(size)),
			Yardstick: fmt.Sprintf(yardstick, cores()),
			Targets:   []Target{AtMost(most, Time), onlyCPU},
			// The files, their keys, and five more, once staged.
			Needs: Needs{Tree: randomFiles(keys, size), Put: true, Copies: 8},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				return e.compareLoop(ctx, e.Cluster.Command(verb, inKeys, outKeys, command), "xargs", e.localLoop(script), 0, times)
			},
		}
	}
	return Workload{
		Name:  "map",
		Title: "a command for each of many keys, with one output and with five",
		Rows: []Row{
			row("map", "map", "map cat over %s x %s", "ls | xargs -P%s bash -c 'cat < in/{} > out/{}'",
				"cat", `cat < {in} > {out}`, 1, 0.6),
			row("map-pipe", "map", "map tr | sort over %s x %s", "ls | xargs -P%s bash -c 'tr a-z A-Z < in/{} | sort > out/{}'",
				"tr a-z A-Z | sort", `export LC_ALL=C; tr a-z A-Z < {in} | sort > {out}`, 0, 0.75),
			row("map-script", "map", "map cksum in a script over %s x %s", "ls | xargs -P%s bash -c 'sum=$(cksum < in/{}); echo ${sum%% *} > out/{}'",
				`sum=$(cksum); echo ${sum% *}`, `sum=$(cksum < {in}); echo ${sum% *} > {out}`, 0, 1),
			row("map-to-n", "map-to-n", "map-to-n of %s x %s to five files each", "ls | xargs -P%s bash -c 'mkdir out/{}; cd out/{}; tee 0 1 2 3 > 4 < in/{}'",
				tee, toN(tee), 5, 1),
		},
	}
}

const (
	shuffleInputs  = 64 // with the scale 1 or more
	shuffleBuckets = 64
	shuffleTotal   = 512 << 20
	shuffleCopies  = 5 // the inputs, their keys, and an output at a time, staged by s4
)

// inputs is how many inputs a shuffle has.
func (o Options) inputs() int { return min(shuffleInputs, max(4, o.count(shuffleInputs))) }

// input returns the bytes of each input of a shuffle of about total bytes: a multiple
// of 1 KiB.
func (o Options) input(total int) int {
	return max(1, o.count(total)/(o.inputs()<<10)) << 10
}

// shuffleWorkload is a whole shuffle.
func shuffleWorkload(o Options) Workload {
	size := o.input(shuffleTotal)
	return Workload{
		Name:  "shuffle",
		Title: "CSV to buckets by a field, on all servers",
		Rows: []Row{{
			Name:      "shuffle",
			Work:      fmt.Sprintf("map-to-n of %d x %s of CSV to %d buckets", o.inputs(), sizeText(int64(size)), shuffleBuckets),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 's4 partition' into directories", cores()),
			Targets:   []Target{{Metric: Throughput}, onlyCPU},
			Needs:     Needs{Tree: csvFiles(o.inputs(), size), Put: true, Copies: shuffleCopies},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				s4 := e.Cluster.Command("map-to-n", inKeys, outKeys, partition("s4"))
				return e.compareLoop(ctx, s4, "xargs", e.localLoop(toN(partition(quote(e.S4)))), e.Tree.Bytes, 1)
			},
		}},
	}
}

// mergeWorkload is the n:1 verb over buckets as a shuffle makes them.
func mergeWorkload(o Options) Workload {
	size := o.input(shuffleTotal)
	buckets := csvFiles(o.inputs()*shuffleBuckets, max(1, size/shuffleBuckets))
	buckets.file = func(i int) string { return fmt.Sprintf("in%03d/%03d", i/shuffleBuckets, i%shuffleBuckets) }
	return Workload{
		Name:  "merge",
		Title: "the buckets of a shuffle to one key each",
		Rows: []Row{{
			Name:      "merge",
			Work:      fmt.Sprintf("map-from-n xargs cat of %d x %d keys, %s in all", o.inputs(), shuffleBuckets, sizeText(int64(o.inputs()*size))),
			Yardstick: fmt.Sprintf("find | sort -u | xargs -P%s bash -c 'cat in/*/{} > out/{}'", cores()),
			Targets:   []Target{{Metric: Throughput}, onlyCPU},
			Needs:     Needs{Tree: buckets, Put: true, Copies: shuffleCopies},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				s4 := e.Cluster.Command("map-from-n", inKeys, outKeys, "xargs cat")
				loop := Script(`find "$1" -type f -printf '%f\n' | sort -u | xargs -P"$2" -I{} bash -c "set -euo pipefail; cat $1/*/{} > $3/{}"`,
					e.Tree.Dir, cores(), e.localOut())
				return e.compareLoop(ctx, s4, "xargs", loop, e.Tree.Bytes, 1)
			},
		}},
	}
}

// partition is the command of a shuffle; program is one word of a shell.
func partition(program string) string {
	return fmt.Sprintf("%s partition -n %d -d, -k1", program, shuffleBuckets)
}

// csvFiles are files of about size bytes each.
func csvFiles(files, size int) treeSpec {
	return treeSpec{
		name:  fmt.Sprintf("csv-%dx%d", files, size),
		files: files,
		size:  size,
		file:  func(i int) string { return fmt.Sprintf("in%03d", i) },
		write: func(w io.Writer, i int) error {
			random := rand.New(rand.NewPCG(0x637376, uint64(i))) // "csv"
			var line []byte
			for n := 0; n < size; n += len(line) {
				line = appendRecord(line[:0], random)
				if _, err := w.Write(line); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// appendRecord appends a line of a key, one of a million, and some fields: about
// 50 bytes.
func appendRecord(b []byte, random *rand.Rand) []byte {
	b = strconv.AppendUint(append(b, "user"...), random.Uint64N(1e6), 10)
	b = strconv.AppendUint(append(b, ','), random.Uint64N(1e10), 10)
	b = strconv.AppendUint(append(b, ",item"...), random.Uint64(), 36)
	b = strconv.AppendUint(append(b, ','), random.Uint64N(1e8), 10)
	return append(b, '\n')
}

// localOut is the directory in which a local loop makes its results.
func (e *Env) localOut() string { return filepath.Join(e.RowDir, "out") }

// localLoop runs a script for each file of the tree, with as many at once as there
// are CPUs. {in} and {out} are paths that need no quotes.
func (e *Env) localLoop(script string) Command {
	script = strings.NewReplacer("{in}", e.Tree.Dir+"/{}", "{out}", e.localOut()+"/{}").Replace(script)
	return Script(`ls "$1" | xargs -P"$2" -I{} bash -c "$3"`, e.Tree.Dir, cores(), "set -euo pipefail; "+script)
}

// toN is a local loop's script that does for a file what map-to-n does for a key.
func toN(command string) string {
	return `mkdir {out}; cd {out}; exec < {in} > /dev/null; ` + command
}

// compareLoop compares two commands that make the same of the tree: s4's in keys below
// outKeys, and the yardstick's in localOut. bytes is what they move, and times is as of
// made.
func (e *Env) compareLoop(ctx context.Context, s4 Command, name string, loop Command, bytes, times int64) (*Comparison, error) {
	want, err := e.made(ctx, loop, times)
	if err != nil {
		return nil, err
	}
	side := Side{Name: "s4", Servers: e.Cluster.Pids, Command: s4, Out: outKeys, Want: want, Bytes: bytes, Keys: e.Tree.Files}
	side.Clean = func(ctx context.Context) error { return e.Cluster.Remove(ctx, tmpKeys) }
	yardstick := Side{Name: name, Command: loop, Out: e.localOut(), Want: want, Bytes: bytes, Keys: e.Tree.Files, Clean: e.cleanLocal}
	return &Comparison{S4: side, Yardstick: yardstick}, nil
}

// made returns what a local loop makes of the tree: so many times its bytes, or
// anything for 0. Whoever else does the same must make that.
func (e *Env) made(ctx context.Context, loop Command, times int64) (TreeSum, error) {
	if err := e.cleanLocal(ctx); err != nil {
		return TreeSum{}, err
	}
	if _, _, err := e.run(ctx, loop); err != nil {
		return TreeSum{}, err
	}
	sum, err := sumTree(ctx, e.localOut())
	if err == nil && (sum.Bytes == 0 || times > 0 && sum.Bytes != times*e.Tree.Bytes) {
		err = fmt.Errorf("%s made %d bytes of %d", loop.brief(), sum.Bytes, e.Tree.Bytes)
	}
	return sum, errors.Join(err, os.RemoveAll(e.localOut()))
}

// cleanLocal makes ready for a local loop.
func (e *Env) cleanLocal(context.Context) error {
	return errors.Join(emptyDir(filepath.Join(e.RowDir, "tmp")), emptyDir(e.localOut()))
}
