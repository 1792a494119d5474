package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// defaultSize is that of the large file.
const defaultSize = 1 << 30

// defaultServers is how many a cluster has.
const defaultServers = 3

// maxServers is more than one host has use for.
const maxServers = 1000

// maxScale keeps counts and sizes in the range of their types.
const maxScale = 100

// app is one run of the command.
type app struct {
	stdout, stderr io.Writer
	opts           Options
	peers          []string
	json           string
	bench          string
	from           string
	strict         bool
	unwritten      error // why a file of the report is not whole, or nil
}

// failure marks an error that is not about usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errNothing is how a run ends of which everything was left out.
var errNothing = errors.New("nothing was measured")

// errMissed is how a run ends with --strict when a target is missed.
var errMissed = errors.New("a target was missed (--strict)")

// Main runs the s4-bench command with the given arguments, without the
// program's name, and returns its exit code. Results go to stdout, progress
// and errors to stderr. When ctx ends, all is stopped and removed, and the code
// is 130.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		if a.unwritten != nil {
			fmt.Fprintf(stderr, "s4-bench: %v\n", a.unwritten)
		}
		fmt.Fprintln(stderr, "s4-bench: interrupted")
		return exitInterrupted
	case errors.As(err, new(failure)):
		fmt.Fprintf(stderr, "s4-bench: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stderr, "s4-bench: %v (see 's4-bench --help')\n", err)
	return exitUsage
}

func (a *app) command() *cobra.Command {
	size := sizeFlag(defaultSize)
	var trips sizeFlag
	root := &cobra.Command{
		Use:   "s4-bench [flags] all|WORKLOAD...",
		Short: "compare s4 with what one would use without it",
		Long: `Run real servers and the real client on this host, each piece of work by turns
with a yardstick that does the same without s4, and print how they compare.

` + workloadHelp() + `
The programs s4 and s4-server are those beside s4-bench, or on PATH. All is done
in a new directory below --dir, which is removed at the end, as are the
processes, also on Ctrl-C; then what is complete is printed. Only kill -9 and
Ctrl-\ leave the directory.

A --peer is another system, for the rows that put a file or get one to a file. Its
TEMPLATE is a bash script for put, get and rm, run in a directory of its own that
stays from one to the next: {op} is one of these words, and {src} and {dst} are a
local path and a remote name, already quoted. A put is from {src}, local, to {dst},
remote; a get the other way; and rm is to remove {src}, which is not timed. What
its servers use is not seen, and what it leaves running goes on.`,
		Example: `  s4-bench all --json before.json
  s4-bench put get --size 64M --rounds 9
  s4-bench all --bench old.txt   # later: --bench new.txt; benchstat old.txt new.txt
  s4-bench --from before.json --bench old.txt
  s4-bench put --peer 'cp=case {op} in rm) rm -f {src};; *) cp {src} {dst};; esac'
  s4-bench get --peer 'scp=case {op} in
      put) scp -q {src} localhost:/dev/shm/{dst};;
      get) scp -q localhost:/dev/shm/{src} {dst};;
      rm) ssh localhost rm -f /dev/shm/{src};; esac'`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       s4.Release,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.opts.Size = int64(size)
			a.opts.ETLSize = int64(trips)
			if trips == 0 && slices.Contains(args, "all") {
				a.opts.ETLSize = int64(a.opts.count(etlSizeOfAll))
			}
			if a.json == "-" || a.bench == "-" {
				return errors.New("--json and --bench take a file: the table goes to standard output")
			}
			if a.json != "" && filepath.Clean(a.json) == filepath.Clean(a.bench) {
				return fmt.Errorf("--json and --bench are the same file: %s", a.json)
			}
			if a.from != "" {
				return a.read(cmd.Flags(), args)
			}
			return a.run(cmd.Context(), args)
		},
	}
	root.SetFlagErrorFunc(flags.Explain)
	f := root.Flags()
	f.StringVar(&a.opts.Parent, "dir", "", "work below this directory (default "+memoryFS+" if it has room, else $TMPDIR)")
	f.IntVar(&a.opts.Rounds, "rounds", 0, fmt.Sprintf("rounds that count, after one that does not (default %d; %d of what moves much, %d of what takes long)", defaultRounds, largeRounds, longRounds))
	f.IntVar(&a.opts.Servers, "servers", defaultServers, "servers of the cluster, a process each")
	f.Var(&size, "size", "size of the large file, as in 64M; a small one measures how processes start")
	f.Float64Var(&a.opts.Scale, "scale", 1, "factor of all counts and sizes but --size; targets are meant for 1")
	f.IntVar(&a.opts.Most, "most-servers", 0, fmt.Sprintf("how many servers scaling goes up to (default %d, with --full %d)", mostServers, mostServersFull))
	f.BoolVar(&a.opts.Full, "full", false, "with a million keys, 4 GiB and 16 servers, where it applies: takes long")
	f.Var(&trips, "etl-size", "size of the data set of etl (default "+sizeText(etlSize)+", in all "+sizeText(etlSizeOfAll)+", times --scale)")
	f.StringArrayVar(&a.peers, "peer", nil, "another system, as `NAME=TEMPLATE`, see above; may be repeated")
	f.StringVar(&a.json, "json", "", "write the report to this `FILE`, too")
	f.StringVar(&a.bench, "bench", "", "write all rounds to this `FILE` in Go's benchmark format, for benchstat")
	f.StringVar(&a.from, "from", "", "run nothing, and take the report from this `FILE`")
	f.BoolVar(&a.strict, "strict", false, "exit with 1 if a target is missed; what was left out is not")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true})

	var (
		send, recv bare
		clients    load
	)
	root.AddCommand(
		clients.command(),
		send.command(bareSendName, send.send),
		recv.command(bareRecvName, recv.recv),
		&cobra.Command{Use: measureName, Hidden: true, Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			if err := measureMain(args); err != nil {
				return failure{err}
			}
			return nil
		}})
	return root
}

