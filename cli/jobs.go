package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) jobs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "list the jobs of the map verbs; show, cancel, resume or wait for one",
		Long: `List the jobs that run and the last ones that ran, over all servers, the newest
first: id, state, verb, tasks that succeeded and all, tasks that failed, start,
duration, directories, and of a suspended job the bytes kept and for how long.

States are running; publishing, when all tasks have ended; unsettled, when the
client was lost in that moment and the servers settle among themselves whether
to publish; done; partly, when tasks failed with --keep-going; failed; canceled;
suspended, when a job with --on-failure keep failed, was canceled, or lost its
client: s4 jobs resume goes on with it, and s4 jobs discard removes what is kept,
which s4-server --keep-suspended does after a day.

An ID may be shortened to its first digits, if no other job's begins with them.`,
		Example: `  s4 jobs
  s4 jobs show 4f2a
  s4 jobs cancel 4f2a`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return fmt.Errorf("unknown verb %q, did you mean %s?", args[0], near[0])
			}
			return fmt.Errorf("unknown verb %q", args[0])
		},
		RunE: a.run(func(ctx context.Context, c *s4.Client, _ []string) error {
			list, err := c.Jobs(ctx)
			if perr := a.listJobs(list); perr != nil {
				return perr
			}
			return leftOut(err)
		}),
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(a.jobsShow(), a.jobsCancel(), a.jobsWait(), a.jobsResume(), a.jobsDiscard())
	return cmd
}

// leftOut says in the error of a server that did not answer that the numbers which are
// printed beside it are without that server's.
func leftOut(err error) error {
	var e *s4.Error
	if !errors.As(err, &e) || e.Server == "" {
		return err
	}
	told := *e
	told.Text = "the totals leave out a server: " + e.Text
	return &told
}

