package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

const (
	shuffleInputs  = 64 // with the scale 1 or more
	shuffleBuckets = 64
	shuffleTotal   = 512 << 20
)

// shuffleWorkload is a whole shuffle and the merge after it.
func shuffleWorkload(o Options) Workload {
	total := shuffleSize(o)
	return Workload{
		Name:  "shuffle",
		Title: "CSV to buckets by a field, on all servers",
		Rows: []Row{{
			Name:      "shuffle",
			Work:      fmt.Sprintf("map-to-n of %d x %s of CSV to %d buckets", o.inputs(), sizeText(int64(total/o.inputs())), shuffleBuckets),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 's4 partition' into directories", cores()),
			Targets:   []Target{{Metric: Throughput}, onlyCPU},
			// The inputs twice, and an output at a time, staged by s4.
			Room:  5*int64(total) + treeRoom(2*o.inputs()*shuffleBuckets, 1),
			Start: func(ctx context.Context, e *Env) (*Comparison, error) { return startShuffle(ctx, e, total) },
		}},
	}
}

// inputs is how many inputs a shuffle has.
func (o Options) inputs() int { return min(shuffleInputs, max(4, o.count(shuffleInputs))) }

// shuffleSize is the bytes of all inputs: the same of each, a multiple of 1 KiB.
func shuffleSize(o Options) int {
	unit := o.inputs() << 10
	return max(unit, o.count(shuffleTotal)/unit*unit)
}

// mergeWorkload is the n:1 verb over what a shuffle makes.
func mergeWorkload(o Options) Workload {
	total := shuffleSize(o)
	return Workload{
		Name:  "merge",
		Title: "the buckets of a shuffle to one key each",
		Rows: []Row{{
			Name:      "merge",
			Work:      fmt.Sprintf("map-from-n xargs cat of %d x %d keys, %s in all", o.inputs(), shuffleBuckets, sizeText(int64(total))),
			Yardstick: fmt.Sprintf("find | sort -u | xargs -P%s bash -c 'cat in/*/{} > out/{}'", cores()),
			Targets:   []Target{{Metric: Throughput}, onlyCPU},
			Room:      5*int64(total) + treeRoom(2*o.inputs()*shuffleBuckets, 1),
			Start:     func(ctx context.Context, e *Env) (*Comparison, error) { return startMerge(ctx, e, total) },
		}},
	}
}

// csvTree returns the inputs of a shuffle, of about total bytes together.
func (e *Env) csvTree(ctx context.Context, total int) (*Tree, error) {
	dir := filepath.Join(e.Dir, "csv-"+strconv.Itoa(total))
	return e.makeTree(dir, func(t *Tree) error {
		random := rand.New(rand.NewChaCha8([32]byte{'c', 's', 'v'}))
		var buf []byte
		for i := range e.inputs() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			buf = buf[:0]
			for len(buf) < max(1, total/e.inputs()) {
				buf = appendRecord(buf, random)
			}
			name := fmt.Sprintf("in%03d", i)
			if err := os.WriteFile(filepath.Join(dir, name), buf, 0o600); err != nil {
				return err
			}
			t.add(name, Sum{int64(len(buf)), xxhash.Sum64(buf)})
		}
		return nil
	})
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

func startShuffle(ctx context.Context, e *Env, total int) (*Comparison, error) {
	t, err := e.csvTree(ctx, total)
	if err != nil {
		return nil, err
	}
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	const in, out = "s4://bench/in/", "s4://bench/shuffled/"
	if err := c.put(ctx, t.Dir, in, t.TreeSum); err != nil {
		return nil, err
	}
	// What both must make is what one made before, and that is looked at.
	local := filepath.Join(e.RowDir, "shuffled")
	want, err := e.shuffleHere(ctx, t, local)
	if err != nil {
		return nil, err
	}
	s4 := c.side(c.Command("map-to-n", in, out, partitionCommand("s4")), out, want)
	loop := localSide("xargs", e.shuffleLoop(t, local, partitionCommand(quote(e.S4))), local, want)
	loop.Clean = emptyDir(local)
	return &Comparison{S4: s4.moving(t.Bytes, t.Files), Yardstick: loop.moving(t.Bytes, t.Files)}, nil
}

