package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/nathants/s4/cli/server/metrics"
	"github.com/nathants/s4/node"
)

// web is the HTTP server of --http: metrics, health and profiles. A nil *web is that of
// a server without the flag, and does nothing.
type web struct {
	ln      net.Listener
	metrics *metrics.Metrics
	srv     *http.Server
	cancel  context.CancelFunc // ends profiles that are being made
	wg      sync.WaitGroup     // the accept loop and all requests; Add under mu
	mu      sync.Mutex
	closed  bool // no more requests; guarded by mu
}

// Limits of the HTTP server, for clients that are slow or stuck. A profile may be made
// for as long as an answer may take.
const (
	webRead  = 10 * time.Second
	webWrite = 5 * time.Minute
	webIdle  = 2 * time.Minute
	webStop  = time.Second // for requests under way, when the server stops
)

// webAddr returns the address to listen on: a port alone is of loopback.
func webAddr(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil && !strings.Contains(text, ":") {
		host, port, err = "", text, nil
	}
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return "", fmt.Errorf("--http %s: a port, or HOST:PORT", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// listenWeb opens the port, so that an address that is in use is an error at the start.
// close must be called. addr is of webAddr, or empty for no server.
func listenWeb(addr, version string) (*web, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err, "choose another --http")
	}
	return &web{ln: ln, metrics: metrics.New(version)}, nil
}

// observe returns a node.Config's Observe.
func (w *web) observe() func(server int) node.Observer {
	if w == nil {
		return nil
	}
	return w.metrics.Observer
}

// serve answers requests about nodes, until close.
func (w *web) serve(nodes []*node.Node, log *zap.Logger) {
	if w == nil {
		return
	}
	for _, n := range nodes {
		w.metrics.Add(n.Index(), n)
	}
	errorLog, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		errorLog = zap.NewStdLog(log)
	}
	mux := http.NewServeMux() // not the default one, where any package may register
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.metrics.Registry, promhttp.HandlerOpts{ErrorLog: errorLog, MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { healthz(rw, nodes) })
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.srv = &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.enter() {
				defer w.wg.Done()
				mux.ServeHTTP(rw, r)
			}
		}),
		ReadHeaderTimeout: webRead,
		ReadTimeout:       webRead,
		WriteTimeout:      webWrite,
		IdleTimeout:       webIdle,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          errorLog,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	w.wg.Go(func() {
		if err := w.srv.Serve(w.ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("no more metrics", zap.Error(err))
		}
	})
	log.Info("serving metrics, health and profiles", zap.String("http", "http://"+w.ln.Addr().String()))
}

// enter counts a request that close waits for, unless it is too late.
func (w *web) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.wg.Add(1)
	}
	return !w.closed
}

// close ends the server and waits for what it does.
func (w *web) close() {
	switch {
	case w == nil:
		return
	case w.srv == nil: // serve was not called
		w.ln.Close()
		return
	}
	w.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), webStop)
	defer cancel()
	if w.srv.Shutdown(ctx) != nil {
		w.srv.Close()
	}
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// healthz says ok if all nodes are healthy, as s4 health sees it, and else which is not.
func healthz(rw http.ResponseWriter, nodes []*node.Node) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	for _, n := range nodes {
		if err := n.Healthy(); err != nil {
			rw.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(rw, "server %d: %v\n", n.Index(), err)
			return
		}
	}
	fmt.Fprintln(rw, "ok")
}
