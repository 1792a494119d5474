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
	room := func(Options) int64 { return 8 * treeRoom(keys, size) } // of which five copies, once staged
	return Workload{
		Name:  "map",
		Title: "a command for each of many keys, with one output and with five",
		Rows: []Row{{
			Name:      "map",
			Work:      fmt.Sprintf("map cat over %s x %s", countText(keys), sizeText(size)),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 'cat < in/{} > out/{}'", cores()),
			Targets:   []Target{AtMost(1, Time), onlyCPU},
			Room:      room,
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				t, err := e.Tree(ctx, keys, size)
				if err != nil {
					return nil, err
				}
				return startMap(ctx, e, t, t.TreeSum, "map", "cat", `cat < {in} > {out}`)
			},
		}, {
			Name:      "map-to-n",
			Work:      fmt.Sprintf("map-to-n of %s x %s to five files each", countText(keys), sizeText(size)),
			Yardstick: fmt.Sprintf("ls | xargs -P%s bash -c 'mkdir out/{}; cd out/{}; tee 0 1 2 3 > 4 < in/{}'", cores()),
			Targets:   []Target{AtMost(1, Time), onlyCPU},
			Room:      room,
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				t, err := e.Tree(ctx, keys, size)
				if err != nil {
					return nil, err
				}
				want, err := t.copies(ctx, 5)
				if err != nil {
					return nil, err
				}
				const tee = `tee 0 1 2 3 > 4; printf '%s\n' 0 1 2 3 4`
				return startMap(ctx, e, t, want, "map-to-n", tee, `mkdir {out}; cd {out}; exec < {in} > /dev/null; `+tee)
			},
		}},
	}
}

// copies returns the sum of a tree in which each file is a directory of n
// copies of it, named by their numbers.
func (t *Tree) copies(ctx context.Context, n int) (TreeSum, error) {
	var sum TreeSum
	buf := make([]byte, 64<<10)
	err := filepath.WalkDir(t.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		content, err := sumFile(path, buf)
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

// startMap makes the sides of a map verb: s4 with a command, and a local loop
// over the files with a script, in which {in} and {out} are paths of a file.
func startMap(ctx context.Context, e *Env, t *Tree, want TreeSum, verb, command, script string) ([]Side, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	const in, out = "s4://bench/in/", "s4://bench/out/"
	if err := e.putTree(ctx, c, t, in); err != nil {
		return nil, err
	}
	s4 := Side{
		Name:    "s4",
		Servers: c.Pids,
		Command: Command{Args: []string{e.S4, verb, in, out, command}, Env: c.Env()},
		Keys:    t.Files,
		Check:   func(ctx context.Context, _ []byte) error { return checkTree(ctx, want, c.Dirs(out)...) },
		Clean:   func(ctx context.Context) error { return c.Remove(ctx, out, true) },
		Close:   func() error { return c.Remove(context.WithoutCancel(ctx), in, true) },
	}
	local := filepath.Join(e.Dir, "map-out")
	loop := Side{
		Name:    "xargs",
		Command: e.localLoop(t.Dir, local, script),
		Keys:    t.Files,
		Check:   func(ctx context.Context, _ []byte) error { return checkTree(ctx, want, local) },
		Clean:   makeDir(local),
		Close:   func() error { return removeTree(local)(ctx) },
	}
	return []Side{s4, loop}, nil
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
