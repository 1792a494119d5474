package bench

import (
	"context"
	"fmt"
	"strings"
)

// Workload is a named list of rows and curves, the unit that a user asks for.
type Workload struct {
	Name   string // the word on the command line
	Title  string // one line for the help
	Rows   []Row
	Curves []Curve // measured after the rows
	Apart  bool    // "all" is without it: it must be named
	// Possible, if not nil, is asked before all rows and curves. If its error is a
	// NotHere, the workload is left out.
	Possible func(ctx context.Context, env *Env) error
}

// workloads returns all there are, in the order of "all", with rows of the
// sizes that o asks for.
func workloads(o Options) []Workload {
	return []Workload{
		putWorkload(o),
		getWorkload(o),
		smallWorkload(o),
		mapWorkload(o),
		shuffleWorkload(o),
		mergeWorkload(o),
		listWorkload(o),
		clientsWorkload(o),
		etlWorkload(o),
		serversWorkload(o),
		scalingWorkload(o),
		lz4Workload(o),
		s3Workload(o),
	}
}

// Row is one comparison: a piece of work done by s4 and by a yardstick.
type Row struct {
	Name      string // unique within the workload, for programs
	Work      string // what s4 does, for people
	Yardstick string // what is done in its stead
	Targets   []Target
	Rounds    int // if the user does not say; 0 is the default
	Needs     Needs

	// Start makes ready what all rounds share. What it leaves in Env.RowDir, in
	// keys below s4://bench/, and to Env.AfterRow goes when the row ends, also if
	// it fails. If the host lacks what the row needs, the error is a NotHere, and
	// the row is left out.
	Start func(ctx context.Context, env *Env) (*Comparison, error)
}

// Needs is what Env has for a row, or for a point of a curve, beside a cluster.
type Needs struct {
	Source  bool     // Env.Source
	Tree    treeSpec // Env.Tree, and not that of the row before
	Put     bool     // the tree's files are keys below inKeys
	S3      bool     // Env.S3; the row's own servers have its credentials
	Servers int      // if not 0, the cluster is its own, of so many
	// OneProcess says that they are in one process, as those of s4-server --nodes.
	OneProcess bool
	Link       float64 // if not 0, each server is behind a link of so many bits per second each way

	// Copies is how many of the tree are alive at once, itself included, and Room the
	// bytes of other files, but the source, at most.
	Copies int
	Room   int64
}

// room is the bytes of all files that are alive at once, but the source.
func (n Needs) room() int64 {
	return n.Room + int64(n.Copies)*treeRoom(n.Tree.files, n.Tree.size)
}

// Keys below these prefixes, and all below s4://bench/, go when a row ends.
const (
	inKeys  = "s4://bench/in/"
	tmpKeys = "s4://bench/tmp/"
	outKeys = "s4://bench/out/"
)

// Curve varies one thing over several points.
type Curve struct {
	Name   string // what is varied, for people
	XLabel string
	Note   string
	Xs     []int
	// Possible, if not nil, is as of a Workload.
	Possible func(ctx context.Context, env *Env) error
	Needs    func(x int) Needs
	// Start makes ready what all rounds at x share, as of a Row, and returns what
	// does one round: it checks results as a Side does, and leaves nothing behind.
	Start func(ctx context.Context, env *Env, x int) (roundFunc, error)
}

// room is that of the largest point.
func (c *Curve) room() (n int64) {
	for _, x := range c.Xs {
		n = max(n, c.Needs(x).room())
	}
	return n
}

type roundFunc func() ([]Measured, error)

// Measured is what a round found for one Series of a Curve.
type Measured struct {
	Series string
	Unit   string
	Value  float64
}

// Comparison is those that do the work of a Row.
type Comparison struct {
	S4, Yardstick Side
	Rivals        []Side // of the yardstick: the fastest is it in the end, and the others are peers
	Also          []Also // more to compare with the yardstick in the same rounds
	Peers         []Side // other systems, which have no targets
}

// Also is a side that s4 is, too, and a Result of its own.
type Also struct {
	Name    string // unique as a Row's
	Work    string
	Targets []Target
	Side    Side
}

// sides returns all, in the order in which they run.
func (c *Comparison) sides() []*Side {
	list := []*Side{&c.S4, &c.Yardstick}
	for i := range c.Rivals {
		list = append(list, &c.Rivals[i])
	}
	for i := range c.Also {
		list = append(list, &c.Also[i].Side)
	}
	for i := range c.Peers {
		list = append(list, &c.Peers[i])
	}
	return list
}

// results sums up what the sides did: the row itself and then each Also.
func (c *Comparison) results(workload string, row Row) []Result {
	wall := func(s Side) float64 { return stat(s.samples, func(s Sample) float64 { return s.Wall }).Median }
	for i := range c.Rivals {
		if r := &c.Rivals[i]; wall(*r) < wall(c.Yardstick) {
			*r, c.Yardstick = c.Yardstick, *r
		}
	}
	c.Peers, c.Rivals = append(c.Rivals, c.Peers...), nil
	list := []Result{newResult(workload, row, c.S4, c.Yardstick, c.Peers...)}
	for _, also := range c.Also {
		row := Row{Name: also.Name, Work: also.Work, Yardstick: row.Yardstick, Targets: also.Targets}
		list = append(list, newResult(workload, row, also.Side, c.Yardstick))
	}
	return list
}

// NotHere is the error of what this host lacks something for.
type NotHere struct{ Why string }

func (e *NotHere) Error() string { return e.Why }

// Side is one of those compared in a Row.
type Side struct {
	Name string
	// Servers are the processes that work for the side beside its command,
	// by id. They live as long as the row.
	Servers []int
	// Command is what is timed. It must not have an effect that Clean does not
	// undo.
	Command Command
	// Bytes and Keys are what one round moves. Bytes is 0 where keys are what
	// counts. Keys are runs where a command is run many times.
	Bytes, Keys int64
	// Out, if not empty, is the file or directory that a round makes, or the key, or the
	// prefix of keys. It must be Want, and is removed after the round.
	Out  string
	Want TreeSum
	// Check, if not nil, says what else is wrong with the round that has just been
	// timed. It gets what the command wrote to standard output.
	Check func(ctx context.Context, stdout []byte) error
	// Clean, if not nil, removes what else a round made. It is called outside of the
	// timed part before the first round and after each, and may find nothing.
	Clean func(ctx context.Context) error

	samples []Sample // of the rounds that count
}

// Command is one program to run and wait for.
type Command struct {
	Args    []string
	Dir     string   // working directory, or empty for that of s4-bench
	Env     []string // added to the environment
	Discard bool     // write to /dev/null; else the output is kept, for Check
}

// byteOrder is the environment in which programs compare bytes, as on s4's servers.
const byteOrder = "LC_ALL=C"

// Script returns the command that runs a bash script with pipefail and the
// arguments $1, $2 and so on.
func Script(script string, args ...string) Command {
	return Command{Args: append([]string{"bash", "-e", "-u", "-o", "pipefail", "-c", script, "s4-bench"}, args...), Env: []string{byteOrder}}
}

// brief returns the command for an error, in one line.
func (c Command) brief() string { return fmt.Sprintf("%.300q", strings.Join(c.Args, " ")) }
