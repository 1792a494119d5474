package s3test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// Proxy passes requests on to an S3 server, and does to them what its rules say. It
// changes no header of a request, so that signatures hold: a server sees the host of
// the proxy.
type Proxy struct {
	URL string // http://host:port

	server    *http.Server
	transport *http.Transport
	quit      chan struct{}  // closed by close
	wg        sync.WaitGroup // of serve and of all requests

	mu    sync.Mutex
	rules []*ruling
	calls []Call
}

// connKey is the key of a request's context for the connection that it came on.
type connKey struct{}

// NewProxy starts a proxy on a free port of loopback, for the server at a URL. It has
// no rules. It is closed when the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{
		URL: "http://" + ln.Addr().String(),
		// As many connections as the client has, and bytes as they are.
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		quit:      make(chan struct{}),
	}
	p.server = &http.Server{
		Handler:     p.handler(u),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:    log.New(io.Discard, "", 0), // faults are meant
	}
	p.wg.Go(func() {
		if err := p.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("s3test: proxy: %v", err)
		}
	})
	tb.Cleanup(p.close)
	return p
}

// Front is the server as it is seen through the proxy.
func (p *Proxy) Front(s *Server) *Server {
	front := *s
	front.Endpoint = p.URL
	return &front
}

// Set makes these the rules for requests that come from now on. Those before are gone,
// with what they have counted. Of several that fit, all strike, in this order, until
// one answers.
func (p *Proxy) Set(rules ...Rule) {
	list := make([]*ruling, len(rules))
	for i, r := range rules {
		list[i] = newRuling(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = list
}

// Calls returns the requests so far, in the order in which they came.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Forget begins a new count of requests.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// Count returns how many requests asked for one of the operations, or for any if none
// is given.
func (p *Proxy) Count(ops ...Op) int {
	n := 0
	for _, c := range p.Calls() {
		if len(ops) == 0 || slices.Contains(ops, c.Op) {
			n++
		}
	}
	return n
}

// Struck returns how many requests a rule has struck. A test of a fault must see that it
// has happened.
func (p *Proxy) Struck() int {
	n := 0
	for _, c := range p.Calls() {
		if c.Struck {
			n++
		}
	}
	return n
}

// close ends all connections, and waits for the requests under way.
func (p *Proxy) close() {
	close(p.quit)
	_ = p.server.Close() // the listener's error says nothing to the test
	p.wg.Wait()
	p.transport.CloseIdleConnections()
}

// begin notes a call and returns the faults that it meets.
func (p *Proxy) begin(c Call) (faults []Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rules {
		if r.strikes(c) {
			c.Struck = true
			faults = append(faults, r.Fault)
		}
	}
	p.calls = append(p.calls, c)
	return faults
}

// exchangeKey is the key of a request's context for its exchange.
type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

func (p *Proxy) handler(target *url.URL) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		Transport:     p.transport,
		FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			x := exchangeOf(resp.Request)
			for _, edit := range x.header {
				edit(resp.Header)
			}
			for _, wrap := range x.body {
				resp.Body = wrap(resp.Body)
			}
			return nil
		},
		// A server that is gone, or a body that was cut, is a connection that ends.
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) { exchangeOf(r).reset() },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.wg.Add(1)
		defer p.wg.Done()
		x := &exchange{w: w, conn: r.Context().Value(connKey{}).(*net.TCPConn), quit: p.quit}
		x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		for _, f := range p.begin(newCall(r)) {
			if f.strike != nil && f.strike(x) {
				return
			}
		}
		forward.ServeHTTP(w, x.r)
	})
}
