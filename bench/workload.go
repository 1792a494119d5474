package bench

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Workload is a named list of rows, the unit that a user asks for.
type Workload struct {
	Name  string // the word on the command line
	Title string // one line for the help
	Rows  []Row
	// Curves are measured after the rows.
	Curves []Curve
	// Apart says that "all" is without it: it must be named.
	Apart bool
	// Needs, if not nil, is asked before all rows and curves. If its error is a
	// NotHere, the workload is left out.
	Needs func(ctx context.Context, env *Env) error
}

// Curve varies one thing over several points.
type Curve struct {
	Name string // what is varied, for people
	Room int64  // bytes of files that are alive at once, at most
	// Measure returns a series for each thing measured. It checks results as a
	// Side does, and leaves nothing behind but what Env removes. NotHere is as
	// for a Row.
	Measure func(ctx context.Context, env *Env) ([]Series, error)
}

// Row is one comparison: a piece of work done by s4 and by a yardstick.
type Row struct {
	Name      string // unique within the workload, for programs
	Work      string // what s4 does, for people
	Yardstick string // what is done in its stead
	Targets   []Target

	// Rounds, if not 0, is how many rounds the row has if the user does not say:
	// fewer of one that takes long, more of one whose rounds differ much.
	Rounds int
	// Source says that the row uses Env.Source, for which there must be room.
	Source bool
	// Room is how many bytes of files are alive at once beside that.
	Room int64

	// Start makes ready what all rounds share. What it leaves in Env.RowDir, in
	// keys below s4://bench/, and to Env.AfterRow goes when the row ends, also if
	// it fails. If the host lacks what the row needs, the error is a NotHere, and
	// the row is left out.
	Start func(ctx context.Context, env *Env) (*Comparison, error)
}

// Comparison is those that do the work of a Row.
type Comparison struct {
	S4, Yardstick Side
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
	list := []Result{newResult(workload, row, c.S4, c.Yardstick, c.Peers...)}
	for _, also := range c.Also {
		row := Row{Name: also.Name, Work: also.Work, Yardstick: row.Yardstick, Targets: also.Targets}
		list = append(list, newResult(workload, row, also.Side, c.Yardstick))
	}
	return list
}

// NotHere is the error of a row that this host lacks something for.
type NotHere struct{ Why string }

func (e *NotHere) Error() string { return e.Why }

// room returns how many bytes the row adds, at most, to what is there when the
// source is, or is not.
func (r *Row) room(o Options, haveSource bool) int64 {
	if r.Source && !haveSource {
		return r.Room + o.Size
	}
	return r.Room
}

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
	// Check, if not nil, says whether the round that has just been timed did
	// what it was to do. It gets what the command wrote to standard output,
	// unless Command.Stdout took that.
	Check func(ctx context.Context, stdout []byte) error
	// Clean, if not nil, removes what a round made. It is called outside of the
	// timed part before the first round and after each, and may find nothing.
	Clean func(ctx context.Context) error

	samples []Sample // of the rounds that count
}

// localSide is a side without servers that makes the file or directory out, which
// must be want.
func localSide(name string, cmd Command, out string, want TreeSum) Side {
	return Side{
		Name:    name,
		Command: cmd,
		Keys:    want.Files,
		Check:   func(ctx context.Context, _ []byte) error { return checkTree(ctx, want, out) },
		Clean:   func(context.Context) error { return os.RemoveAll(out) },
	}
}

// moving returns the side with what one round moves.
func (s Side) moving(bytes, keys int64) Side {
	s.Bytes, s.Keys = bytes, keys
	return s
}

// Command is one program to run and wait for.
type Command struct {
	Args   []string
	Dir    string   // working directory, or empty for that of s4-bench
	Env    []string // added to the environment
	Stdin  *os.File // nil is /dev/null
	Stdout *os.File // nil keeps the output, for Check
}

// Script returns the command that runs a bash script with pipefail and the
// arguments $1, $2 and so on.
func Script(script string, args ...string) Command {
	return Command{Args: append([]string{"bash", "-e", "-u", "-o", "pipefail", "-c", script, "s4-bench"}, args...)}
}

// brief returns the command for an error: of a script what it says, and no more of
// either than a line or two.
func (c Command) brief() string {
	const most = 160 // characters
	text := strings.Join(c.Args, " ")
	if i := slices.Index(c.Args, "-c"); c.Args[0] == "bash" && i > 0 && i+1 < len(c.Args) {
		text = c.Args[i+1]
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most-30]) + " ... " + string(r[len(r)-25:])
	}
	return strconv.Quote(text)
}
