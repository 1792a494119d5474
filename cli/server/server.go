// Package server is the s4-server command: flags, logs, and the life of one
// node or of an embedded cluster. What a server does is in package node.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/xfer"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// grace is how long transfers under way may take after a SIGTERM. It leaves time for
// the rest of the shutdown, so that the server exits within 10 s.
const grace = 6 * time.Second

// options are the flags of the command.
type options struct {
	dir       string
	conf      string
	port      int
	index     int
	listen    string
	nodes     int
	maxIO     int
	maxCPU    int
	ioTimeout flags.Period
	fsync     bool
	keep      flags.Period
	runAs     string
	memory    string
	cpus      float64
	scrub     flags.Period
	secret    string // file
	require   bool   // a secret
	http      string
	logFormat string
	logLevel  string
}

// failure marks an error that is not about usage.
type failure struct{ error }

// Main runs the s4-server command with the given arguments, without the
// program's name, until ctx ends, and returns its exit code. Logs go to
// stderr; stdout gets the lines that say how to use an embedded cluster.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := command(func(cmd *cobra.Command, f *options) error { return f.run(cmd, stdout, stderr) })
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	// The original server's flags had one dash, as in -port 8080.
	cmd.SetArgs(flags.OneDash(cmd.Flags(), args))
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	var fail failure
	if errors.As(err, &fail) {
		fmt.Fprintf(stderr, "s4-server: %s\n", text)
		return exitFailed
	}
	fmt.Fprintf(stderr, "s4-server: %s (see 's4-server --help')\n", text)
	return exitUsage
}

// Command returns the s4-server command for programs that describe it. It is not to
// be run.
func Command() *cobra.Command {
	return command(func(*cobra.Command, *options) error { return nil })
}

func command(run func(*cobra.Command, *options) error) *cobra.Command {
	var f options
	cmd := &cobra.Command{
		Use:   "s4-server",
		Short: "serve the keys and run the jobs of one server of a cluster",
		Long: `Serve as one server of the cluster in the cluster file. The server finds itself
in the list by its local addresses, or by --port or --index.

With --nodes N it is a whole cluster of N servers on loopback, in one process,
and prints the lines that make s4 use it.

Whoever can connect can run commands as the server's user. With a secret, from
--secret-file or $S4_SECRET_FILE, those are the clients and servers that have it, too.

Long flags may have one dash, too: -port 8080.`,
		Example: `  s4-server --dir /mnt/s4
  s4-server --nodes 3 --dir /tmp/s4`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("takes flags only, and got %q", args[0])
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       s4.Release,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd, &f) },
	}
	cmd.SetFlagErrorFunc(flags.Explain)
	p := cmd.Flags()
	p.StringVar(&f.dir, "dir", "s4_data", "data directory `DIR`, made if absent")
	p.StringVarP(&f.conf, "conf", "c", "", "cluster `FILE` (default $S4_CONF_PATH, else ~/.s4.conf)")
	p.IntVar(&f.port, "port", 0, "this server is the one with port `P`; with --nodes, the first port")
	p.IntVar(&f.index, "index", -1, "this server is the one at place `I` of the list, from 0")
	p.StringVar(&f.listen, "listen", "", "listen on `HOST:PORT` instead of the listed one")
	p.IntVar(&f.nodes, "nodes", 0, "run an embedded cluster of `N` servers")
	p.IntVar(&f.maxIO, "max-io-jobs", 0, "send the output of `N` tasks to peers at once, of all --nodes (default 4 x CPUs)")
	p.IntVar(&f.maxCPU, "max-cpu-jobs", 0, "run `N` commands at once, of all --nodes (default CPUs + 2)")
	f.ioTimeout, f.keep = flags.Period(30*time.Second), flags.Period(24*time.Hour)
	p.Var(&f.ioTimeout, "io-timeout", "a peer may be silent for `D` in mid transfer")
	p.Var(&f.keep, "keep-suspended", "keep a suspended job for `D`, as in 36h or 7d, see s4 jobs resume")
	p.Var(&f.scrub, "scrub", "compare all keys with their checksums this often, while the server is idle, as in 7d; 0 for never")
	p.StringVar(&f.secret, "secret-file", "", "`FILE` with the cluster's secret, see s4 secret (default $S4_SECRET_FILE, else there is none)")
	p.BoolVar(&f.require, "require-secret", false, "do not start without a secret")
	p.BoolVar(&f.fsync, "fsync", false, "an acknowledged write survives power loss")
	p.StringVar(&f.http, "http", "", "serve /metrics, /healthz and /debug/pprof on `[HOST:]PORT`, of loopback if there is no host")
	p.StringVar(&f.runAs, "run-as", "", "run commands as `USER`, who can read keys and write none (as root only)")
	p.StringVar(&f.memory, "task-memory", "", "kill a command that uses more memory than `SIZE`, as in 2GiB (needs cgroup v2)")
	p.Float64Var(&f.cpus, "task-cpu", 0, "give the processes of one command `N` processors, as in 1 or 0.5 (needs cgroup v2)")
	p.StringVar(&f.logFormat, "log-format", "console", "log in `FORMAT`: console or json")
	p.StringVar(&f.logLevel, "log-level", "info", "log `LEVEL` and above: debug, info, warn or error")
	p.Lookup("index").DefValue = "0" // which help leaves out
	p.Lookup("scrub").DefValue = "0"
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	flags.Complete(cmd, map[string][]string{
		"log-format": {"console", "json"},
		"log-level":  {"debug", "info", "warn", "error"},
	})
	return cmd
}

