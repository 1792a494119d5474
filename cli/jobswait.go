package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) jobsWait() *cobra.Command {
	patience := timeoutFlag(s4.DefaultServerWait)
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "wait until a job is over, and end as it does",
		Long: `Wait until a job is over, show how it gets on, and end as the map verb that it
is would have ended: exit code 0 if it is done, 1 if it failed, is done partly, was
canceled or is suspended, and with the same lines about what failed. Ctrl-C ends the
waiting and not the job.

Exit code 0 says that all output is there, on all servers. One that does not answer
may have yet to publish its part: it is waited for, and so are all servers while none
answers. After --server-wait the exit code is 1, and the error names the server.`,
		Example: `  id=$(s4 map --detach s4://bucket/in/ s4://bucket/out/ 'tr a-z A-Z')
  s4 jobs wait $id`,
		Args: wantArgs(1, 1),
		RunE: a.patientJobVerb(&patience, func(ctx context.Context, c *s4.Client, id string) error {
			return a.waitJob(ctx, c, id, time.Duration(patience))
		}),
	}
	cmd.Flags().Var(&patience, "server-wait", "wait `D` for a server that does not answer, 0 to end at once")
	return cmd
}

func (a *app) waitJob(ctx context.Context, c *s4.Client, id string, patience time.Duration) error {
	shown := a.watch("", c.Cluster().Servers)
	defer shown.stop()
	s, err := c.WaitJob(ctx, id, &s4.WaitOptions{ServerWait: patience, Progress: shown.updateJob})
	shown.stop()
	if err != nil {
		return err
	}
	if s.State == s4.JobDone || s.State == s4.JobPartly {
		if a.json {
			err = a.line("", newJobObject(s))
		} else {
			a.note("%s", summaryText(s4.JobResult{ID: s.ID, Keys: s.Keys, Bytes: s.Bytes, JobProgress: s.JobProgress}, jobTook(s, time.Now())))
		}
	}
	if err != nil || s.State == s4.JobDone {
		return err
	}
	if s.State == s4.JobSuspended && !s.Resumable {
		a.adviseOnPart(s.ID)
	} else {
		a.adviseOn(s.ID, s.State, s.Options.Keep || s.State == s4.JobPartly, s.JobProgress, jobTook(s, time.Now()))
	}
	return a.reportJob(ctx, c, s)
}

// reportJob prints why a job was not done, in the words of the map verb itself. If the
// job kept going, it prints all tasks that failed, and how many.
func (a *app) reportJob(ctx context.Context, c *s4.Client, s s4.JobStatus) error {
	var err error
	if s.State == s4.JobPartly {
		err = c.JobTasks(ctx, s.ID, func(t s4.JobTask) error {
			if t.State == s4.TaskFailed {
				a.report(s.Verb, t.Err)
			}
			return nil
		})
	}
	a.report(s.Verb, s.Err)
	if err != nil && !errors.Is(err, s4.ErrNoJob) {
		return err
	}
	return errReported
}
