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
	"path"
	"slices"
	"sync"
	"testing"
)

// Proxy passes requests on to an S3 server, and does to them what its rules say. It
// changes no header of a request, so that signatures hold: a server sees the host of
// the proxy.
type Proxy struct {
	URL string // http://host:port

	tb        testing.TB
	server    *http.Server
	transport *http.Transport
	quit      chan struct{}  // closed by close
	wg        sync.WaitGroup // of Serve and of all connections

	mu    sync.Mutex
	rules []*ruling
	calls []*Call
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
		tb:  tb,
		// As many connections as the client has, and bytes as they are.
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		quit:      make(chan struct{}),
	}
	p.server = &http.Server{
		Handler:     p.handler(u),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:   p.count,
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

// count counts connections. A new one is told by Serve, which is counted itself.
func (p *Proxy) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		p.wg.Add(1)
	case http.StateClosed:
		p.wg.Done() // when the last request has been served
	}
}

// Front is the server as it is seen through the proxy.
func (p *Proxy) Front(s *Server) *Server {
	front := *s
	front.Endpoint = p.URL
	return &front
}

// Set makes these the rules for requests that come from now on. Those before are gone,
// with what they have counted. Of several that fit, all strike, in this order, until
// one answers. Those for answers have their turn when the answer comes.
func (p *Proxy) Set(rules ...Rule) {
	list := make([]*ruling, len(rules))
	for i, r := range rules {
		if _, err := path.Match(r.Key, ""); err != nil {
			p.tb.Errorf("s3test: rule for %q: %v", r.Key, err)
		}
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
	list := make([]Call, len(p.calls))
	for i, c := range p.calls {
		list[i] = *c
	}
	return list
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

// Struck returns how many requests have met a fault. One at an offset that a body does not
// have has not happened. A test of a fault must see that it has.
func (p *Proxy) Struck() int {
	n := 0
	for _, c := range p.Calls() {
		if c.Struck {
			n++
		}
	}
	return n
}

// close ends all connections, and waits for them.
func (p *Proxy) close() {
	close(p.quit)
	_ = p.server.Close() // the listener's error says nothing to the test
	p.wg.Wait()
	p.transport.CloseIdleConnections()
}

// begin notes a call, and returns the rules of its time.
func (p *Proxy) begin(c *Call) []*ruling {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, c)
	return p.rules
}

// happened notes that a call has met a fault.
func (p *Proxy) happened(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Struck = true
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
			for _, r := range x.rules {
				if r.Fault.response != nil && r.strikes(x.call, resp.ContentLength) {
					r.Fault.response(x, resp)
				}
			}
			return nil
		},
		// A server that is gone, or a body that was cut, is a connection that ends.
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) { exchangeOf(r).reset() },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := newCall(r)
		noted := call
		x := &exchange{
			w: w, conn: r.Context().Value(connKey{}).(*net.TCPConn), quit: p.quit,
			rules: p.begin(&noted), call: call, happened: func() { p.happened(&noted) },
		}
		x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		for _, rule := range x.rules {
			if rule.Fault.request != nil && rule.strikes(call, r.ContentLength) && rule.Fault.request(x) {
				return
			}
		}
		forward.ServeHTTP(w, x.r)
	})
}