func (f *options) run(cmd *cobra.Command, stdout, stderr io.Writer) error {
	ctx := cmd.Context()
	switch {
	case f.maxIO < 0:
		return fmt.Errorf("--max-io-jobs %d: want 1 or more, or 0 for 4 x CPUs", f.maxIO)
	case f.maxCPU < 0:
		return fmt.Errorf("--max-cpu-jobs %d: want 1 or more, or 0 for CPUs + 2", f.maxCPU)
	case f.nodes < 1 && cmd.Flags().Changed("nodes"):
		return fmt.Errorf("--nodes %d: want 1 or more", f.nodes)
	}
	if f.port < 0 || f.port > 65535 {
		return fmt.Errorf("--port %d: ports are 1 to 65535", f.port)
	}
	if time.Duration(f.ioTimeout) < xfer.MinTimeout {
		return fmt.Errorf("--io-timeout %v: at least %v, as peers are pinged every second", &f.ioTimeout, xfer.MinTimeout)
	}
	if f.keep <= 0 {
		return fmt.Errorf("--keep-suspended %v: more than 0, as in 24h", &f.keep)
	}
	limits, err := f.taskLimits()
	if err != nil {
		return err
	}
	secret, err := s4.LoadSecret(f.secret)
	if err != nil {
		return failure{err}
	}
	if f.require && !secret.IsSet() {
		return failure{errors.New("--require-secret: there is none (make one with 's4 secret', and name its file with --secret-file or $S4_SECRET_FILE)")}
	}
	if f.http != "" {
		addr, err := webAddr(f.http)
		if err != nil {
			return err
		}
		f.http = addr
	}
	log, flush, err := newLog(stderr, f.logFormat, f.logLevel)
	if err != nil {
		return err
	}
	defer flush()
	cfg := node.Config{
		Dir:           f.dir,
		MaxCPUJobs:    f.maxCPU,
		MaxIOJobs:     f.maxIO,
		IOTimeout:     time.Duration(f.ioTimeout),
		Fsync:         f.fsync,
		KeepSuspended: time.Duration(f.keep),
		Scrub:         time.Duration(f.scrub),
		Secret:        secret,
		SecretFile:    s4.SecretFile(f.secret),
		Version:       s4.Release,
		Log:           log,
	}
	if f.nodes > 0 && (f.listen != "" || f.index >= 0 || f.conf != "") {
		return errors.New("--nodes makes a cluster file and addresses of its own: leave --conf, --index and --listen off")
	}
	if f.runAs != "" {
		syscall.Umask(0o022) // the user must be able to read keys, and cannot write what is ours
	}
	if cfg.Confinement, err = node.Confine(f.runAs, limits); err != nil {
		return failure{err}
	}
	defer func() {
		if err := cfg.Confinement.Close(); err != nil {
			log.Warn("cgroups are left", zap.Error(err))
		}
	}()
	if f.nodes > 0 {
		return f.serveLocal(ctx, cfg, log, stdout)
	}
	return f.serveOne(ctx, cfg, log)
}

// taskLimits returns what --task-memory and --task-cpu say.
func (f *options) taskLimits() (limits node.TaskLimits, err error) {
	if f.memory != "" {
		if limits.Memory, err = flags.ParseSize(f.memory); err != nil {
			return limits, fmt.Errorf("--task-memory %s: %w", f.memory, err)
		}
		if limits.Memory < minTaskMemory {
			return limits, fmt.Errorf("--task-memory %s: at least 1MiB, or bash cannot start", f.memory)
		}
	}
	if f.cpus != 0 && !(f.cpus >= node.MinTaskCPUs && f.cpus <= maxTaskCPUs) {
		return limits, fmt.Errorf("--task-cpu %v: from %v to %v processors", f.cpus, node.MinTaskCPUs, maxTaskCPUs)
	}
	limits.CPUs = f.cpus
	return limits, nil
}

// minTaskMemory is about what bash needs. No machine has maxTaskCPUs.
const (
	minTaskMemory = 1 << 20
	maxTaskCPUs   = 1 << 16
)

