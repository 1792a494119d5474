package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/xfer"
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
	dir     string
	list    *s4.Cluster
	daemons []*daemon
	enter   []string // words before a command that make it see the servers; mostly none
}

// StartCluster starts a cluster of n servers, with args added to each server's
// command line, in a directory of its own. The caller closes it; rows want
// Env.Cluster, mostly.
func (e *Env) StartCluster(ctx context.Context, n int, args ...string) (*Cluster, error) {
	var err error
	for range startTries {
		var c *Cluster
		if c, err = e.startCluster(ctx, n, args); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start a cluster of %d: %w", n, err)
}

func (e *Env) startCluster(ctx context.Context, n int, args []string) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp(e.Dir, "cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Conf: filepath.Join(dir, "s4.conf"), dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	text, err := freeAddrs(n)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.Conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if c.list, err = s4.LoadCluster(c.Conf); err != nil {
		return nil, err
	}
	for i := range n {
		argv := append([]string{e.server, "--dir", c.data(i), "--conf", c.Conf, "--index", strconv.Itoa(i)}, args...)
		d, err := startDaemon(fmt.Sprintf("s4-server %d", i), argv, syscall.SIGTERM, dir, nil)
		if err != nil {
			return nil, err
		}
		c.daemons = append(c.daemons, d)
		c.Pids = append(c.Pids, d.pid)
	}
	return c, c.await(ctx)
}

// freeAddrs returns a cluster file of n free addresses of loopback.
func freeAddrs(n int) (string, error) {
	var text strings.Builder
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		defer ln.Close() // all at once, so that no port is given twice
		fmt.Fprintln(&text, ln.Addr())
	}
	return text.String(), nil
}

// await waits until all servers are healthy.
func (c *Cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := c.healthy(ctx)
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

func (c *Cluster) healthy(ctx context.Context) error {
	client := s4.NewClient(c.list, nil)
	defer client.Close()
	for _, h := range client.Health(ctx) {
		if h.Err != nil {
			return h.Err
		}
	}
	return nil
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
// keys below a prefix that ends in a slash.
func (c *Cluster) Dirs(prefix string) []string {
	name := strings.TrimSuffix(strings.TrimPrefix(prefix, s4.Scheme), "/")
	dirs := make([]string, len(c.daemons))
	for i := range dirs {
		dirs[i] = filepath.Join(c.data(i), filepath.FromSlash(name))
	}
	return dirs
}

// Remove removes the key, or with recursive all keys that begin with it. There
// may be none.
func (c *Cluster) Remove(ctx context.Context, key string, recursive bool) error {
	client := s4.NewClient(c.list, nil)
	defer client.Close()
	_, err := client.Remove(ctx, key, recursive)
	if errors.Is(err, s4.ErrNotFound) {
		return nil
	}
	return err
}

// Check reads the key's file and compares it with the sum.
func (c *Cluster) Check(key string, want Sum) error { return checkFile(c.Path(key), want) }

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
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, hash, err := xfer.Hash(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if got := (Sum{size, hash}); got != want {
		return fmt.Errorf("%s has %d bytes with xxh64 %016x, and should have %d with %016x", path, got.Size, got.Hash, want.Size, want.Hash)
	}
	return nil
}
