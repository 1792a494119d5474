package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// linkRate is what each server's link carries each way, in scaling.
	linkRate = 200e6 // bits per second
	// linkBytes is what a round moves over links that slow.
	linkBytes = 64 << 20
)

func linkTotal(o Options) int {
	unit := o.inputs() << 10
	return max(unit, o.count(linkBytes)/unit*unit)
}

// links is a network of namespaces: a bridge in one, where the clients are, and
// one for each server, joined to it by a link that is limited.
//
//	hub: bridge, clients ──┬── veth, tbf ── server 0
//	                       ├── veth, tbf ── server 1
//	                       └── ...
//
// A namespace belongs to a process that does nothing else, and the kernel takes
// it away, links and all, when that process and those that entered it are gone:
// nothing of it has a name on the host, or stays if s4-bench is killed.
type links struct {
	env   *Env
	hub   *daemon
	nodes []*daemon
}

// startLinks makes the network for n servers, whose links carry so many bits per
// second each way. The caller closes it, also after an error.
func (e *Env) startLinks(ctx context.Context, n int, rate float64) (_ *links, err error) {
	l := &links{env: e}
	if l.hub, err = e.startHolder(ctx, "hub"); err != nil {
		return l, err
	}
	if err := l.in(ctx, l.hub, `ip link set lo up; ip link add br0 type bridge; ip addr add 10.83.0.254/24 dev br0; ip link set br0 up`); err != nil {
		return l, err
	}
	// A bucket of what passes in 2 ms, and no less than large packets are.
	tbf := fmt.Sprintf("root tbf rate %.0fbit burst %.0fb latency 50ms", rate, max(128<<10, rate/8*0.002))
	for i := range n {
		d, err := e.startHolder(ctx, "link "+strconv.Itoa(i))
		if err != nil {
			return l, err
		}
		l.nodes = append(l.nodes, d)
		if err := l.in(ctx, l.hub, fmt.Sprintf(`ip link add v%d type veth peer name eth0 netns %d
			tc qdisc add dev v%d %s; ip link set v%d master br0 up`, i, d.pid, i, tbf, i)); err != nil {
			return l, err
		}
		if err := l.in(ctx, d, fmt.Sprintf(`ip link set lo up; tc qdisc add dev eth0 %s
			ip addr add %s/24 dev eth0; ip link set eth0 up`, tbf, linkAddr(i))); err != nil {
			return l, err
		}
	}
	return l, nil
}

func linkAddr(i int) string { return fmt.Sprintf("10.83.0.%d", i+1) }

// enter returns the words that run a command in the namespace of a process.
func enter(d *daemon) []string { return []string{"nsenter", "-n", "-t", strconv.Itoa(d.pid)} }

// in runs a script in the namespace of a process.
func (l *links) in(ctx context.Context, d *daemon, script string) error {
	c := Script(script)
	c.Args = append(enter(d), c.Args...)
	_, _, err := l.env.run(ctx, c)
	return err
}

// startHolder starts a process in a network namespace of its own.
func (e *Env) startHolder(ctx context.Context, name string) (*daemon, error) {
	d, err := startDaemon(name, []string{"unshare", "-n", "sleep", "infinity"}, syscall.SIGKILL, e.Dir, nil)
	if err != nil {
		return nil, err
	}
	own, err := os.Readlink(procFile(os.Getpid(), "ns/net"))
	for err == nil && ctx.Err() == nil {
		// It is there when it is not ours.
		ns, err := os.Readlink(procFile(d.pid, "ns/net"))
		if err == nil && ns != own {
			return d, nil
		}
		if dead := d.alive(); dead != nil {
			return nil, errors.Join(dead, d.stop())
		}
		time.Sleep(time.Millisecond)
	}
	return nil, errors.Join(err, context.Cause(ctx), d.stop())
}

func (l *links) close() error {
	var errs []error
	for _, d := range append(l.nodes, l.hub) {
		if d != nil {
			errs = append(errs, d.stop())
		}
	}
	return errors.Join(errs...)
}

