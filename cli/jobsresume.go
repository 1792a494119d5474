package cli

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) jobsResume() *cobra.Command {
	var f mapFlags
	cmd := &cobra.Command{
		Use:   "resume ID",
		Short: "go on with a suspended job",
		Long: `Go on with a job that --on-failure keep has suspended: run the tasks that are
missing, those that failed and those whose input has changed, and publish all output
at once. If it fails again, it is suspended again. Attempts are counted on.

The job has the command and the options that it was started with. --retries, --timeout
and --server-wait take the place of its own, and --file replaces a file of that name,
which it must have. All servers must be there, and have their part of it, and this
command must stay until the end.

Keys that were put into INDIR since the job was started are no part of it. One that was
removed must be put back, or its task fails. A key that has come into OUTDIR meanwhile
is in the way: remove it.`,
		Example: `  s4 jobs resume 4f2a
  s4 jobs resume 4f2a --retries 2 --file parse`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.retries < 0 || f.retries > math.MaxInt32 {
				return errRetries
			}
			return wantArgs(1, 1)(cmd, args)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.retries, "retries", 0, "run a task that fails again, up to `N` times")
	fl.Var(&f.timeout, "timeout", "fail a task that runs longer than `D`, as in 90s, 5m or 30 (seconds)")
	fl.Var(&f.serverWait, "server-wait", "wait `D` for a server that is lost meanwhile, 0 to fail at once")
	fl.StringVar(&f.joblog, "joblog", "", "write a line per task to `FILE`, tab-separated")
	fl.StringArrayVar(&f.files, "file", nil, "send the file `PATH` along, in place of the job's file of that name (repeatable)")
	f.secrets.register(fl)
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "print the job's id when it starts")
	fl.Lookup("timeout").DefValue, fl.Lookup("server-wait").DefValue = "", "" // the job's own
	cmd.RunE = a.jobVerb(func(ctx context.Context, c *s4.Client, id string) error {
		s, err := c.Job(ctx, id)
		if s.ID == "" {
			return err
		}
		j := &mapJob{mapHelpText: mapHelpText{verb: s4.Verb(s.Verb)}, opts: s.Options, resume: id}
		if fl.Changed("retries") {
			j.opts.Retries = f.retries
		}
		if fl.Changed("timeout") {
			j.opts.Timeout = time.Duration(f.timeout)
		}
		if fl.Changed("server-wait") {
			j.opts.ServerWait = time.Duration(f.serverWait)
		}
		for _, path := range f.files {
			j.opts.Files = append(j.opts.Files, s4.JobFile{Path: path})
		}
		if err := f.secrets.set(&j.opts); err != nil {
			return err
		}
		f.keepGoing = j.opts.KeepGoing
		err = a.runMap(ctx, c, j, &f)
		var e *s4.Error
		if ctx.Err() == nil && errors.As(err, &e) && e.Op == s.Verb {
			a.report(s.Verb, err) // as the map verb would have said it
			return errReported
		}
		return err
	})
	return cmd
}

func (a *app) jobsDiscard() *cobra.Command {
	return &cobra.Command{
		Use:   "discard ID",
		Short: "remove what a suspended job has staged",
		Long: `Remove what a suspended job has staged, on all servers. One that runs is canceled,
and nothing of it is kept.

While a server is down, what the others keep is removed, and the exit code is 1: discard
the job again when it is back. Servers do so themselves after s4-server
--keep-suspended.`,
		Example: `  s4 jobs discard 4f2a`,
		Args:    wantArgs(1, 1),
		RunE: a.jobVerb(func(ctx context.Context, c *s4.Client, id string) error {
			if err := c.DiscardJob(ctx, id); err != nil {
				return err
			}
			if a.json {
				return a.line("", map[string]any{"job": id, "state": s4.JobCanceled})
			}
			a.note("discarded job %s", id)
			return nil
		}),
	}
}