func workloadHelp() string {
	var b strings.Builder
	for _, w := range workloads(Options{}) {
		title := w.Title
		if w.Apart {
			title += " (not part of all)"
		}
		fmt.Fprintf(&b, "  %-10s %s\n", w.Name, title)
	}
	return b.String()
}

// read writes the report of --from as the flags say.
func (a *app) read(f *pflag.FlagSet, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: --from runs nothing", args[0])
	}
	meant := []string{"from", "bench", "json", "strict"}
	var err error
	f.Visit(func(f *pflag.Flag) {
		if !slices.Contains(meant, f.Name) {
			err = fmt.Errorf("--%s: --from runs nothing", f.Name)
		}
	})
	if err != nil {
		return err
	}
	report, err := readReport(a.from)
	if err != nil {
		return failure{err}
	}
	return a.write(report)
}

// run runs what the arguments name.
func (a *app) run(ctx context.Context, args []string) error {
	list, err := choose(workloads(a.opts), args)
	if err != nil {
		return err
	}
	if !(a.opts.Scale > 0 && a.opts.Scale <= maxScale) {
		return fmt.Errorf("--scale %v: more than 0, and at most %d", a.opts.Scale, maxScale)
	}
	if a.opts.Rounds < 0 {
		return fmt.Errorf("--rounds %d: at least 1, or 0 for the default", a.opts.Rounds)
	}
	if a.opts.Servers < 1 || a.opts.Servers > maxServers {
		return fmt.Errorf("--servers %d: from 1 to %d", a.opts.Servers, maxServers)
	}
	if a.opts.Most < 0 || a.opts.Most > maxServers {
		return fmt.Errorf("--most-servers %d: from 1 to %d, or 0 for the default", a.opts.Most, maxServers)
	}
	for _, text := range a.peers {
		p, err := parsePeer(text)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(a.opts.Peers, func(q Peer) bool { return q.Name == p.Name }) {
			return fmt.Errorf("--peer %s: given twice", p.Name)
		}
		a.opts.Peers = append(a.opts.Peers, p)
	}
	if err := errors.Join(writable(a.bench), writable(a.json)); err != nil {
		return failure{err} // now, rather than when all is measured
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	report, err := Run(ctx, a.opts, list, &progress{a.stderr, cancel})
	if report != nil {
		err = errors.Join(err, a.write(report))
	}
	if err != nil {
		return failure{err}
	}
	return nil
}

// writable returns an error if writeFile would fail with the file at path, as far
// as that can be seen without changing it.
func writable(path string) error {
	if path == "" {
		return nil
	}
	fi, err := os.Stat(path)
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		return nil // whoever reads a pipe would see its end
	}
	absent := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = f.Close()
	if absent {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// progress writes to whom a run is for, and cancels it when they have gone.
type progress struct {
	io.Writer
	cancel context.CancelCauseFunc
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) { // a pipe, a terminal
		p.cancel(fmt.Errorf("progress: %w", err))
	}
	return n, err
}

// write writes the report as the flags say. The files are first: standard output
// may have gone, as in a pipe on Ctrl-C. A report without results does not replace
// them.
func (a *app) write(report *Report) error {
	something := len(report.Results)+len(report.Series) > 0
	var failed error
	if a.bench != "" && something {
		failed = errors.Join(failed, writeFile(a.bench, report.WriteBench))
	}
	if a.json != "" && something {
		failed = errors.Join(failed, writeFile(a.json, report.WriteJSON))
	}
	a.unwritten = failed
	failed = errors.Join(failed, report.WriteTable(a.stdout))
	switch {
	case failed != nil:
		return failure{failed}
	case !something:
		return failure{errNothing}
	case a.strict && report.Missed():
		return failure{errMissed}
	}
	return nil
}

// choose returns the workloads that the words name, in their own order. The
// word all names those that are not apart.
func choose(all []Workload, words []string) ([]Workload, error) {
	if len(words) == 0 {
		return nil, errors.New("no workload given")
	}
	for _, word := range words {
		if word != "all" && !slices.ContainsFunc(all, func(w Workload) bool { return w.Name == word }) {
			return nil, fmt.Errorf("unknown workload %q", word)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(w Workload) bool {
		return !slices.Contains(words, w.Name) && (w.Apart || !slices.Contains(words, "all"))
	}), nil
}

// readReport reads the report that --json wrote to a file.
func readReport(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := ReadReport(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// writeFile writes a file that has its content or is an error.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