// partitionCommand runs s4 partition; program is one word of a shell.
func partitionCommand(program string) string {
	return fmt.Sprintf("%s partition -n %d -d, -k1", program, shuffleBuckets)
}

// shuffleLoop runs a command as map-to-n does, for each file of a tree into a
// directory of out.
func (e *Env) shuffleLoop(t *Tree, out, command string) Command {
	return e.localLoop(t.Dir, out, `mkdir {out}; cd {out}; exec < {in} > /dev/null; `+command)
}

// shuffleHere shuffles a tree into a new directory, and returns the sum of it.
func (e *Env) shuffleHere(ctx context.Context, t *Tree, out string) (TreeSum, error) {
	sum, err := e.shuffleBy(ctx, t, out, partitionCommand(quote(e.S4)))
	if err != nil {
		return sum, err
	}
	return sum, checkBuckets(filepath.Join(out, "in000"))
}

// shuffleBy shuffles a tree into a new directory by a command, and returns the
// sum of it.
func (e *Env) shuffleBy(ctx context.Context, t *Tree, out, command string) (TreeSum, error) {
	if err := emptyDir(out)(ctx); err != nil {
		return TreeSum{}, err
	}
	if _, _, err := e.run(ctx, e.shuffleLoop(t, out, command)); err != nil {
		return TreeSum{}, err
	}
	sum, err := sumTree(ctx, out)
	if err == nil && sum.Bytes != t.Bytes {
		err = fmt.Errorf("%s made %d bytes of %d", command, sum.Bytes, t.Bytes)
	}
	return sum, err
}

// checkBuckets looks at each line of an input's buckets: it must be there by its
// key.
func checkBuckets(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		for s.Scan() {
			key, _, _ := bytes.Cut(s.Bytes(), []byte{','})
			if bucket := fmt.Sprintf("%03d", xxhash.Sum64(key)%shuffleBuckets); bucket != d.Name() {
				return fmt.Errorf("%s has a line of bucket %s", path, bucket)
			}
		}
		return s.Err()
	})
}

func startMerge(ctx context.Context, e *Env, total int) (*Comparison, error) {
	t, err := e.csvTree(ctx, total)
	if err != nil {
		return nil, err
	}
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(e.RowDir, "merge-in")
	shuffled, err := e.shuffleHere(ctx, t, dir)
	if err := errors.Join(err, e.dropTree(t)); err != nil {
		return nil, err
	}
	const in, out = "s4://bench/buckets/", "s4://bench/merged/"
	if err := c.put(ctx, dir, in, shuffled); err != nil {
		return nil, err
	}
	want, err := mergedSum(dir)
	if err != nil {
		return nil, err
	}
	local := filepath.Join(e.RowDir, "merged")
	cmd := Script(`find "$1" -type f -printf '%f\n' | sort -u | xargs -P"$2" -I{} bash -c "set -euo pipefail; cat $1/*/{} > $3/{}"`, dir, cores(), local)
	cmd.Env = byteOrder
	s4 := c.side(c.Command("map-from-n", in, out, "xargs cat"), out, want)
	loop := localSide("xargs", cmd, local, want)
	loop.Clean = emptyDir(local)
	return &Comparison{S4: s4.moving(shuffled.Bytes, shuffled.Files), Yardstick: loop.moving(shuffled.Bytes, shuffled.Files)}, nil
}

// mergedSum returns the sum of a directory in which the files of the same name,
// each from its own directory of dir, are one, in the order of the directories.
func mergedSum(dir string) (TreeSum, error) {
	var sum TreeSum
	digests := make(map[string]*xxhash.Digest)
	sizes := make(map[string]int64)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // in lexical order
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if digests[d.Name()] == nil {
			digests[d.Name()] = xxhash.New()
		}
		_, _ = digests[d.Name()].Write(b) // never fails
		sizes[d.Name()] += int64(len(b))
		return nil
	})
	for name, digest := range digests {
		sum.add(name, Sum{sizes[name], digest.Sum64()})
	}
	return sum, err
}
