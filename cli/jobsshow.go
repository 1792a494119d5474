package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) jobsShow() *cobra.Command {
	var failed, stderr bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show a job and its tasks",
		Long: `Show a job, a line for each attempt of a task that has ended or runs, and the
standard error of those that failed or were stopped with the job; with --stderr also
of those that succeeded, of which every server keeps the first 64 MiB of a job. Tasks
that had not begun have no line.`,
		Example: `  s4 jobs show 4f2a
  s4 jobs show 4f2a --failed`,
		Args: wantArgs(1, 1),
		RunE: a.jobVerb(func(ctx context.Context, c *s4.Client, id string) error {
			s, err := c.Job(ctx, id)
			if s.ID == "" {
				return err
			}
			v := jobView{app: *a, client: c, failed: failed, stderr: stderr}
			if verr := v.show(ctx, s); verr != nil {
				err = verr
			}
			return leftOut(err)
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&failed, "failed", false, "show the tasks that failed only")
	f.BoolVar(&stderr, "stderr", false, "show the standard error of tasks that succeeded, too")
	return cmd
}

// jobView prints a job and its tasks. It prints to a buffer.
type jobView struct {
	app
	client         *s4.Client
	failed, stderr bool
}

func (v *jobView) show(ctx context.Context, s s4.JobStatus) error {
	out := bufio.NewWriter(v.stdout)
	v.stdout = out
	var err error
	if v.json {
		if err = v.line("", newJobObject(s)); err == nil {
			err = v.tasks(ctx, s.ID, func(t s4.JobTask) error { return v.line("", newTaskObject(t)) })
		}
	} else {
		err = v.text(ctx, s)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

func (v *jobView) text(ctx context.Context, s s4.JobStatus) error {
	printJob(v.stdout, s)
	err := v.table(ctx, s.ID)
	// Ask for the tasks a second time: what they wrote may be more than fits in
	// memory. Do so even if a server is down, and show what the others have.
	terr := v.tasks(ctx, s.ID, func(t s4.JobTask) error {
		e := t.Err
		switch {
		case e != nil:
		case (t.State == s4.TaskDone && v.stderr || t.State == s4.TaskStopped) && t.Stderr != "":
			e = &s4.Error{Server: t.Server.String(), Text: string(t.State)}
		default:
			return nil
		}
		_, err := fmt.Fprintf(v.stdout, "\n%s: %s\n%s", t.Key, oneLine(e.Reason()), endLine(t.Stderr))
		return err
	})
	if err == nil {
		err = terr
	}
	return err
}

// tasks calls each for the tasks that are wanted.
func (v *jobView) tasks(ctx context.Context, id string, each func(s4.JobTask) error) error {
	return v.client.JobTasks(ctx, id, func(t s4.JobTask) error {
		if v.failed && t.State != s4.TaskFailed {
			return nil
		}
		return each(t)
	})
}

// tablePage is how many lines of a long table are held in memory to be aligned.
const tablePage = 1000

func (v *jobView) table(ctx context.Context, id string) error {
	table := newTable(v.stdout)
	now, n := time.Now(), 0
	err := v.tasks(ctx, id, func(t s4.JobTask) error {
		if n == 0 {
			fmt.Fprintln(v.stdout)
		}
		if n++; n%tablePage == 0 {
			if err := table.Flush(); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%.3fs\t%s\tattempt %d\n", t.State, t.Key, t.Server, taskTook(t, now).Seconds(), ending(t), t.Attempt)
		return err
	})
	if ferr := table.Flush(); err == nil {
		err = ferr
	}
	return err
}

// ending says how a task's command ended.
func ending(t s4.JobTask) string {
	switch {
	case t.State == s4.TaskRunning, t.State == s4.TaskStopped:
		return "-"
	case t.Signal != 0:
		return fmt.Sprintf("signal %d", t.Signal)
	}
	return fmt.Sprintf("exit %d", t.Exit)
}

// taskTook returns how long a task has run.
func taskTook(t s4.JobTask, now time.Time) time.Duration {
	if t.State == s4.TaskRunning {
		return max(0, now.Sub(t.Start)) // the server's clock may be ahead
	}
	return t.Wall
}

// endLine makes s end with a newline, if it is not empty.
func endLine(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

// printJob prints what is known of a job, a line for each field. It ignores errors: w
// is a buffer, and returns them from Flush.
func printJob(w io.Writer, s s4.JobStatus) {
	field := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-9s %s\n", name, text)
		}
	}
	field("id", s.ID)
	field("state", string(s.State))
	field("verb", s.Verb)
	indir := indirText(s)
	if s.Indir != "" {
		indir = oneLine(s.Indir)
	}
	field("indir", indir)
	for _, dir := range s.Options.MoreIndirs {
		field("", oneLine(dir))
	}
	field("chosen", chosenText(s))
	field("outdir", outdirText(s))
	for i, line := range strings.Split(strings.Trim(s.Command, "\n"), "\n") {
		name := "command"
		if i > 0 {
			name = ""
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-9s %s", name, printable(strings.ReplaceAll(line, "\t", "    "))), " "))
	}
	if s.NeedsSecrets {
		field("secrets", "in memory only")
	}
	field("started", stamp(s.Started))
	if !s.Ended.IsZero() {
		field("ended", fmt.Sprintf("%s, after %s", stamp(s.Ended), seconds1(jobTook(s, s.Ended))))
	}
	field("progress", progressText(s))
	field("keys", fmt.Sprint(s.Keys))
	field("bytes", flags.FormatSize(s.Bytes))
	field("error", oneLine(errText(s)))
	if s.State == s4.JobSuspended {
		field("kept", fmt.Sprintf("for %s", seconds(max(0, time.Since(s.Ended).Seconds()))))
		next := "s4 jobs discard " + s.ID
		if s.Resumable {
			resume := "s4 jobs resume " + s.ID
			if s.NeedsSecrets {
				resume += " --secret-env NAME"
			}
			next = resume + ", or " + next
		}
		field("next", next)
	}
}

// progressText says how far a job is. When one ends early, no server records the tasks
// that it stops.
func progressText(s s4.JobStatus) string {
	p := s.JobProgress
	stopped := int64(0)
	if s.State == s4.JobFailed || s.State == s4.JobCanceled {
		stopped = p.Tasks - p.Done - p.Failed
	}
	var text parts
	text.add(true, "%d/%s", p.Done, count(p.Tasks, "task"))
	text.add(p.Failed > 0, "%d failed", p.Failed)
	text.add(p.Skipped > 0, "%d skipped", p.Skipped)
	text.add(p.Running > 0, "%d running", p.Running)
	text.add(stopped > 0, "%d stopped or not begun", stopped)
	text.add(true, "%s in", flags.FormatSize(p.BytesIn))
	text.add(p.Pushed > 0, "%s shuffled", flags.FormatSize(p.Pushed))
	return text.String()
}

// taskObject is a task as --json prints it.
type taskObject struct {
	Key      string       `json:"key"`
	Server   string       `json:"server"`
	State    s4.TaskState `json:"state"`
	Attempt  int          `json:"attempt"`
	Start    time.Time    `json:"start"`
	Wall     float64      `json:"wall"`
	User     float64      `json:"user"`
	Sys      float64      `json:"sys"`
	MaxRSS   int64        `json:"max_rss"`
	BytesIn  int64        `json:"bytes_in"`
	BytesOut int64        `json:"bytes_out"`
	Exit     int          `json:"exit"`
	Signal   int          `json:"signal,omitempty"`
	Error    text         `json:"error,omitempty"`
	Stderr   text         `json:"stderr,omitempty"`
}

func newTaskObject(t s4.JobTask) taskObject {
	o := taskObject{Key: t.Key, Server: t.Server.String(), State: t.State, Attempt: t.Attempt, Start: t.Start,
		Wall: t.Wall.Seconds(), User: t.User.Seconds(), Sys: t.Sys.Seconds(), MaxRSS: t.MaxRSS,
		BytesIn: t.BytesIn, BytesOut: t.BytesOut, Exit: t.Exit, Signal: t.Signal, Stderr: text(t.Stderr)}
	if t.Err != nil {
		o.Error = text(t.Err.Text)
	}
	return o
}
