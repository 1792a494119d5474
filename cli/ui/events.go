package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// events sends the part of a page that changes whenever it has changed, as server-sent
// events: https://html.spec.whatwg.org/multipage/server-sent-events.html. Each is a JSON
// string, which has no line end.
func (u *UI) events(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("job")
	watcher := u.poller.watch(id)
	defer u.poller.leave(watcher)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil || out.Flush() != nil {
		return
	}
	var sent []byte
	for {
		var s *snapshot
		select {
		case <-r.Context().Done():
			return
		case s = <-watcher.news:
		}
		part, err := u.part(s, id)
		if err != nil {
			return
		}
		if bytes.Equal(part, sent) {
			continue
		}
		sent = part
		text, err := json.Marshal(string(part))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil || out.Flush() != nil {
			return
		}
	}
}

// part renders the part of a page that changes: of a job, or of the first page.
func (u *UI) part(s *snapshot, job string) ([]byte, error) {
	var b bytes.Buffer
	if job == "" {
		err := u.pages.ExecuteTemplate(&b, "overview-live", u.overviewPage(s))
		return b.Bytes(), err
	}
	err := u.pages.ExecuteTemplate(&b, "job-live", u.jobPage(job, s.view(job), s.err))
	return b.Bytes(), err
}
