package ui

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nathants/s4"
)

//go:embed static
var files embed.FS

// Options say who may see the page.
type Options struct {
	// Host is a host name under which the page is asked for, beside localhost and
	// addresses.
	Host string

	// Exposed lets the page be asked for under addresses that are not loopback.
	Exposed bool
}

// UI is the page of one cluster.
type UI struct {
	client *s4.Client
	opts   Options
	token  string // first element of every path
	csrf   string // in every form
	pages  *template.Template
	routes http.Handler
	origin *http.CrossOriginProtection
	poller *poller

	ctx     context.Context // ends what was begun for pages
	wg      sync.WaitGroup  // requests, the poller, jobs that are resumed
	mu      sync.Mutex
	resumed map[string]error // jobs resumed from here: nil while they run
}

// New makes the page of a client's cluster, with a token of its own. What it begins ends
// with ctx; Serve waits for that. The caller closes the client after Serve.
func New(ctx context.Context, client *s4.Client, opts Options) (*UI, error) {
	u := &UI{client: client, opts: opts, token: rand.Text(), csrf: rand.Text(), origin: http.NewCrossOriginProtection(), ctx: ctx, resumed: make(map[string]error)}
	var err error
	if u.pages, err = template.New("").Funcs(funcs()).ParseFS(files, "static/*.html"); err != nil {
		return nil, fmt.Errorf("parse the page: %w", err)
	}
	u.poller = &poller{poll: u.poll, every: pollEvery, life: ctx, wg: &u.wg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", u.overview)
	mux.HandleFunc("GET /browse", u.browse)
	mux.HandleFunc("GET /events", u.events)
	mux.HandleFunc("GET /jobs/{id}", u.job)
	mux.HandleFunc("GET /jobs/{id}/traffic", u.traffic)
	mux.HandleFunc("GET /jobs/{id}/{action}", u.confirm)
	mux.HandleFunc("POST /jobs/{id}/{action}", u.act)
	mux.Handle("GET /static/", http.FileServerFS(files))
	u.routes = http.StripPrefix("/"+u.token, mux)
	return u, nil
}

// Path returns the path of the first page. Whoever knows it may do all that the page
// can.
func (u *UI) Path() string { return "/" + u.token + "/" }

const (
	headerTimeout = 10 * time.Second // for a request to come
	stopGrace     = 2 * time.Second  // for answers that are under way in the end
)

// Serve answers on ln until the context of New ends or ln fails, and closes ln. When it
// returns, nothing of the page runs any more.
func (u *UI) Serve(ln net.Listener) error {
	ctx, cancel := context.WithCancel(u.ctx)
	srv := &http.Server{
		Handler:           u,
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends streams of events
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		late, stop := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer stop()
		if srv.Shutdown(late) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(ln)
	cancel()
	<-stopped
	u.wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
