package nodetest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// Cluster is a cluster in this process.
type Cluster struct {
	*node.Local
	Dir string // data directories are Dir/0, Dir/1, …
}

// Start starts n nodes with cfg in a temporary directory. They are shut down
// when the test ends.
func Start(tb testing.TB, n int, cfg node.Config) *Cluster {
	tb.Helper()
	return StartIn(tb, tb.TempDir(), n, cfg)
}

// StartIn is Start with a directory, which may hold an earlier cluster.
func StartIn(tb testing.TB, dir string, n int, cfg node.Config) *Cluster {
	tb.Helper()
	l, err := node.StartLocal(dir, n, 0, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{Local: l, Dir: dir}
	tb.Cleanup(c.Stop)
	return c
}

// stopGrace is how long transfers may go on when a test ends.
const stopGrace = 3 * time.Second

// Stop shuts the nodes down now.
func (c *Cluster) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	_ = c.Shutdown(ctx)
}

// Data returns the data directory of node i.
func (c *Cluster) Data(i int) string { return filepath.Join(c.Dir, strconv.Itoa(i)) }

// Client returns a client that is closed when the test ends.
func (c *Cluster) Client(tb testing.TB, opts *s4.Options) *s4.Client {
	tb.Helper()
	return NewClient(tb, c.Cluster, opts)
}

// NewClient returns a client of any cluster, closed when the test ends.
func NewClient(tb testing.TB, cluster *s4.Cluster, opts *s4.Options) *s4.Client {
	tb.Helper()
	client := s4.NewClient(cluster, opts)
	tb.Cleanup(func() { client.Close() })
	return client
}

// Proxied is a cluster with a Proxy before every node. The cluster file lists
// the proxies, so clients and peers go through them.
type Proxied struct {
	Cluster *s4.Cluster
	Nodes   []*node.Node
	Proxies []*Proxy
	Dir     string
	cfg     node.Config
	wg      sync.WaitGroup
}

// StartProxied starts n nodes, each behind a proxy, until the test ends.
func StartProxied(tb testing.TB, n int, cfg node.Config) *Proxied {
	tb.Helper()
	c := &Proxied{Dir: tb.TempDir()}
	var list strings.Builder
	var listeners []net.Listener
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		listeners = append(listeners, ln)
		p := NewProxy(tb, ln.Addr().String())
		c.Proxies = append(c.Proxies, p)
		fmt.Fprintln(&list, p.Addr())
	}
	var err error
	if c.Cluster, err = s4.ParseCluster(strings.NewReader(list.String()), "proxied"); err != nil {
		tb.Fatal(err)
	}
	c.cfg = cfg
	c.Nodes = make([]*node.Node, n)
	tb.Cleanup(c.Stop)
	for i := range n {
		c.serve(tb, i, listeners[i])
	}
	return c
}

func (c *Proxied) serve(tb testing.TB, i int, ln net.Listener) {
	tb.Helper()
	cfg := c.cfg
	cfg.Cluster, cfg.Index, cfg.Dir = c.Cluster, i, c.Data(i)
	nd, err := node.New(cfg)
	for end := time.Now().Add(stopGrace); err != nil && time.Now().Before(end); nd, err = node.New(cfg) {
		// A command that this process is starting holds a copy of the former lock until
		// its exec.
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		tb.Fatal(err)
	}
	c.Nodes[i] = nd
	c.wg.Go(func() { _ = nd.Serve(ln) })
}

// StopNode shuts node i down. It does not wait for what is under way.
func (c *Proxied) StopNode(i int) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	c.Nodes[i].Shutdown(now)
}

// StartNode starts node i again, which StopNode has stopped.
func (c *Proxied) StartNode(tb testing.TB, i int) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c.Proxies[i].SetTarget(ln.Addr().String())
	c.serve(tb, i, ln)
}

// Stop shuts the nodes down now.
func (c *Proxied) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	var wg sync.WaitGroup
	for _, n := range c.Nodes {
		if n != nil {
			wg.Go(func() { n.Shutdown(ctx) })
		}
	}
	wg.Wait()
	c.wg.Wait()
}

// Data returns the data directory of node i.
func (c *Proxied) Data(i int) string { return filepath.Join(c.Dir, strconv.Itoa(i)) }

// Client returns a client that is closed when the test ends.
func (c *Proxied) Client(tb testing.TB, opts *s4.Options) *s4.Client {
	tb.Helper()
	return NewClient(tb, c.Cluster, opts)
}
