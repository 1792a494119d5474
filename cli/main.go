package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// Exit codes of the s4 command. eval passes on its command's own.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// app is one run of the command.
type app struct {
	args       []string
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	conf       string
	secretFile string
	json       bool
	quiet      bool
	exit       int           // the exit code, of eval's command
	compress   compressFlag  // what the client compresses on the wire
	subject    string        // the key or prefix that errors name if they carry no key
	advice     string        // what errors say in the end, in parentheses
	kept       string        // the id of the job that failed, if it can be resumed
	mayRecurse bool          // the verb has -r, and it is not given
	pages      *Pages        // in the program that serves them, else nil
	s3         S3            // in the program that speaks it, else nil
	sealed     bool          // the cluster has a secret
	lost       bool          // a server was lost while a job ran
	retried    bool          // a task of a job failed and was run again
	longJob    time.Duration // from which on a job is told what --on-failure keep had saved
	slowS3     time.Duration // from which on it is said that S3 is waited for
}

// failure marks an error of a verb that ran, as opposed to an error in its usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errReported is a failure that was printed already, and errMisused one of arguments alone.
var (
	errReported = errors.New("reported")
	errMisused  = errors.New("misused")
)

// Main runs the s4 command with the given arguments, without the program's
// name, and returns its exit code. When ctx ends, what is under way is
// stopped and cleaned up, and the code is 130.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newApp(args, stdin, stdout, stderr).main(ctx, args)
}

// MainUI is Main for a program that has the page of "s4 ui" in it.
func MainUI(ctx context.Context, pages Pages, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(args, stdin, stdout, stderr)
	a.pages = &pages
	return a.main(ctx, args)
}

// MainS3 is Main for a program that speaks S3.
func MainS3(ctx context.Context, s3 S3, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(args, stdin, stdout, stderr)
	a.s3 = s3
	return a.main(ctx, args)
}

func newApp(args []string, stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{args: args, stdin: stdin, stdout: stdout, stderr: stderr, longJob: longJob, slowS3: slowS3}
}

func (a *app) main(ctx context.Context, args []string) int {
	root := a.command()
	if isCompletion(args) {
		a.complete(root)
	}
	if len(args) > 0 && args[0] == "head" {
		args = headLines(args)
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	verb := verbOf(cmd)
	switch {
	case err == nil:
		return a.exit
	case ctx.Err() != nil:
		a.print(verb, "", a.advise("interrupted"))
		return exitInterrupted
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errMisused):
		return exitUsage
	case errors.As(err, new(failure)):
		a.report(verb, err)
		if errors.Is(err, s4.ErrUsage) {
			return exitUsage
		}
		return exitFailed
	}
	a.print(verb, "", fmt.Sprintf("%s (see '%s --help')", oneLine(err.Error()), cmd.CommandPath()))
	return exitUsage
}

// verbOf returns the name that errors of cmd begin with: the verb, which for a sub-verb
// is that of its parent.
func verbOf(cmd *cobra.Command) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd.Name()
}

// Command returns the s4 command for programs that describe it. It is not to be run.
func Command() *cobra.Command {
	root := new(app).command()
	root.InitDefaultHelpFlag()
	return root
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "s4",
		Short: "store, list and process ephemeral data on a cluster of servers",
		Long: `s4 keeps immutable keys, s4://bucket/path/name, on a ring of servers and runs
shell commands where they lie.`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       s4.Release,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				cmd.SetOut(a.stderr)
				_ = cmd.Help()
				return errors.New("no verb given")
			}
			return unknownVerb(cmd, args[0])
		},
	}
	// After a verb that does not exist, do not complain of its flags: it is the verb
	// that is wrong.
	root.FParseErrWhitelist.UnknownFlags = true
	root.SetFlagErrorFunc(flags.Explain)
	f := root.PersistentFlags()
	f.StringVarP(&a.conf, "conf", "c", "", "cluster `FILE` (default $S4_CONF_PATH, else ~/.s4.conf)")
	f.StringVar(&a.secretFile, "secret-file", "", "`FILE` with the cluster's secret, if it has one (default $S4_SECRET_FILE)")
	f.BoolVar(&a.json, "json", false, "print JSON, one object per line")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print data, listings and errors only")
	root.AddCommand(a.cp(), a.mv(), a.sync(), a.cat(), a.head(), a.ls(), a.tree(), a.du(), a.stat(), a.rm(), a.eval(), a.shell(),
		a.mapVerb(mapHelp), a.mapVerb(mapToNHelp), a.mapVerb(mapFromNHelp),
		a.importVerb(), a.exportVerb(),
		a.jobs(), a.config(), a.health(), a.verify(), a.secret(), a.partition(), a.frames(),
		a.ui(), a.docs(), a.completion(), a.top())
	wordHelp(root)
	return root
}

// client opens the cluster. The caller closes it.
func (a *app) client() (*s4.Client, error) {
	cluster, err := s4.LoadCluster(a.conf)
	if err != nil {
		return nil, err
	}
	secret, err := s4.LoadSecret(a.secretFile)
	if err != nil {
		return nil, err
	}
	a.sealed = secret.IsSet()
	return s4.NewClient(cluster, &s4.Options{Compress: s4.Compression(a.compress), Secret: secret}), nil
}

// run makes a verb's RunE of f. It opens the cluster, closes it, and marks errors as
// failures.
func (a *app) run(f func(ctx context.Context, c *s4.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return failure{err}
		}
		defer c.Close()
		r := cmd.Flags().Lookup("recursive")
		a.mayRecurse = r != nil && !r.Changed
		err = f(cmd.Context(), c, args)
		var u usageError
		if err == nil || errors.As(err, &u) {
			return err
		}
		return failure{a.missing(cmd.Context(), c, err)}
	}
}

// runPrinting is run for a verb that does nothing but print: when ctx ends, it is left
// alone in a Write to a pipe that nobody reads.
func (a *app) runPrinting(f func(ctx context.Context, c *s4.Client, args []string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, c *s4.Client, args []string) error {
		return unlessStuck(ctx, func() error { return f(ctx, c, args) })
	})
}

// usageError is an error in the arguments that cobra does not find.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}
