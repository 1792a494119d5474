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

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

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

const (
	defaultSize    = 1 << 30 // of the large file
	defaultServers = 3
	// maxServers is more than one host has use for.
	maxServers = 1000
	// maxScale keeps counts and sizes in the range of their types.
	maxScale = 100
)

// app is one run of the command.
type app struct {
	stdout, stderr io.Writer
	opts           Options
	json           string // files for the report, or empty
	bench          string
}

// failure marks an error that is not about usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// Main runs the s4-bench command with the given arguments, without the
// program's name, and returns its exit code. Results go to stdout, progress
// and errors to stderr. When ctx ends, all is stopped and removed, and the code
// is 130.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, opts: Options{Size: defaultSize}}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
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
	root := &cobra.Command{
		Use:   "s4-bench [flags] all|WORKLOAD...",
		Short: "compare s4 with what one would use without it",
		Long: `Run real servers and the real client on this host, each piece of work by turns
with a yardstick that does the same without s4, and print how they compare.

` + workloadHelp() + `
The programs s4 and s4-server are those beside s4-bench, or on PATH. All is done
in a new directory below --dir, which is removed at the end, as are the
processes, also on Ctrl-C; then what is complete is printed. Only kill -9 and
Ctrl-\ leave the directory. The data set of etl has ` + sizeText(etlSize) + `, and ` + sizeText(etlSizeOfAll) + ` in all, times
--scale.

A --peer is another system, for the rows that put a file or get one to a file. Its
TEMPLATE is a bash script for put, get and rm, run in a directory of its own that
stays from one to the next: {op} is one of these words, and {src} and {dst} are a
local path and a remote name, already quoted. A put is from {src}, local, to {dst},
remote; a get the other way; and rm is to remove {src}, which is not timed. What
its servers use is not seen, and what it leaves running goes on.`,
		Example: `  s4-bench all --json before.json
  s4-bench put get --size 64M --rounds 9
  s4-bench all --bench old.txt   # later: --bench new.txt; benchstat old.txt new.txt
  s4-bench put --peer 'cp=case {op} in rm) rm -f {src};; *) cp {src} {dst};; esac'
  s4-bench get --peer 'scp=case {op} in
      put) scp -q {src} localhost:/dev/shm/{dst};;
      get) scp -q localhost:/dev/shm/{src} {dst};;
      rm) ssh localhost rm -f /dev/shm/{src};; esac'`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       s4.Release,
		RunE:          func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args) },
	}
	root.SetFlagErrorFunc(flags.Explain)
	f := root.Flags()
	f.StringVar(&a.opts.Parent, "dir", "", "work below this directory (default "+memoryFS+" if it has room, else $TMPDIR)")
	f.IntVar(&a.opts.Rounds, "rounds", 0, fmt.Sprintf("rounds that count, after one that does not (default %d; %d of what moves much, %d of what takes long)", defaultRounds, largeRounds, longRounds))
	f.IntVar(&a.opts.Servers, "servers", defaultServers, "servers of the cluster, a process each")
	f.Func("size", "size of the large file, a `SIZE` as in 64M; a small one measures how processes start (default "+sizeText(defaultSize)+")", func(text string) (err error) {
		a.opts.Size, err = flags.ParseSize(text)
		return err
	})
	f.Float64Var(&a.opts.Scale, "scale", 1, "factor of all counts and sizes but --size; targets are meant for 1")
	f.BoolVar(&a.opts.Full, "full", false, "with a million keys, 4 GiB and 16 servers, where it applies: takes long")
	f.Func("peer", "another system, as `NAME=TEMPLATE`, see above; may be repeated", a.addPeer)
	f.StringVar(&a.json, "json", "", "write the report to this `FILE`, too")
	f.StringVar(&a.bench, "bench", "", "write all rounds to this `FILE` in Go's benchmark format, for benchstat")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.AddCommand(
		hidden(loadName, func(ctx context.Context, l load) error { return l.run(ctx) }),
		hidden(objectsName, func(ctx context.Context, p plainObjects) error { return p.run(ctx) }),
		hidden(jobName, func(ctx context.Context, r jobRun) error { return r.run(ctx) }),
		hidden(bareName, func(_ context.Context, b bare) error { return b.run() }),
		hiddenArgs(measureName, func(_ context.Context, args []string) error { return measureMain(args) }),
	)
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

func (a *app) addPeer(text string) error {
	p, err := parsePeer(text)
	if err == nil && slices.ContainsFunc(a.opts.Peers, func(q Peer) bool { return q.Name == p.Name }) {
		err = fmt.Errorf("%s is given twice", p.Name)
	}
	a.opts.Peers = append(a.opts.Peers, p)
	return err
}

// run runs what the arguments name.
func (a *app) run(ctx context.Context, args []string) error {
	a.opts.All = slices.Contains(args, "all")
	list, err := choose(workloads(a.opts), args)
	switch o := a.opts; {
	case err != nil:
		return err
	case !(o.Scale > 0 && o.Scale <= maxScale):
		return fmt.Errorf("--scale %v: more than 0, and at most %d", o.Scale, maxScale)
	case o.Rounds < 0:
		return fmt.Errorf("--rounds %d: at least 1, or 0 for the default", o.Rounds)
	case o.Servers < 1 || o.Servers > maxServers:
		return fmt.Errorf("--servers %d: from 1 to %d", o.Servers, maxServers)
	case a.json == "-" || a.bench == "-":
		return errors.New("--json and --bench take a file: the table goes to standard output")
	case a.json != "" && filepath.Clean(a.json) == filepath.Clean(a.bench):
		return fmt.Errorf("--json and --bench are the same file: %s", a.json)
	}
	if err := errors.Join(writable(a.bench), writable(a.json)); err != nil {
		return failure{err} // now, rather than when all is measured
	}
	report, err := Run(ctx, a.opts, list, a.stderr)
	if report != nil {
		unwritten := a.write(report)
		if unwritten != nil && ctx.Err() != nil {
			fmt.Fprintf(a.stderr, "s4-bench: %v\n", unwritten) // that it was interrupted does not say so
		}
		err = errors.Join(err, unwritten)
	}
	if err != nil {
		return failure{err}
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

// write writes the report as the flags say. The files are first: standard output
// may have gone, as in a pipe on Ctrl-C. A report without results does not replace
// them.
func (a *app) write(report *Report) error {
	if report.empty() {
		return errors.Join(report.WriteTable(a.stdout), errors.New("nothing was measured"))
	}
	return errors.Join(writeFile(a.bench, report.WriteBench), writeFile(a.json, report.WriteJSON), report.WriteTable(a.stdout))
}

// writable returns an error if writeFile would fail with the file at path, as far
// as that can be seen without changing it.
func writable(path string) error {
	fi, err := os.Stat(path)
	at := path
	switch {
	case path == "":
		return nil
	case errors.Is(err, os.ErrNotExist):
		at = filepath.Dir(path)
	case err == nil && fi.IsDir():
		return &os.PathError{Op: "open", Path: path, Err: unix.EISDIR}
	}
	if err := unix.Access(at, unix.W_OK); err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

// writeFile writes a file, if it has a path, that has its content or is an error.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
