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
			Room:      func(Options) int64 { return 2 * treeRoom(keys, size) },
			Start:     func(ctx context.Context, e *Env) ([]Side, error) { return startList(ctx, e, keys, size) },
		}, {
			Name:      "ls-one",
			Work:      fmt.Sprintf("%d runs of ls of a key", startRuns),
			Yardstick: version,
			Targets:   []Target{NoMoreThanPlus(startCost, TimeEach)},
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				c, err := e.Cluster(ctx)
				if err != nil {
					return nil, err
				}
				t, err := e.Tree(ctx, 1, size)
				if err != nil {
					return nil, err
				}
				const prefix = "s4://bench/one/"
				if err := errors.Join(c.Remove(ctx, prefix, true), e.putTree(ctx, c, t, prefix)); err != nil {
					return nil, err
				}
				return startShort(e, c, "f0000000", "ls", prefix), nil
			},
		}, {
			Name:      "health",
			Work:      fmt.Sprintf("%d runs of health", startRuns),
			Yardstick: version,
			Targets:   []Target{NoMoreThanPlus(startCost, TimeEach)},
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				c, err := e.Cluster(ctx)
				if err != nil {
					return nil, err
				}
				return startShort(e, c, "healthy", "health"), nil
			},
		}, {
			Name:      "grow",
			Work:      fmt.Sprintf("put, list and remove %s keys of %d B", countText(many), size),
			Yardstick: fmt.Sprintf("the same by s4 with %s keys", countText(few)),
			Targets:   []Target{AtMost(1.3, TimeEach)},
			Rounds:    longRounds,
			Room:      func(Options) int64 { return 2*treeRoom(many, size) + treeRoom(few, size) },
			Start: func(ctx context.Context, e *Env) ([]Side, error) {
				if !o.Full {
					e.LeaveOut("list: put, list and remove a million keys", "it takes minutes; see it with 's4-bench list --full'")
				}
				return startGrow(ctx, e, size, many, few)
			},
		}},
	}
}

func startList(ctx context.Context, e *Env, keys, size int) ([]Side, error) {
	t, err := e.Tree(ctx, keys, size)
	if err != nil {
		return nil, err
	}
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	const prefix = "s4://bench/list/"
	if err := e.putTree(ctx, c, t, prefix); err != nil {
		return nil, err
	}
	s4 := Side{
		Name:    "s4",
		Servers: c.Pids,
		Command: Command{Args: []string{e.S4, "ls", "-r", prefix}, Env: c.Env()},
		Keys:    t.Files,
		Check:   func(_ context.Context, stdout []byte) error { return checkListing(stdout, 3, "list/", t.TreeSum) },
		Close:   func() error { return c.Remove(context.WithoutCancel(ctx), prefix, true) },
	}
	find := Script(`find "$1" -type f -printf '%P %TF %TT %s\n' | sort`, t.Dir)
	find.Env = []string{"LC_ALL=C"}
	yardstick := Side{
		Name:    "find",
		Command: find,
		Keys:    t.Files,
		Check:   func(_ context.Context, stdout []byte) error { return checkListing(stdout, 0, "", t.TreeSum) },
	}
	return []Side{s4, yardstick}, nil
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

// startShort makes the sides of a short command of s4, every run of which
// prints the word.
func startShort(e *Env, c *Cluster, word string, args ...string) []Side {
	runs := func(args ...string) Command {
		cmd := Script(fmt.Sprintf(`for i in {1..%d}; do "$@"; done`, startRuns), append([]string{e.S4}, args...)...)
		cmd.Env = c.Env()
		return cmd
	}
	check := func(word string, want int) func(context.Context, []byte) error {
		return func(_ context.Context, stdout []byte) error {
			if n := bytes.Count(stdout, []byte(word)); n != want {
				return fmt.Errorf("%s is there %d times and should be %d times: %.200q", word, n, want, stdout)
			}
			return nil
		}
	}
	servers := 1
	if word == "healthy" {
		servers = len(c.Pids)
	}
	return []Side{{
		Name:    "s4",
		Servers: c.Pids,
		Command: runs(args...),
		Keys:    startRuns,
		Check:   check(word, startRuns*servers),
	}, {
		Name:    "s4 --version",
		Command: runs("--version"),
		Keys:    startRuns,
		Check:   check("version", startRuns),
	}}
}

// startGrow makes sides of s4 alone that do the same with each number of keys.
func startGrow(ctx context.Context, e *Env, size int, numbers ...int) ([]Side, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	const prefix = "s4://bench/grow/"
	var sides []Side
	for _, n := range numbers {
		t, err := e.Tree(ctx, n, size)
		if err != nil {
			return sides, err
		}
		cmd := Script(`"$1" cp -q -r "$2" "$3"; "$1" ls -r "$3"; "$1" rm -q -r "$3"`, e.S4, t.Dir, prefix)
		cmd.Env = c.Env()
		sides = append(sides, Side{
			Name:    "s4, " + countText(n) + " keys",
			Servers: c.Pids,
			Command: cmd,
			Keys:    t.Files,
			Check: func(ctx context.Context, stdout []byte) error {
				for _, dir := range c.Dirs(prefix) {
					if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
						return fmt.Errorf("%s is left (%w)", dir, err)
					}
				}
				return checkListing(stdout, 3, "grow/", t.TreeSum)
			},
			Clean: func(ctx context.Context) error { return c.Remove(ctx, prefix, true) },
		})
	}
	sides[0].Name = "s4"
	return sides, nil
}
