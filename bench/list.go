package bench

import (
	"bytes"
	"context"
	"fmt"

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
	// A short command prints a word so many times a run.
	short := func(name, work, word string, times int, needs Needs, args ...string) Row {
		return Row{
			Name:      name,
			Work:      fmt.Sprintf("%d runs of %s", startRuns, work),
			Yardstick: fmt.Sprintf("%d runs of s4 --version", startRuns),
			Targets:   []Target{Target{Metric: TimeEach, Kind: OfDifference, Max: startCost}},
			Needs:     needs,
			Start: func(_ context.Context, e *Env) (*Comparison, error) {
				cmp := &Comparison{S4: e.shortSide("s4", word, times, args...), Yardstick: e.shortSide("s4 --version", "version", 1, "--version")}
				cmp.S4.Servers = e.Cluster.Pids
				return cmp, nil
			},
		}
	}
	return Workload{
		Name:  "list",
		Title: "listings, short commands, and the cost of a key among many",
		Rows: []Row{{
			Name:      "list",
			Work:      fmt.Sprintf("ls -r of %s keys", countText(keys)),
			Yardstick: "find -printf | sort",
			Targets:   []Target{AtMost(2, Time)},
			Needs:     Needs{Tree: randomFiles(keys, size), Put: true, Copies: 2},
			Start:     startList,
		},
			short("ls-one", "ls of a key", "f0000000", 1, Needs{Tree: randomFiles(1, size), Put: true}, "ls", inKeys),
			short("health", "health", "healthy", o.Servers, Needs{}, "health"),
			{
				Name:      "grow",
				Work:      fmt.Sprintf("put, list and remove %s keys of %d B", countText(many), size),
				Yardstick: fmt.Sprintf("the same by s4 with %s keys", countText(few)),
				Targets:   []Target{AtMost(1.3, TimeEach)},
				Rounds:    longRounds,
				Needs:     Needs{Tree: randomFiles(many, size), Copies: 3},
				Start: func(ctx context.Context, e *Env) (*Comparison, error) {
					if !o.Full {
						e.LeaveOut("list: put, list and remove a million keys", "it takes minutes; see it with 's4-bench list --full'")
					}
					t, err := makeTree(ctx, e.RowDir, randomFiles(few, size))
					if err != nil {
						return nil, err
					}
					return &Comparison{S4: e.growSide("s4", e.Tree), Yardstick: e.growSide("s4, "+countText(few)+" keys", t)}, nil
				},
			},
		},
	}
}

func startList(_ context.Context, e *Env) (*Comparison, error) {
	side := func(name string, pids []int, cmd Command, field int, prefix string) Side {
		return Side{Name: name, Servers: pids, Command: cmd, Keys: e.Tree.Files,
			Check: func(_ context.Context, stdout []byte) error {
				return checkListing(stdout, field, prefix, e.Tree.TreeSum)
			}}
	}
	return &Comparison{
		S4:        side("s4", e.Cluster.Pids, e.Cluster.Command("ls", "-r", inKeys), 3, "in/"),
		Yardstick: side("find", nil, Script(`find "$1" -type f -printf '%P %TF %TT %s\n' | sort`, e.Tree.Dir), 0, ""),
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

// shortSide runs a short command of s4 many times, which each time prints the word so
// many times.
func (e *Env) shortSide(name, word string, times int, args ...string) Side {
	cmd := e.Cluster.Script(fmt.Sprintf(`for i in {1..%d}; do "$@"; done`, startRuns), args...)
	return Side{Name: name, Command: cmd, Keys: startRuns, Check: func(_ context.Context, stdout []byte) error {
		if n := bytes.Count(stdout, []byte(word)); n != times*startRuns {
			return fmt.Errorf("%s is there %d times and should be %d times: %.200q", word, n, times*startRuns, stdout)
		}
		return nil
	}}
}

// growSide puts, lists and removes a tree: nothing is left to Want.
func (e *Env) growSide(name string, t *Tree) Side {
	return Side{
		Name: name, Servers: e.Cluster.Pids, Out: inKeys, Keys: t.Files,
		Command: e.Cluster.Script(`"$1" cp -q -r "$2" "$3"; "$1" ls -r "$3"; "$1" rm -q -r "$3"`, t.Dir, inKeys),
		Check:   func(_ context.Context, stdout []byte) error { return checkListing(stdout, 3, "in/", t.TreeSum) },
	}
}
