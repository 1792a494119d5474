package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/nathants/s4"
)

// Local is a cluster of several nodes in this process, on loopback: what
// s4-server --nodes runs, and the tests.
type Local struct {
	Cluster *s4.Cluster // Path is its cluster file, dir/s4.conf
	Nodes   []*Node
	wg      sync.WaitGroup // Serve loops
	serve   []error        // what they returned, by node; after wg
}

// StartLocal starts n nodes with data directories dir/0, dir/1, … and writes the
// cluster file dir/s4.conf. They listen on 127.0.0.1, on ports from port on. If port
// is 0, they use the ports of the cluster file if there is one already, or else free
// ports.
//
// cfg is used for all nodes; its Cluster, Index and Dir are ignored. The nodes share
// the machine's slots for tasks: MaxCPUJobs and MaxIOJobs are for all nodes together.
// They also share the connections to each other, so that there is not a number of these
// for every pair.
// A directory that was made with another number of nodes is refused, because its keys
// would not be found.
func StartLocal(dir string, n, port int, cfg Config) (*Local, error) {
	if n < 1 || n > 1000 {
		return nil, fmt.Errorf("%d nodes: give a number from 1 to 1000", n)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := cfg.Confinement.makeDir(dir); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "s4.conf")
	addrs, err := localAddrs(conf, n, port)
	if err != nil {
		return nil, err
	}
	l := &Local{serve: make([]error, n)}
	var listeners []net.Listener
	fail := func(err error) (*Local, error) {
		for _, ln := range listeners {
			ln.Close()
		}
		for _, node := range l.Nodes {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			node.Shutdown(ctx)
		}
		return nil, err
	}
	var text strings.Builder
	for _, a := range addrs {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			var sys *os.SyscallError
			if errors.As(err, &sys) {
				err = sys.Err
			}
			return fail(fmt.Errorf("cannot listen on %s: %w (stop what listens there, or choose another --dir or --port)", a, err))
		}
		listeners = append(listeners, ln)
		fmt.Fprintln(&text, ln.Addr())
	}
	if l.Cluster, err = s4.ParseCluster(strings.NewReader(text.String()), conf); err != nil {
		return fail(err)
	}
	cfg.Cluster = l.Cluster
	cfg = cfg.withDefaults()
	for i := range n {
		cfg.Index, cfg.Dir = i, filepath.Join(dir, strconv.Itoa(i))
		node, err := New(cfg)
		if err != nil {
			return fail(err)
		}
		l.Nodes = append(l.Nodes, node)
	}
	if err := os.WriteFile(conf, []byte(text.String()), 0o644); err != nil {
		return fail(err)
	}
	for i, node := range l.Nodes {
		l.wg.Go(func() { l.serve[i] = node.Serve(listeners[i]) })
	}
	return l, nil
}

// localAddrs returns the addresses to listen on.
func localAddrs(conf string, n, port int) ([]string, error) {
	var addrs []string
	old, err := s4.LoadCluster(conf)
	switch {
	case err == nil && len(old.Servers) != n:
		return nil, fmt.Errorf("%s was made with %d nodes, not %d (a cluster cannot be resized; choose another --dir)", filepath.Dir(conf), len(old.Servers), n)
	case port != 0:
		for i := range n {
			addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i)))
		}
	case err == nil:
		for _, s := range old.Servers {
			addrs = append(addrs, s.String())
		}
	default:
		for range n {
			addrs = append(addrs, "127.0.0.1:0")
		}
	}
	return addrs, nil
}

// Shutdown stops all nodes at once; see Node.Shutdown.
func (l *Local) Shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, n := range l.Nodes {
		wg.Go(func() { n.Shutdown(ctx) })
	}
	wg.Wait()
	l.wg.Wait()
	return errors.Join(l.serve...)
}
