package chaos

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node/nodetest"
)

// cluster is some servers, each a process behind a proxy. The cluster file lists the
// proxies, so that clients and peers go through them.
type cluster struct {
	*run
	*s4.Cluster
	bin     string // of the programs
	servers []*server
	thread  *thread
	disk    *disk // of the last server, or nil
}

// server is one of them.
type server struct {
	c     *cluster
	index int
	dir   string // data directory, as the server sees it
	port  int
	proxy *nodetest.Proxy
	delay time.Duration // of its links: with some, there is time between two steps of a job
	log   *os.File

	mu   sync.Mutex // held by whoever stops and starts the process
	proc *process   // nil while it is down; guarded by mu
}

// process is a server from its start to its end.
type process struct {
	cmd     *exec.Cmd
	serving atomic.Bool   // it must not end
	ended   chan struct{} // closed when it has ended
}

// timeout is how long clients and servers of the test let each other be silent. It is
// short, so that there are timeouts.
const timeout = 5 * time.Second

// serverName is what the server's program is called here: not s4-server, so that nobody
// who ends servers by their name ends these.
const serverName = "chaos-node"

// build makes the programs, with the race detector if this one has it.
func (c *cluster) build() error {
	for name, pkg := range map[string]string{"s4": "s4", serverName: "s4-server"} {
		args := []string{"build", "-o", filepath.Join(c.bin, name)}
		if raceEnabled {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "github.com/nathants/s4/cli/"+pkg)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return nil
}

// newCluster starts n servers.
func newCluster(r *run, n int) (*cluster, error) {
	c := &cluster{run: r, bin: filepath.Join(r.dir, "bin"), thread: newThread()}
	r.t.Cleanup(c.close)
	if err := os.Mkdir(c.bin, 0o755); err != nil {
		return nil, err
	}
	if err := c.build(); err != nil {
		return nil, err
	}
	var list strings.Builder
	rng := r.random("cluster")
	for i := range n {
		s := &server{c: c, index: i, dir: filepath.Join(r.dir, fmt.Sprintf("data%d", i)), port: nodetest.FreePort()}
		s.proxy = nodetest.NewProxy(r.t, s.addr())
		s.delay = []time.Duration{0, 3 * time.Millisecond, 15 * time.Millisecond}[rng.IntN(3)]
		s.proxy.Slow(s.delay)
		var err error
		if s.log, err = os.Create(filepath.Join(r.dir, fmt.Sprintf("server%d.log", i))); err != nil {
			return nil, err
		}
		c.servers = append(c.servers, s)
		fmt.Fprintln(&list, s.proxy.Addr())
	}
	if err := os.WriteFile(c.conf(), []byte(list.String()), 0o644); err != nil {
		return nil, err
	}
	var err error
	if c.Cluster, err = s4.LoadCluster(c.conf()); err != nil {
		return nil, err
	}
	last := c.servers[n-1]
	if c.disk, err = newDisk(c.thread, last.dir); err != nil {
		r.note("full disk: not tested: %v", err)
	} else {
		last.dir = filepath.Join(last.dir, "data") // beside what fills the disk
	}
	for _, s := range c.servers {
		s.mu.Lock()
		s.start()
		s.mu.Unlock()
	}
	return c, nil
}

func (c *cluster) conf() string { return filepath.Join(c.dir, "s4.conf") }

// data returns where this process finds the data directory of a server.
func (s *server) data() string {
	if s.c.disk != nil && s.index == len(s.c.servers)-1 {
		return s.c.thread.path(s.dir)
	}
	return s.dir
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// start starts the server and returns when it accepts connections. s.mu is held. A
// start fails while a child of the killed server still has its port, or while the disk
// is full.
func (s *server) start() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if s.spawn(); s.serves() {
			return
		}
		s.c.count("server", "failed starts")
		s.c.event("server %d did not start", s.index)
	}
	s.c.violation("server %d does not start: see %s", s.index, s.log.Name())
}

// spawn starts a process, which may end before it serves.
func (s *server) spawn() {
	cmd := exec.Command(filepath.Join(s.c.bin, serverName), "--dir", s.dir, "--conf", s.c.conf(), "--index", fmt.Sprint(s.index),
		"--listen", s.addr(), "--io-timeout", timeout.String())
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // with the thread that starts it
	p := &process{cmd: cmd, ended: make(chan struct{})}
	s.proc = p
	var err error
	s.c.thread.do(func() { err = cmd.Start() })
	if err != nil {
		s.c.event("server %d: %v", s.index, err)
		close(p.ended)
		return
	}
	s.c.wg.Go(func() {
		err := cmd.Wait()
		if p.serving.Swap(false) {
			s.c.violation("server %d ended by itself: %v", s.index, err)
		}
		close(p.ended)
	})
}

// serves waits until the process accepts connections. It returns false if it ends first.
func (s *server) serves() bool {
	for {
		select {
		case <-s.proc.ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", s.addr()); err == nil {
			conn.Close()
			s.proc.serving.Store(true)
			return true
		}
	}
}

// kill ends the server with SIGKILL. s.mu is held.
func (s *server) kill() {
	s.proc.serving.Store(false)
	s.signal(syscall.SIGKILL)
	<-s.proc.ended
	s.proc = nil
}

// stop ends the server with SIGTERM. s.mu is held.
func (s *server) stop() {
	p := s.proc
	p.serving.Store(false)
	s.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			s.c.violation("server %d: exit code %d after SIGTERM", s.index, code)
		}
	case <-time.After(patience):
		s.c.violation("server %d has not ended after SIGTERM; its goroutines are in its log", s.index)
		s.signal(syscall.SIGQUIT)
		<-p.ended
	}
	s.proc = nil
}

func (s *server) signal(sig syscall.Signal) {
	if p := s.proc.cmd.Process; p != nil {
		_ = p.Signal(sig)
	}
}

// close ends what newCluster has started.
func (c *cluster) close() {
	for _, s := range c.servers {
		s.mu.Lock()
		if s.proc != nil {
			s.kill()
		}
		s.mu.Unlock()
		s.log.Close()
	}
	c.wg.Wait()
	c.thread.end()
}
