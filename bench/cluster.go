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

// Cluster is a running cluster of s4-server processes, one for each server or one for all.
type Cluster struct {
	Conf    string // the cluster file
	Pids    []int
	servers int
	env     *Env
	dir     string
	list    *s4.Cluster
	daemons []*daemon
	links   *links // between the servers, or nil
}

// startCluster starts a cluster of n.Servers in a directory of its own, as n says. The
// caller closes it; rows want Env.Cluster, mostly.
func (e *Env) startCluster(ctx context.Context, n Needs) (c *Cluster, err error) {
	for range startTries {
		c = &Cluster{env: e, servers: n.Servers}
		err = c.start(ctx, n)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Close())
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start a cluster of %d: %w", n.Servers, err)
}

func (c *Cluster) start(ctx context.Context, n Needs) (err error) {
	if n.OneProcess {
		return c.startOne(ctx, n.Servers)
	}
	var addrs []string
	if n.Link == 0 {
		addrs, err = freeAddrs(n.Servers)
	} else {
		c.links, err = c.env.startLinks(ctx, n.Servers, n.Link)
		for i := range n.Servers {
			addrs = append(addrs, linkAddr(i)+":4000")
		}
	}
	if err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp(c.env.Dir, "cluster-"); err != nil {
		return err
	}
	c.Conf = filepath.Join(c.dir, "s4.conf")
	if err := os.WriteFile(c.Conf, []byte(strings.Join(addrs, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	if c.list, err = s4.LoadCluster(c.Conf); err != nil {
		return err
	}
	for i := range n.Servers {
		args := []string{c.env.server, "--dir", c.data(i), "--conf", c.Conf, "--index", strconv.Itoa(i)}
		if c.links != nil {
			args = append(enter(c.links.nodes[i]), args...)
		}
		d, err := c.env.startDaemon(fmt.Sprintf("s4-server %d", i), args, c.env.S3.env(), syscall.SIGTERM, nil)
		if err != nil {
			return err
		}
		c.daemons = append(c.daemons, d)
		c.Pids = append(c.Pids, d.pid)
	}
	return c.await(ctx)
}

// startOne starts n servers in one process, which chooses their ports.
func (c *Cluster) startOne(ctx context.Context, n int) (err error) {
	if c.dir, err = os.MkdirTemp(c.env.Dir, "cluster-"); err != nil {
		return err
	}
	c.Conf = filepath.Join(c.dir, "s4.conf") // written when all of them listen
	d, err := c.env.startDaemon("s4-server", []string{c.env.server, "--dir", c.dir, "--nodes", strconv.Itoa(n)}, nil, syscall.SIGTERM, nil)
	if err != nil {
		return err
	}
	c.daemons, c.Pids = []*daemon{d}, []int{d.pid}
	if err := c.await(ctx); err != nil {
		return err
	}
	c.list, err = s4.LoadCluster(c.Conf)
	return err
}

// freeAddrs returns n free addresses of loopback.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all at once, so that no port is given twice
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// freePort returns a free port of loopback.
func freePort() (string, error) {
	addrs, err := freeAddrs(1)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(addrs[0])
	return port, err
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
		if dead := c.alive(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("servers are not healthy: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// alive returns an error that quotes the last words of the servers that have ended.
func (c *Cluster) alive() error {
	var errs []error
	for _, d := range c.daemons {
		errs = append(errs, d.alive())
	}
	return errors.Join(errs...)
}

// Command is s4 where it sees the cluster.
func (c *Cluster) Command(args ...string) Command {
	args = append([]string{c.env.S4}, args...)
	if c.links != nil {
		args = append(enter(c.links.hub), args...)
	}
	return Command{Args: args, Env: []string{"S4_CONF_PATH=" + c.Conf}}
}

// Script is a Script in which s4 uses the cluster. $1 is the s4 program.
func (c *Cluster) Script(script string, args ...string) Command {
	cmd := Script(script, append([]string{c.env.S4}, args...)...)
	cmd.Env = append(cmd.Env, "S4_CONF_PATH="+c.Conf)
	return cmd
}

// s4 runs s4 and returns how many seconds it took, and its output.
func (c *Cluster) s4(ctx context.Context, args ...string) (float64, []byte, error) {
	u, out, err := c.env.run(ctx, c.Command(args...))
	return u.Wall.Seconds(), out, err
}

func (c *Cluster) data(i int) string { return filepath.Join(c.dir, strconv.Itoa(i)) }

// Path returns where the key's file is.
func (c *Cluster) Path(key string) string {
	return c.Dirs(key)[c.list.Place(strings.TrimPrefix(key, s4.Scheme))]
}

// Dirs returns the directories, one of each server, that have the files of the
// keys below a prefix that ends in a slash; or of a key, where its file may be.
func (c *Cluster) Dirs(prefix string) []string {
	name := strings.TrimSuffix(strings.TrimPrefix(prefix, s4.Scheme), "/")
	dirs := make([]string, c.servers)
	for i := range dirs {
		dirs[i] = filepath.Join(c.data(i), filepath.FromSlash(name))
	}
	return dirs
}

// Remove removes the key, or all keys below a prefix that ends in a slash. There
// may be none.
func (c *Cluster) Remove(ctx context.Context, prefix string) error {
	there := slices.ContainsFunc(c.Dirs(prefix), func(dir string) bool {
		_, err := os.Stat(dir)
		return !errors.Is(err, os.ErrNotExist)
	})
	if !there {
		return nil
	}
	_, _, err := c.s4(ctx, "rm", "-q", "-r", prefix)
	return err
}

// Close stops the servers, removes their directory, and takes down their links.
func (c *Cluster) Close() error {
	var errs []error
	for _, d := range c.daemons {
		errs = append(errs, d.stop())
	}
	errs = append(errs, c.links.close())
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
