package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4"
	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Config says what a Node is. Cluster, Index and Dir must be set.
type Config struct {
	Cluster       *s4.Cluster
	Index         int           // of this server in Cluster
	Dir           string        // data directory, made if absent
	MaxCPUJobs    int           // tasks at once, 0 for CPUs + 2, or less if there are few descriptors
	MaxIOJobs     int           // tasks that push output to peers at once, 0 for 4 x CPUs, or less likewise
	IOTimeout     time.Duration // 0 for 30 s
	Fsync         bool          // an acknowledged write survives power loss
	KeepSuspended time.Duration // how long a suspended job is kept, 0 for a day
	Confinement   *Confinement  // of commands, nil for none; the caller closes it after Shutdown
	Scrub         time.Duration // how often all keys are compared with their checksums, 0 for never
	Secret        s4.Secret     // of the cluster, if it has one
	SecretFile    string        // where Secret is from, for the s4 that tasks run
	Version       string        // of the program, for HEALTH
	Log           *zap.Logger   // nil for none

	// Observe returns what is told of the work of a server, by its index. It is called
	// once by New. nil for nothing.
	Observe func(server int) Observer

	shared *shared // with the other nodes of StartLocal; nil for a node alone
}

// Node is one server. New opens its data directory, Serve accepts
// connections, Shutdown ends everything and closes the directory.
type Node struct {
	cfg         Config
	log         *zap.Logger
	store       *store
	sched       *scheduler
	ioSlots     chan struct{}
	peers       *peers
	watch       *exec.Watchdog // kills the tasks if this process is killed; may be nil
	client      *s4.Client     // for detached jobs
	dialer      func(server int) xfer.Dialer
	fingerprint uint64 // of the cluster file
	auth        *authFailures
	open        atomic.Bool // whoever can reach this server may come in: set by Serve
	stats       xfer.Stats
	started     time.Time
	observer    Observer
	bash        string   // path of bash, or empty if none was found at the start
	path        string   // PATH of every task, which finds s4 itself
	env         []string // variables that all tasks share

	maxSilent int // see silentConns

	ctx    context.Context // ends all jobs and evals when canceled
	cancel context.CancelCauseFunc
	late   context.Context // ends when Shutdown has no more time
	hurry  context.CancelFunc

	mu        sync.Mutex
	stopping  bool
	listeners []net.Listener
	conns     map[*session]struct{}
	silent    []*session // of conns, those that have not begun as the protocol says, oldest first
	jobs      map[uint64]*job
	wg        sync.WaitGroup // sessions, accept loops, jobs and what is done for them, expire, scrubEvery
	evals     atomic.Uint64  // to name their directories, and those of shells
	shells    atomic.Int64   // that are open

	// See Status.
	refused atomic.Int64
	running atomic.Int64
	corrupt atomic.Int64
	pushed  []atomic.Int64 // by server
}

// errShutdown is why work ends when the server stops.
var errShutdown = wire.Errorf(wire.CodeShuttingDown, "the server is stopping")

