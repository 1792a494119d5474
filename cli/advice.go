package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nathants/s4"
)

// longJob is the default of app.longJob.
const longJob = 5 * time.Minute

// adviseOnResult makes errors end with what to do about a job that this command has run.
func (a *app) adviseOnResult(ctx context.Context, c *s4.Client, res s4.JobResult, keep bool, took time.Duration) {
	if !res.Suspended {
		a.adviseOn(res.ID, s4.JobFailed, keep, res.JobProgress, took)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if s, _ := c.Job(ctx, res.ID); s.State == s4.JobSuspended && !s.Resumable {
		a.adviseOnPart(res.ID) // a server came back with an empty disk, for instance
		return
	}
	a.adviseOn(res.ID, s4.JobSuspended, keep, res.JobProgress, took)
}

// adviseOn makes errors end with what to do about a job that was not published.
func (a *app) adviseOn(id string, state s4.JobState, keep bool, p s4.JobProgress, took time.Duration) {
	switch {
	case state == s4.JobSuspended:
		a.advice, a.kept = "kept: s4 jobs resume "+id, id
	case !keep && took > a.longJob && p.Done > 0:
		a.advice = fmt.Sprintf("%d of %s had ended: --on-failure keep would have kept them", p.Done, count(p.Tasks, "task"))
	}
}

// adviseOnPart makes errors end with what to do about a suspended job of which a server
// has lost its part.
func (a *app) adviseOnPart(id string) {
	a.advice = "s4 jobs discard " + id + " removes what is kept elsewhere"
}

// adviseOnGlob makes an error end with what the globs of a job are, if no key matches
// because INDIR has one of the other verbs, which are those of bash.
func (a *app) adviseOnGlob(indir string, err error) {
	if errors.Is(err, s4.ErrNotFound) && (strings.Contains(indir, "{") || strings.Contains(indir, "**")) {
		a.advice = "the globs of a job are *, ?, [a-z] and [^a-z]"
	}
}
