package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nathants/s4"
)

// startTries is how often a cluster is started anew when it does not come up:
// another program may take a port between its being found and its being used.
const startTries = 3

// startPatience is how long servers may take to be healthy.
const startPatience = 20 * time.Second

// Cluster is a running cluster of s4-server processes, one for each server.
type Cluster struct {
	Conf    string // the cluster file
	Pids    []int
	env     *Env
	dir     string
	list    *s4.Cluster
	daemons []*daemon
	enter   []string // words before a command that make it see the servers; mostly none
}

// host is where a server runs: its address, and words before its command, mostly
// none.
type host struct {
	addr  string
	enter []string
}

// StartCluster starts a cluster of n servers in a directory of its own. The caller
// closes it; rows want Env.Cluster, mostly.
func (e *Env) StartCluster(ctx context.Context, n int) (*Cluster, error) {
	var err error
	for range startTries {
		var hosts []host
		if hosts, err = freeHosts(n); err != nil {
			return nil, err
		}
		var c *Cluster
		if c, err = e.startServers(ctx, hosts, nil); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start a cluster of %d: %w", n, err)
}

// startServers starts a server on each host. enter is what makes a client see them.
func (e *Env) startServers(ctx context.Context, hosts []host, enter []string) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp(e.Dir, "cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Conf: filepath.Join(dir, "s4.conf"), env: e, dir: dir, enter: enter}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	var text strings.Builder
	for _, h := range hosts {
		fmt.Fprintln(&text, h.addr)
	}
	if err := os.WriteFile(c.Conf, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	if c.list, err = s4.LoadCluster(c.Conf); err != nil {
		return nil, err
	}
	for i, h := range hosts {
		argv := slices.Concat(h.enter, []string{e.server, "--dir", c.data(i), "--conf", c.Conf, "--index", strconv.Itoa(i)})
		d, err := startDaemon(fmt.Sprintf("s4-server %d", i), argv, syscall.SIGTERM, dir, nil)
		if err != nil {
			return nil, err
		}
		c.daemons = append(c.daemons, d)
		c.Pids = append(c.Pids, d.pid)
	}
	return c, c.await(ctx)
}

// freeHosts returns n free addresses of loopback.
func freeHosts(n int) ([]host, error) {
	var hosts []host
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all at once, so that no port is given twice
		hosts = append(hosts, host{addr: ln.Addr().String()})
	}
	return hosts, nil
}

// await waits until all servers are healthy.
func (c *Cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		_, _, err := c.s4(ctx, "health")
		if err == nil {
			return nil
		}
		for _, d := range c.daemons {
			if dead := d.alive(); dead != nil {
				return dead
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("servers are not healthy: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Command is s4 where it sees the cluster.
func (c *Cluster) Command(args ...string) Command {
	return Command{Args: slices.Concat(c.enter, []string{c.env.S4}, args), Env: c.Env()}
}

// s4 runs s4 and returns how many seconds it took, and its output.
func (c *Cluster) s4(ctx context.Context, args ...string) (float64, []byte, error) {
	u, out, err := c.env.run(ctx, c.Command(args...))
	return u.Wall.Seconds(), out, err
}

// side is the side of s4 that makes the keys that begin with out, which must be
// want.
func (c *Cluster) side(cmd Command, out string, want TreeSum) Side {
	return Side{
		Name:    "s4",
		Servers: c.Pids,
		Command: cmd,
		Keys:    want.Files,
		Check:   func(ctx context.Context, _ []byte) error { return checkTree(ctx, want, c.Dirs(out)...) },
		Clean:   func(ctx context.Context) error { return c.Remove(ctx, out) },
	}
}

// put puts a file or a tree, untimed, and checks it.
func (c *Cluster) put(ctx context.Context, path, to string, want TreeSum) error {
	if _, _, err := c.s4(ctx, "cp", "-q", "-r", path, to); err != nil {
		return fmt.Errorf("put what is to be moved: %w", err)
	}
	return checkTree(ctx, want, c.Dirs(to)...)
}

// Env returns the environment that makes s4 use this cluster.
func (c *Cluster) Env() []string { return []string{"S4_CONF_PATH=" + c.Conf} }

func (c *Cluster) data(i int) string { return filepath.Join(c.dir, strconv.Itoa(i)) }

// Path returns where the key's file is.
func (c *Cluster) Path(key string) string {
	name := strings.TrimPrefix(key, s4.Scheme)
	return filepath.Join(c.data(c.list.Place(name)), filepath.FromSlash(name))
}

// Dirs returns the directories, one of each server, that have the files of the
// keys below a prefix that ends in a slash; or of a key, where its file may be.
func (c *Cluster) Dirs(prefix string) []string {
	name := strings.TrimSuffix(strings.TrimPrefix(prefix, s4.Scheme), "/")
	dirs := make([]string, len(c.Pids))
	for i := range dirs {
		dirs[i] = filepath.Join(c.data(i), filepath.FromSlash(name))
	}
	return dirs
}

// Remove removes the key, or all keys below a prefix that ends in a slash. There
// may be none.
func (c *Cluster) Remove(ctx context.Context, prefix string) error {
	for _, dir := range c.Dirs(prefix) {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		_, _, err := c.s4(ctx, "rm", "-q", "-r", prefix)
		return err
	}
	return nil
}

// Close stops the servers and removes their directory.
func (c *Cluster) Close() error {
	var errs []error
	for _, d := range c.daemons {
		errs = append(errs, d.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// Sum is what a file must be.
type Sum struct {
	Size int64
	Hash uint64 // xxh64
}

// checkFile compares a file with its sum.
func checkFile(path string, want Sum) error {
	got, err := sumFile(path)
	if err == nil && got != want {
		err = fmt.Errorf("%s has %d bytes with xxh64 %016x, and should have %d with %016x", path, got.Size, got.Hash, want.Size, want.Hash)
	}
	return err
}