// linksHere reports why this host cannot have such a network, or nil.
func (e *Env) linksHere(ctx context.Context) error {
	for _, name := range []string{"ip", "tc", "nsenter", "unshare", "sleep"} {
		if _, err := exec.LookPath(name); err != nil {
			return &NotHere{Why: "there is no " + name}
		}
	}
	l, err := e.startLinks(ctx, 1, linkRate)
	closed := l.close()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &NotHere{Why: "network namespaces with slow links cannot be made: " + err.Error()}
	}
	return closed
}

// withLinkedCluster calls f with a cluster of n servers, each behind a link, that
// ends with it.
func (e *Env) withLinkedCluster(ctx context.Context, n int, rate float64, f func(*Cluster) error) error {
	c, end, err := e.startLinked(ctx, n, rate)
	if err == nil {
		err = f(c)
	}
	return errors.Join(err, end())
}

// startLinked starts a cluster of n servers, each behind a link, and returns what
// ends it, also after an error.
func (e *Env) startLinked(ctx context.Context, n int, rate float64) (*Cluster, func() error, error) {
	l, err := e.startLinks(ctx, n, rate)
	if err != nil {
		return nil, l.close, err
	}
	var hosts []host
	for i, node := range l.nodes {
		hosts = append(hosts, host{addr: linkAddr(i) + ":4000", enter: enter(node)})
	}
	c, err := e.startServers(ctx, hosts, enter(l.hub))
	if err != nil {
		return nil, l.close, err
	}
	return c, func() error { return errors.Join(c.Close(), l.close()) }, nil
}

// scaleLinks moves files in and out, and shuffles them, with servers behind
// links that are slower than anything else.
func scaleLinks(ctx context.Context, e *Env, numbers []int) ([]Series, error) {
	if err := e.linksHere(ctx); err != nil {
		return nil, err
	}
	total := linkTotal(e.Options)
	t, err := e.csvTree(ctx, total)
	if err != nil {
		return nil, err
	}
	shuffled, err := e.shuffleHere(ctx, t, filepath.Join(e.RowDir, "shuffled"))
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%d files of %s. Each server is in a network namespace, its link limited to %.0f MB/s each way; the client's is not.",
		e.inputs(), sizeText(int64(total/e.inputs())), linkRate/8e6)
	s := newCurves("servers", "MB/s", note,
		"cp -r in, by servers with links", "shuffle, by servers with links", "cp -r out, by servers with links")
	for _, n := range numbers {
		if err := e.withLinkedCluster(ctx, n, linkRate, func(c *Cluster) error {
			values, err := e.rounds(func() ([]float64, error) {
				list, err := e.linkSteps(ctx, c, t, shuffled)
				for i := range list {
					list[i] = float64(t.Bytes) / 1e6 / list[i]
				}
				return list, err
			})
			if err == nil {
				s.add(float64(n), values)
			}
			return err
		}); err != nil {
			return nil, fmt.Errorf("%d servers: %w", n, err)
		}
	}
	return s.list, e.dropTree(t)
}

// linkSteps puts a tree, shuffles it, gets it and removes all, checks each, and
// returns the seconds of the first three.
func (e *Env) linkSteps(ctx context.Context, c *Cluster, t *Tree, shuffled TreeSum) ([]float64, error) {
	const in, out = "s4://bench/in/", "s4://bench/out/"
	local := filepath.Join(e.RowDir, "scale-out")
	seconds, err := c.steps(ctx,
		step{args: []string{"cp", "-q", "-r", t.Dir, in}, want: t.TreeSum, dirs: c.Dirs(in)},
		step{args: []string{"map-to-n", "-q", in, out, partitionCommand("s4")}, want: shuffled, dirs: c.Dirs(out)},
		step{args: []string{"cp", "-q", "-r", in, local}, want: t.TreeSum, dirs: []string{local}},
	)
	return seconds, errors.Join(err, os.RemoveAll(local), c.Remove(ctx, "s4://bench/"))
}
