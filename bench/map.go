package bench

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// onlyCPU tells the CPU time of both sides. Servers run more commands at once
// than there are CPUs, and on a machine that others use they get a larger share
// of it than a local loop does, and less time.
var onlyCPU = Target{Metric: CPU}

// mapWorkload is a command for each of many small keys.
func mapWorkload(o Options) Workload {
	keys := o.count(2000)
	const size = 4 << 10
	room := 8 * treeRoom(keys, size) // of which five copies, once staged
	return Workload{
		Name:  "map",
		Title: "a command for each of many keys, with one output and with five",
		Rows: []Row{{
			Name:      "map",
			Work:      fmt.Sprintf("map cat over %s x %s", countText(keys), sizeText(size)),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 'cat < in/{} > out/{}'", cores()),
			Targets:   []Target{AtMost(1, Time), onlyCPU},
			Room:      room,
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				t, c, err := e.treeAndCluster(ctx, keys, size)
				if err != nil {
					return nil, err
				}
				return startMap(ctx, e, t, c, t.TreeSum, "map", "cat", `cat < {in} > {out}`)
			},
		}, {
			Name:      "map-to-n",
			Work:      fmt.Sprintf("map-to-n of %s x %s to five files each", countText(keys), sizeText(size)),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 'mkdir out/{}; cd out/{}; tee 0 1 2 3 > 4 < in/{}'", cores()),
			Targets:   []Target{AtMost(1, Time), onlyCPU},
			Room:      room,
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				t, c, err := e.treeAndCluster(ctx, keys, size)
				if err != nil {
					return nil, err
				}
				want, err := t.copies(ctx, 5)
				if err != nil {
					return nil, err
				}
				const tee = `tee 0 1 2 3 > 4; printf '%s\n' 0 1 2 3 4`
				return startMap(ctx, e, t, c, want, "map-to-n", tee, `mkdir {out}; cd {out}; exec < {in} > /dev/null; `+tee)
			},
		}},
	}
}

// copies returns the sum of a tree in which each file is a directory of n
// copies of it, named by their numbers.
func (t *Tree) copies(ctx context.Context, n int) (TreeSum, error) {
	var sum TreeSum
	err := filepath.WalkDir(t.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		content, err := sumFile(path)
		if err != nil {
			return err
		}
		for i := range n {
			sum.add(strings.TrimPrefix(path, t.Dir+"/")+"/"+strconv.Itoa(i), content)
		}
		return nil
	})
	return sum, err
}

// startMap compares a map verb with a command, and a local loop over the files with
// a script, in which {in} and {out} are paths of a file.
func startMap(ctx context.Context, e *Env, t *Tree, c *Cluster, want TreeSum, verb, command, script string) (*Comparison, error) {
	const in, out = "s4://bench/in/", "s4://bench/out/"
	if err := c.put(ctx, t.Dir, in, t.TreeSum); err != nil {
		return nil, err
	}
	local := filepath.Join(e.RowDir, "map-out")
	s4 := c.side(c.Command(verb, in, out, command), out, want)
	loop := localSide("xargs", e.localLoop(t.Dir, local, script), local, want)
	loop.Clean = emptyDir(local)
	return &Comparison{S4: s4.moving(0, t.Files), Yardstick: loop.moving(0, t.Files)}, nil
}

// localLoop runs a script for each file of a directory, with as many at once
// as there are CPUs. {in} and {out} are paths that need no quotes.
func (e *Env) localLoop(in, out, script string) Command {
	script = strings.NewReplacer("{in}", in+"/{}", "{out}", out+"/{}").Replace(script)
	// In C as on s4's servers.
	c := Script(`ls "$1" | xargs -P"$2" -I{} bash -c "$3"`, in, cores(), "set -euo pipefail; "+script)
	c.Env = []string{"LC_ALL=C"}
	return c
}
