package ui

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/nathants/s4"
)

// maxJobs is how many jobs the first page lists.
const maxJobs = 200

// page is what all pages have.
type page struct {
	Base  string // of all addresses: the path with the token
	Title string
	Live  string // address of the events, or empty
	Body  any
}

type overviewPage struct {
	Base    string
	Servers []serverRow
	Jobs    []s4.JobStatus
	More    int // jobs that are not listed
	Err     error
	Keys    int64
	Bytes   int64
}

// serverRow is a server as the first page lists it.
type serverRow struct {
	s4.ServerHealth
	Rate serverRate
}

// Running and Slots are numbers for what templates draw.
func (r serverRow) Running() int64 { return int64(r.Load.Running) }
func (r serverRow) Slots() int64   { return int64(r.Load.Slots) }

func (u *UI) overviewPage(s *snapshot) overviewPage {
	p := overviewPage{Base: u.Path(), Jobs: s.jobs, Err: s.err}
	if n := len(p.Jobs) - maxJobs; n > 0 {
		p.Jobs, p.More = p.Jobs[:maxJobs], n
	}
	for i, h := range s.health {
		row := serverRow{ServerHealth: h}
		if i < len(s.rates) {
			row.Rate = s.rates[i]
		}
		p.Servers = append(p.Servers, row)
		p.Keys += h.Keys
		p.Bytes += h.Bytes
	}
	return p
}

type jobPage struct {
	Base      string
	ID        string
	View      *jobView // nil if no server knows the job
	Err       error
	Resumed   error // how a job that was resumed from here has ended
	CanCancel bool
	CanResume bool
}

func (u *UI) jobPage(id string, v *jobView, err error) jobPage {
	p := jobPage{Base: u.Path(), ID: id, View: v, Err: err}
	if v == nil {
		return p
	}
	p.Err = v.Err
	p.CanCancel = !v.Job.State.Over()
	p.CanResume = v.Job.State == s4.JobSuspended && v.Job.Resumable
	u.mu.Lock()
	p.Resumed = u.resumed[id]
	u.mu.Unlock()
	return p
}

func (u *UI) overview(w http.ResponseWriter, r *http.Request) {
	u.write(w, http.StatusOK, "overview", page{Title: "Servers and jobs", Live: "events", Body: u.overviewPage(u.poll(r.Context(), nil, nil))})
}

func (u *UI) job(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	job, err := u.client.Job(r.Context(), id)
	if job.ID == "" {
		u.fail(w, err)
		return
	}
	u.write(w, http.StatusOK, "job", page{Title: "Job " + id, Live: "events?job=" + id, Body: u.jobPage(id, u.look(r.Context(), job, err), err)})
}

// write renders a page. It does so in memory, so that what goes wrong leaves no half of
// a page.
func (u *UI) write(w http.ResponseWriter, code int, name string, p page) {
	p.Base = u.Path()
	var b bytes.Buffer
	if err := u.pages.ExecuteTemplate(&b, name, p); err != nil {
		http.Error(w, "s4 ui: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = b.WriteTo(w) // a browser that has gone
}

// fail shows why there is no page.
func (u *UI) fail(w http.ResponseWriter, err error) {
	code := http.StatusBadGateway
	switch {
	case errors.Is(err, s4.ErrNoJob), errors.Is(err, s4.ErrNotFound):
		code = http.StatusNotFound
	case errors.Is(err, s4.ErrBadRequest):
		code = http.StatusBadRequest
	}
	u.write(w, code, "error", page{Title: http.StatusText(code), Body: err})
}