// serveLocal runs an embedded cluster until ctx ends.
func (f *options) serveLocal(ctx context.Context, cfg node.Config, log *zap.Logger, stdout io.Writer) error {
	web, err := listenWeb(f.http, cfg.Version)
	if err != nil {
		return failure{err}
	}
	defer web.close()
	cfg.Observe = web.observe()
	l, err := node.StartLocal(f.dir, f.nodes, f.port, cfg)
	if err != nil {
		return failure{err}
	}
	web.serve(l.Nodes, log)
	fmt.Fprintf(stdout, "export S4_CONF_PATH=%s\n", flags.ShellQuote(l.Cluster.Path))
	if path, err := filepath.Abs(cfg.SecretFile); err == nil && cfg.SecretFile != "" {
		fmt.Fprintf(stdout, "export S4_SECRET_FILE=%s\n", flags.ShellQuote(path))
	}
	log.Info("serving", zap.Int("nodes", f.nodes), zap.String("conf", l.Cluster.Path))
	systemd := ready(l.Nodes, log)
	<-ctx.Done()
	log.Info("stopping")
	systemd.stopping()
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := l.Shutdown(late); err != nil {
		return failure{err}
	}
	return nil
}

// serveOne runs one server until ctx ends.
func (f *options) serveOne(ctx context.Context, cfg node.Config, log *zap.Logger) error {
	cluster, err := s4.LoadCluster(f.conf)
	if err != nil {
		return failure{err}
	}
	index, err := findSelf(ctx, cluster, f.index, f.port, net.DefaultResolver.LookupHost)
	if err != nil {
		return failure{err}
	}
	cfg.Cluster, cfg.Index = cluster, index
	addr := f.listen
	if addr == "" {
		addr = cluster.Servers[index].String()
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return failure{listenError(addr, err, "choose another address in the cluster file, or --listen")}
	}
	web, err := listenWeb(f.http, cfg.Version)
	if err != nil {
		ln.Close()
		return failure{err}
	}
	defer web.close()
	cfg.Observe = web.observe()
	n, err := node.New(cfg)
	if err != nil {
		ln.Close()
		return failure{err}
	}
	log.Info("serving", zap.Int("server", index), zap.Stringer("listen", ln.Addr()), zap.String("dir", f.dir),
		zap.String("fingerprint", fmt.Sprintf("%016x", cluster.Fingerprint())))
	web.serve([]*node.Node{n}, log)
	served := make(chan error, 1)
	go func() { served <- n.Serve(ln) }()
	systemd := ready([]*node.Node{n}, log)
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	log.Info("stopping")
	systemd.stopping()
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	n.Shutdown(late)
	if err != nil {
		return failure{err}
	}
	return nil
}

// listenError says what to do about an address that cannot be listened on.
func listenError(addr string, err error, todo string) error {
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	text := err.Error()
	_, text, _ = strings.Cut(text, ": ")
	if text == "" {
		text = err.Error()
	}
	return fmt.Errorf("cannot listen on %s: %s (%s)", addr, text, todo)
}

// findSelf returns the place of this server in the list: index if it is not
// negative; else the one server whose host is an address of this machine and
// which, if port is not 0, has that port.
func findSelf(ctx context.Context, cluster *s4.Cluster, index, port int, lookup func(context.Context, string) ([]string, error)) (int, error) {
	if index >= 0 {
		if index >= len(cluster.Servers) {
			return 0, fmt.Errorf("--index %d: %s lists servers 0 to %d", index, cluster.Path, len(cluster.Servers)-1)
		}
		if s := cluster.Servers[index]; port != 0 && s.Port != strconv.Itoa(port) {
			return 0, fmt.Errorf("--index %d is %s, which has not --port %d", index, s, port)
		}
		return index, nil
	}
	local, err := localAddrs()
	if err != nil {
		return 0, err
	}
	var found []int
	for i, s := range cluster.Servers {
		if port != 0 && s.Port != strconv.Itoa(port) {
			continue
		}
		addrs := []string{s.Address}
		if net.ParseIP(s.Address) == nil {
			if addrs, err = lookup(ctx, s.Address); err != nil {
				continue // some other host's name, which that host may know
			}
		}
		for _, a := range addrs {
			if ip := net.ParseIP(a); s.ThisMachine() || ip != nil && (ip.IsLoopback() || local[ip.String()]) {
				found = append(found, i)
				break
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && port != 0:
		return 0, fmt.Errorf("no server in %s has an address of this machine and port %d (say which it is with --index)", cluster.Path, port)
	case len(found) == 0:
		return 0, fmt.Errorf("no server in %s has an address of this machine (say which it is with --index)", cluster.Path)
	}
	a, b := cluster.Servers[found[0]], cluster.Servers[found[1]]
	flag := "--port"
	if a.Port == b.Port {
		flag = "--index"
	}
	return 0, fmt.Errorf("both %s and %s in %s are this machine (say which it is with %s)", a, b, cluster.Path, flag)
}

// localAddrs returns the addresses of this machine's interfaces.
func localAddrs() (map[string]bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	local := make(map[string]bool)
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			local[n.IP.String()] = true
		}
	}
	return local, nil
}
