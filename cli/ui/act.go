package ui

import (
	"context"
	"net/http"

	"github.com/nathants/s4"
)

// actions are what a page can do with a job.
var actions = map[string]string{
	"cancel": "Cancel",
	"resume": "Resume",
}

type confirmPage struct {
	Base, CSRF   string
	Action, Name string
	Job          s4.JobStatus
}

// confirm asks whether to do it. Nothing is done without a form of this page.
func (u *UI) confirm(w http.ResponseWriter, r *http.Request) {
	id, action := r.PathValue("id"), r.PathValue("action")
	name, ok := actions[action]
	if !ok {
		http.NotFound(w, r)
		return
	}
	job, err := u.client.Job(r.Context(), id)
	if job.ID == "" {
		u.fail(w, err)
		return
	}
	u.write(w, http.StatusOK, "confirm", page{Title: name + " job " + id, Body: confirmPage{u.Path(), u.csrf, action, name, job}})
}

// act does it, and leads back to the job.
func (u *UI) act(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var err error
	switch r.PathValue("action") {
	case "cancel":
		err = u.client.CancelJob(r.Context(), id)
	case "resume":
		err = u.resume(r.Context(), id)
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		u.fail(w, err)
		return
	}
	http.Redirect(w, r, u.Path()+"jobs/"+id, http.StatusSeeOther)
}

// resume resumes a job, and returns when it runs or cannot. This process is its client
// until it is over: if the process ends before, the job is suspended again.
func (u *UI) resume(ctx context.Context, id string) error {
	job, err := u.client.Job(ctx, id)
	if job.ID == "" {
		return err
	}
	begun := make(chan error, 2)
	opts := job.Options
	opts.Started = func(string) { begun <- nil }
	u.wg.Go(func() {
		_, err := u.client.ResumeJob(u.ctx, id, &opts)
		u.mu.Lock()
		u.resumed[id] = err
		u.mu.Unlock()
		begun <- err
	})
	select {
	case err := <-begun:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