// New opens the data directory and returns a Node that is ready to Serve.
// Errors say what is wrong with the directory.
func New(cfg Config) (*Node, error) {
	if cfg.Index < 0 || cfg.Index >= len(cfg.Cluster.Servers) {
		return nil, fmt.Errorf("index %d: the cluster file lists servers 0 to %d", cfg.Index, len(cfg.Cluster.Servers)-1)
	}
	cfg = cfg.withDefaults()
	if cfg.KeepSuspended <= 0 {
		cfg.KeepSuspended = 24 * time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	st, err := openStore(cfg.Dir, cfg.Fsync, cfg.Confinement)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg:         cfg,
		log:         cfg.Log.With(zap.Int("server", cfg.Index)),
		store:       st,
		sched:       cfg.shared.tasks,
		ioSlots:     cfg.shared.io,
		peers:       cfg.shared.peers,
		client:      cfg.shared.client,
		dialer:      cfg.Cluster.Dialers(cfg.Secret, cfg.IOTimeout),
		fingerprint: cfg.Cluster.Fingerprint(),
		started:     time.Now(),
		conns:       make(map[*session]struct{}),
		jobs:        make(map[uint64]*job),
		pushed:      make([]atomic.Int64, len(cfg.Cluster.Servers)),
		observer:    nobody{},

		maxSilent: silentConns(),
	}
	if cfg.Observe != nil {
		n.observer = cfg.Observe(cfg.Index)
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.late, n.hurry = context.WithCancel(context.Background())
	cfg.shared.enter()
	n.auth = newAuthFailures(n.log)
	n.bash = exec.FindBash() // once: a search of a long PATH shows in maps of small keys
	if n.path, err = cfg.Confinement.reach(n.bash, st.path, taskPath()); err != nil {
		n.Shutdown(n.ctx)
		return nil, err
	}
	n.env = append(baseEnv(cfg, n.path), cfg.Confinement.env(n.bash)...)
	if n.watch, err = exec.Watch(n.bash, filepath.Join(st.path, sysDir, jobsDir), st.lock); err != nil {
		// Most likely there is no bash, and then no task can run either.
		n.log.Warn("tasks would outlive this server if it were killed", zap.Error(err))
	}
	if err := n.adopt(); err != nil {
		n.Shutdown(n.ctx)
		return nil, err
	}
	n.wg.Go(func() { n.expire(min(expireEvery, cfg.KeepSuspended/4+1)) })
	if cfg.Scrub > 0 {
		n.wg.Go(func() { n.scrubEvery(cfg.Scrub) })
	}
	return n, nil
}

// Index returns the node's place in the cluster file.
func (n *Node) Index() int { return n.cfg.Index }

// Stats returns the counters of all connections of this node, also those to peers. Nodes
// of StartLocal share the latter: each counts for the node that has made it.
func (n *Node) Stats() *xfer.Stats { return &n.stats }

// Serve accepts connections on l until Shutdown, which closes l. It returns
// nil then, or why it cannot accept.
func (n *Node) Serve(l net.Listener) error {
	n.mu.Lock()
	if n.stopping {
		n.mu.Unlock()
		l.Close()
		return nil
	}
	n.listeners = append(n.listeners, l)
	n.wg.Add(1)
	n.mu.Unlock()
	defer n.wg.Done()
	n.noteOpen(l.Addr())
	var delay time.Duration
	for {
		c, err := l.Accept()
		if err == nil {
			delay = 0
			n.accept(c.(*net.TCPConn))
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		// Out of descriptors, most likely: wait a little, as net/http does, and make room.
		n.dropSilent(n.maxSilent / 2)
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		n.log.Error("accept", zap.Error(err), zap.Duration("retry", delay))
		select {
		case <-time.After(delay):
		case <-n.ctx.Done():
			return nil
		}
	}
}

// noteOpen notes whether whoever can reach an address may come in, and warns of it.
func (n *Node) noteOpen(addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); n.cfg.Secret.IsSet() || ok && tcp.IP.IsLoopback() {
		return
	}
	n.open.Store(true)
	n.log.Warn("whoever can reach this server can run commands on it (make a secret with 's4 secret', and give it to all with --secret-file)", zap.Stringer("listen", addr))
}

func (n *Node) accept(tcp *net.TCPConn) {
	conn, err := xfer.NewConn(tcp, n.cfg.IOTimeout, &n.stats)
	if err != nil {
		return
	}
	s := &session{node: n, conn: conn, peer: tcp.RemoteAddr().String(), since: time.Now()}
	n.mu.Lock()
	if n.stopping {
		n.mu.Unlock()
		conn.Close()
		return
	}
	n.conns[s] = struct{}{}
	n.silent = append(n.silent, s)
	n.wg.Add(1)
	n.mu.Unlock()
	n.dropSilent(n.maxSilent)
	go func() {
		defer n.wg.Done()
		s.serve()
		n.mu.Lock()
		delete(n.conns, s)
		n.mu.Unlock()
	}()
}

// Shutdown stops accepting, ends jobs and evals, lets transfers under way
// finish until ctx ends and then closes them, and closes the data directory.
// When it returns there is no goroutine and no process left.
func (n *Node) Shutdown(ctx context.Context) {
	n.mu.Lock()
	n.stopping = true
	for _, l := range n.listeners {
		l.Close()
	}
	n.mu.Unlock()
	n.cancel(errShutdown)
	done := make(chan struct{})
	go func() {
		n.wg.Wait()
		close(done)
	}()
	n.closeConns(func(s *session) bool { return !s.isBusy() })
	select {
	case <-done:
	case <-ctx.Done():
		n.hurry()
		n.closeConns(func(*session) bool { return true })
		n.peers.interrupt() // a task may wait for a peer's answer
		<-done
	}
	n.hurry()
	n.cfg.shared.leave()
	n.auth.flush()
	for _, j := range n.jobs { // that outlive a restart, or are prepared
		j.release()
	}
	if killed, err := exec.KillBelow(filepath.Join(n.store.path, sysDir, jobsDir)); killed > 0 || err != nil {
		n.log.Warn("killed what tasks left behind", zap.Int("processes", killed), zap.Error(err))
	}
	if n.watch != nil {
		n.watch.Close()
	}
	n.store.close()
}

// enter counts work that Shutdown waits for, until n.wg.Done. It reports false if the
// node is stopping.
func (n *Node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return false
	}
	n.wg.Add(1)
	return true
}

func (n *Node) closeConns(which func(*session) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.conns {
		if which(s) {
			s.conn.Close()
		}
	}
}

// taskPath returns the directory of this program, followed by the server's PATH.
func taskPath() string {
	path := os.Getenv("PATH")
	if self, err := os.Executable(); err == nil {
		path = filepath.Dir(self) + string(os.PathListSeparator) + path
	}
	return path
}

// baseEnv returns the server's environment with the variables that every task gets.
func baseEnv(cfg Config, path string) []string {
	var env []string
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "BASH_ENV": // bash would run that file before every command
		case "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC": // the server's own: sd_notify(3)
		case "PWD", "OLDPWD": // of the server: a command has a directory of its own
		default:
			env = append(env, kv)
		}
	}
	// Of two settings of one name, os/exec keeps the last.
	return append(env,
		"LC_ALL=C",
		"PATH="+path,
		"S4_CONF_PATH="+absolute(cfg.Cluster.Path),
		"S4_SECRET_FILE="+absolute(cfg.SecretFile), // also if empty: the server's own may be set
		fmt.Sprintf("S4_SERVER=%d", cfg.Index),
		fmt.Sprintf("S4_SERVERS=%d", len(cfg.Cluster.Servers)),
		fmt.Sprintf("S4_MAX_CPU_JOBS=%d", cfg.MaxCPUJobs),
		fmt.Sprintf("S4_MAX_IO_JOBS=%d", cfg.MaxIOJobs),
	)
}

// absolute returns the absolute path of a file, of "" that.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}
