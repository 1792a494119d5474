package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

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
	d, err := e.startDaemon(name, []string{"unshare", "-n", "sleep", "infinity"}, nil, syscall.SIGKILL, nil)
	if err != nil {
		return nil, err
	}
	own, err := os.Readlink(procFile(os.Getpid(), "ns/net"))
	for err == nil && ctx.Err() == nil {
		// It is there when it is not ours.
		if ns, err := os.Readlink(procFile(d.pid, "ns/net")); err == nil && ns != own {
			return d, nil
		}
		err = d.alive()
		time.Sleep(time.Millisecond)
	}
	return nil, errors.Join(err, context.Cause(ctx), d.stop())
}

// close ends the network, if there is one.
func (l *links) close() error {
	if l == nil {
		return nil
	}
	var errs []error
	for _, d := range append(l.nodes, l.hub) {
		if d != nil {
			errs = append(errs, d.stop())
		}
	}
	return errors.Join(errs...)
}

// linksHere reports why this host cannot have such a network, or nil.
func linksHere(ctx context.Context, e *Env) error {
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
