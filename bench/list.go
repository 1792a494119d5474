package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cespare/xxhash/v2"
)

const (
	// startRuns is how often a round runs a command that takes milliseconds.
	startRuns = 20
	// startCost is how much longer than --version a command may take that asks
	// the servers one question.
	startCost = 0.003
)

// listWorkload is listings, what a short command costs, and whether the cost of
// a key grows with their number.
func listWorkload(o Options) Workload {
	keys, few, many := o.count(100_000), o.count(10_000), o.count(100_000)
	if o.Full {
		many = o.count(1_000_000)
	}
	const size = 100
	version := fmt.Sprintf("%d runs of s4 --version", startRuns)
	return Workload{
		Name:  "list",
		Title: "listings, short commands, and the cost of a key among many",
		Rows: []Row{{
			Name:      "list",
			Work:      fmt.Sprintf("ls -r of %s keys", countText(keys)),
			Yardstick: "find -printf | sort",
			Targets:   []Target{AtMost(2, Time)},
			Room:      2 * treeRoom(keys, size),
			Start:     func(ctx context.Context, e *Env) (*Comparison, error) { return startList(ctx, e, keys, size) },
		}, {
			Name:      "ls-one",
			Work:      fmt.Sprintf("%d runs of ls of a key", startRuns),
			Yardstick: version,
			Targets:   []Target{NoMoreThanPlus(startCost, TimeEach)},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				t, c, err := e.treeAndCluster(ctx, 1, size)
				if err != nil {
					return nil, err
				}
				const prefix = "s4://bench/one/"
				if err := c.put(ctx, t.Dir, prefix, t.TreeSum); err != nil {
					return nil, err
				}
				return compareShort(c, "f0000000", startRuns, "ls", prefix), nil
			},
		}, {
			Name:      "health",
			Work:      fmt.Sprintf("%d runs of health", startRuns),
			Yardstick: version,
			Targets:   []Target{NoMoreThanPlus(startCost, TimeEach)},
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				c, err := e.Cluster(ctx)
				if err != nil {
					return nil, err
				}
				return compareShort(c, "healthy", startRuns*e.Servers, "health"), nil
			},
		}, {
			Name:      "grow",
			Work:      fmt.Sprintf("put, list and remove %s keys of %d B", countText(many), size),
			Yardstick: fmt.Sprintf("the same by s4 with %s keys", countText(few)),
			Targets:   []Target{AtMost(1.3, TimeEach)},
			Rounds:    longRounds,
			Room:      2*treeRoom(many, size) + treeRoom(few, size),
			Start: func(ctx context.Context, e *Env) (*Comparison, error) {
				if !o.Full {
					e.LeaveOut("list: put, list and remove a million keys", "it takes minutes; see it with 's4-bench list --full'")
				}
				return startGrow(ctx, e, size, few, many)
			},
		}},
	}
}

func startList(ctx context.Context, e *Env, keys, size int) (*Comparison, error) {
	t, c, err := e.treeAndCluster(ctx, keys, size)
	if err != nil {
		return nil, err
	}
	const prefix = "s4://bench/list/"
	if err := c.put(ctx, t.Dir, prefix, t.TreeSum); err != nil {
		return nil, err
	}
	find := Script(`find "$1" -type f -printf '%P %TF %TT %s\n' | sort`, t.Dir)
	find.Env = byteOrder
	return &Comparison{
		S4: Side{
			Name:    "s4",
			Servers: c.Pids,
			Command: c.Command("ls", "-r", prefix),
			Keys:    t.Files,
			Check:   func(_ context.Context, stdout []byte) error { return checkListing(stdout, 3, "list/", t.TreeSum) },
		},
		Yardstick: Side{
			Name:    "find",
			Command: find,
			Keys:    t.Files,
			Check:   func(_ context.Context, stdout []byte) error { return checkListing(stdout, 0, "", t.TreeSum) },
		},
	}, nil
}

// checkListing compares the names of a listing with those of the tree. They are
// sorted, and stand in a field of every line, counted from 0, after a prefix.
func checkListing(text []byte, field int, prefix string, want TreeSum) error {
	var got TreeSum
	var last []byte
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) <= field || !bytes.HasPrefix(f[field], []byte(prefix)) {
			return fmt.Errorf("an odd line: %q", line)
		}
		name := f[field][len(prefix):]
		if bytes.Compare(last, name) >= 0 {
			return fmt.Errorf("%s stands after %s", name, last)
		}
		last = name
		got.Files++
		got.Names += xxhash.Sum64(name)
	}
	if got.Files != want.Files || got.Names != want.Names {
		return fmt.Errorf("%d names with %016x, and there should be %d with %016x", got.Files, got.Names, want.Files, want.Names)
	}
	return nil
}

// compareShort compares runs of a short command of s4, which print the word so many
// times together, with those of one that asks no server.
func compareShort(c *Cluster, word string, times int, args ...string) *Comparison {
	runs := func(name, word string, times int, args ...string) Side {
		one := c.Command(args...)
		cmd := Script(fmt.Sprintf(`for i in {1..%d}; do "$@"; done`, startRuns), one.Args...)
		cmd.Env = one.Env
		return Side{Name: name, Command: cmd, Keys: startRuns, Check: func(_ context.Context, stdout []byte) error {
			if n := bytes.Count(stdout, []byte(word)); n != times {
				return fmt.Errorf("%s is there %d times and should be %d times: %.200q", word, n, times, stdout)
			}
			return nil
		}}
	}
	cmp := &Comparison{S4: runs("s4", word, times, args...), Yardstick: runs("s4 --version", "version", startRuns, "--version")}
	cmp.S4.Servers = c.Pids
	return cmp
}

// startGrow compares s4 with many keys and s4 with few.
func startGrow(ctx context.Context, e *Env, size, few, many int) (*Comparison, error) {
	side := func(name string, keys int) (Side, error) {
		t, c, err := e.treeAndCluster(ctx, keys, size)
		if err != nil {
			return Side{}, err
		}
		const prefix = "s4://bench/grow/"
		cmd := Script(`"$1" cp -q -r "$2" "$3"; "$1" ls -r "$3"; "$1" rm -q -r "$3"`, e.S4, t.Dir, prefix)
		cmd.Env = c.Env()
		s := c.side(cmd, prefix, TreeSum{}).moving(0, t.Files)
		s.Name = name
		s.Check = func(_ context.Context, stdout []byte) error {
			for _, dir := range c.Dirs(prefix) {
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("%s is left (%w)", dir, err)
				}
			}
			return checkListing(stdout, 3, "grow/", t.TreeSum)
		}
		return s, nil
	}
	s4, err := side("s4", many)
	if err != nil {
		return nil, err
	}
	yardstick, err := side("s4, "+countText(few)+" keys", few)
	return &Comparison{S4: s4, Yardstick: yardstick}, err
}