func (a *app) listJobs(list []s4.JobStatus) error {
	if a.json {
		for _, s := range list {
			if err := a.line("", newJobObject(s)); err != nil {
				return err
			}
		}
		return nil
	}
	out := newTable(a.stdout)
	now := time.Now()
	for _, s := range list {
		fmt.Fprintf(out, "%s\t%s\t%s\t%d/%s\t%d failed\t%s\t%s\t%s -> %s", s.ID, s.State, s.Verb, s.Done, count(s.Tasks, "task"),
			s.Failed, stamp(s.Started), seconds1(jobTook(s, now)), indirText(s), outdirText(s))
		if s.State == s4.JobSuspended {
			fmt.Fprintf(out, "  (%s)", keptText(s, now))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// indirText says what a job's tasks read.
func indirText(s s4.JobStatus) string {
	if s.Manifest {
		return "manifest"
	}
	text := oneLine(s.Indir)
	if n := len(s.Options.MoreIndirs); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// chosenText says which keys of its input a job means, if not all.
func chosenText(s s4.JobStatus) string {
	var p []string
	if s.Listed {
		p = append(p, "--from-file")
	}
	if s.Options.NoGlob {
		p = append(p, "--no-glob")
	}
	for _, r := range s.Options.Filter.Rules() {
		flag := "--exclude"
		if r[0] == '+' {
			flag = "--include"
		}
		p = append(p, flag+" '"+oneLine(r[1:])+"'")
	}
	return strings.Join(p, " ")
}

// outdirText says where they write, in the words of the command line.
func outdirText(s s4.JobStatus) string {
	if s.Outdir == "" {
		return "-"
	}
	return oneLine(s.Outdir)
}

// keptText says how much of a suspended job is kept, and for how long it has been.
func keptText(s s4.JobStatus, now time.Time) string {
	return fmt.Sprintf("%s kept for %s", flags.FormatSize(s.Bytes), seconds(max(0, now.Sub(s.Ended).Seconds())))
}

// jobTook returns how long a job has run.
func jobTook(s s4.JobStatus, now time.Time) time.Duration {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	return max(0, now.Sub(s.Started)) // the server's clock may be ahead, or was set back
}

// seconds1 prints how long something took, with tenths of a second below a minute.
func seconds1(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return seconds(d.Seconds())
}

// jobObject is a job as --json prints it.
type jobObject struct {
	ID          string      `json:"job"`
	State       s4.JobState `json:"state"`
	Verb        string      `json:"verb"`
	Indir       string      `json:"indir"`
	MoreIndirs  []string    `json:"more_indirs,omitempty"`
	Rules       []string    `json:"rules,omitempty"`
	Outdir      string      `json:"outdir"`
	Command     text        `json:"command"`
	Started     time.Time   `json:"started"`
	Ended       *time.Time  `json:"ended,omitempty"`
	Tasks       int64       `json:"tasks"`
	Done        int64       `json:"done"`
	Failed      int64       `json:"failed"`
	Skipped     int64       `json:"skipped"`
	Running     int64       `json:"running"`
	Keys        int64       `json:"keys"`
	Bytes       int64       `json:"bytes"`
	BytesIn     int64       `json:"bytes_in"`
	BytesPushed int64       `json:"bytes_pushed"`
	Error       text        `json:"error,omitempty"`
	KeptBytes   *int64      `json:"kept_bytes,omitempty"` // of a suspended job
	Resumable   *bool       `json:"resumable,omitempty"`  // of a suspended job
}

func newJobObject(s s4.JobStatus) jobObject {
	o := jobObject{ID: s.ID, State: s.State, Verb: s.Verb, Indir: s.Indir, Outdir: s.Outdir, Command: text(s.Command), Started: s.Started,
		Tasks: s.Tasks, Done: s.Done, Failed: s.Failed, Skipped: s.Skipped, Running: s.Running,
		Keys: s.Keys, Bytes: s.Bytes, BytesIn: s.BytesIn, BytesPushed: s.Pushed, Error: text(errText(s))}
	o.MoreIndirs, o.Rules = s.Options.MoreIndirs, s.Options.Filter.Rules()
	if !s.Ended.IsZero() {
		o.Ended = &s.Ended
	}
	if s.State == s4.JobSuspended {
		o.KeptBytes, o.Resumable = &s.Bytes, &s.Resumable
	}
	return o
}

// errText says why a job failed, without the key if that is the job's INDIR: it is
// printed beside this.
func errText(s s4.JobStatus) string {
	e := s.Err
	if e == nil {
		return ""
	}
	if e.Key == cmp.Or(s.Indir, s.Outdir) {
		return e.What()
	}
	return e.Key + ": " + e.What()
}

// idLen is the length of a job's ID.
const idLen = 16

// jobID returns the full ID of the job that a user means. given may be its first
// digits: then it asks all servers, and waits for those that do not answer. Errors name
// the job as the user wrote it.
func (a *app) jobID(ctx context.Context, c *s4.Client, given string, patience time.Duration) (string, error) {
	a.subject = given
	id := strings.ToLower(given)
	unknown := &s4.Error{Kind: s4.ErrNoJob}
	switch {
	case id == "" || len(id) > idLen || strings.Trim(id, "0123456789abcdef") != "":
		return "", unknown
	case len(id) == idLen:
		return id, nil
	}
	list, err := a.allJobs(ctx, c, patience)
	var found []string
	for _, s := range list {
		if strings.HasPrefix(s.ID, id) {
			found = append(found, s.ID)
		}
	}
	switch {
	case len(found) > 1:
		return "", &s4.Error{Kind: s4.ErrBadRequest, Text: fmt.Sprintf("%d jobs begin with it, such as %s and %s: give more digits", len(found), found[0], found[1])}
	case err != nil: // a server that did not answer may have another job that matches
		return "", err
	case len(found) == 0:
		return "", unknown
	}
	return found[0], nil
}

// askAgain is the time between two questions to servers of which one did not answer.
const askAgain = 500 * time.Millisecond

// allJobs returns the jobs of all servers. It waits for those that do not answer.
func (a *app) allJobs(ctx context.Context, c *s4.Client, patience time.Duration) ([]s4.JobStatus, error) {
	start, told := time.Now(), false
	for {
		list, err := c.Jobs(ctx)
		var e *s4.Error
		if !errors.Is(err, s4.ErrUnavailable) && !errors.Is(err, s4.ErrTimeout) || !errors.As(err, &e) || time.Since(start) >= patience {
			return list, err
		}
		if !told {
			a.note("waiting for %s", e.Server)
			told = true
		}
		select {
		case <-ctx.Done():
			return list, ctx.Err()
		case <-time.After(askAgain):
		}
	}
}

// jobVerb makes the RunE of a sub-verb that takes the ID of a job.
func (a *app) jobVerb(f func(ctx context.Context, c *s4.Client, id string) error) func(*cobra.Command, []string) error {
	return a.patientJobVerb(new(timeoutFlag), f)
}

// patientJobVerb is jobVerb, and waits for servers that do not answer.
func (a *app) patientJobVerb(patience *timeoutFlag, f func(ctx context.Context, c *s4.Client, id string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, c *s4.Client, args []string) error {
		id, err := a.jobID(ctx, c, args[0], time.Duration(*patience))
		if err == nil {
			err = f(ctx, c, id)
		}
		var e *s4.Error
		if errors.As(err, &e) && e.Kind == s4.ErrNoJob {
			e.Key = args[0] // as the user wrote it
		}
		return err
	})
}

func (a *app) jobsCancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "stop a job on all servers, whoever started it",
		Long: `Stop a job on all servers, whoever started it. Its commands are killed and there
is no output; one with --on-failure keep is suspended. Exit code 1 if it is over, or if
it is too late because its output is being published. A server that is down stops its
part when it is back.`,
		Example: `  s4 jobs cancel 4f2a`,
		Args:    wantArgs(1, 1),
		RunE: a.jobVerb(func(ctx context.Context, c *s4.Client, id string) error {
			if err := c.CancelJob(ctx, id); err != nil {
				if s, _ := c.Job(ctx, id); s.State == s4.JobSuspended {
					a.advice = "remove what is kept: s4 jobs discard " + id
				}
				return err
			}
			state := s4.JobCanceled
			s := settled(ctx, c, id)
			if s.State == s4.JobSuspended {
				state = s.State
			}
			if a.json {
				return a.line("", map[string]any{"job": id, "state": state})
			}
			if state == s4.JobSuspended {
				a.note("suspended job %s (go on: s4 jobs resume %s; remove what is kept: s4 jobs discard %s)", id, id, id)
			} else {
				a.note("canceled job %s", id)
			}
			if !s.LostSince.IsZero() {
				a.note("%s does not answer, and stops its part when it is back", c.Cluster().Servers[s.Lost])
			}
			return nil
		}),
	}
}

// settleTime is how long a job may take to stop that was canceled.
const settleTime = 10 * time.Second

// settled waits until a job that was canceled is over, for as long as it may take.
func settled(ctx context.Context, c *s4.Client, id string) s4.JobStatus {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	s, _ := c.WaitJob(ctx, id, nil) // the job was canceled, whatever becomes of the question
	return s
}
