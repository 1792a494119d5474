// Package scripts_test runs the deployment scripts as a user would: against
// real sshd processes, one for each host of a cluster, and real servers.
package scripts_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is generous: nothing here measures time.
const patience = 60 * time.Second

// bin is the directory of the s4 and s4-server under test, and root the module.
var bin, root string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	var err error
	if root, err = filepath.Abs(".."); err != nil {
		return 0, err
	}
	if bin, err = os.MkdirTemp("", "s4-scripts-bin"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	// The user's own cluster and ssh settings must not play a part.
	os.Unsetenv("S4_CONF_PATH")
	os.Unsetenv("S4_SSH_OPTS")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", "./cli/s4", "./cli/s4-server")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// result is what a finished command left.
type result struct {
	code        int
	out, errOut string
}

// run runs a command in an empty directory with env added to the environment.
func run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	// A server that kept the pipes of ssh open would hang the test, not fail it.
	cmd.WaitDelay = patience
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", name, err, out.String(), errOut.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// script is the path of a script of this directory.
func script(name string) string { return filepath.Join(root, "scripts", name) }

// want fails the test unless the command ended with code and said all texts.
func (r result) want(t *testing.T, code int, texts ...string) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%sstderr:\n%s", r.code, code, r.out, r.errOut)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.errOut, text) {
			t.Fatalf("nothing said of %q\nstdout:\n%sstderr:\n%s", text, r.out, r.errOut)
		}
	}
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
	}
}

func TestSyntax(t *testing.T) {
	scripts, err := filepath.Glob(script("*.sh"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		if r := run(t, nil, "bash", "-n", path); r.code != 0 || r.errOut != "" {
			t.Errorf("bash -n %s: exit code %d, %s", path, r.code, r.errOut)
		}
	}
}

func TestHelpAndUsage(t *testing.T) {
	for _, name := range []string{"install.sh", "new_cluster.sh", "stop_cluster.sh", "demo.sh"} {
		for _, flag := range []string{"-h", "--help"} {
			r := run(t, nil, script(name), flag).want(t, 0, "Usage: scripts/"+name)
			if r.errOut != "" {
				t.Errorf("%s %s: stderr: %s", name, flag, r.errOut)
			}
		}
		run(t, nil, script(name), "--no-such-option").want(t, 2, name+": ")
	}
}

func TestBadHosts(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--port"},
		{"--port", "70000", "a"},
		{"--port", "0", "a"},
		{"-oProxyCommand=date"},
		{"a@-oProxyCommand=date"},
		{"a:b"},
		{"a:"},
		{"a:0"},
		{"a/0"},
		{"a/"},
		{"a/70000"},
		{"a/b:"},
		{"a b"},
		{"$(date)"},
		{"fd00::1"},
		{"[fd00::1"},
		{"a", "a"},
		{"a:1", "a:2"},
		{"a/4001", "--port", "4001", "a"},
		{"--dir", "", "a"},
	} {
		for _, name := range []string{"new_cluster.sh", "stop_cluster.sh"} {
			r := run(t, nil, script(name), args...).want(t, 2, name+": ")
			if strings.Count(r.errOut, "\n") != 1 {
				t.Errorf("%s %q: want one line, got:\n%s", name, args, r.errOut)
			}
		}
	}
}

func TestInstall(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "a prefix")
	run(t, nil, script("install.sh"), "--prefix", prefix).want(t, 0, "is not on PATH", prefix+"/bin/s4-server")
	env := []string{"PATH=" + prefix + "/bin:" + os.Getenv("PATH")}
	r := run(t, env, script("install.sh"), "--prefix="+prefix).want(t, 0)
	if strings.Contains(r.out, "is not on PATH") {
		t.Errorf("prefix is on PATH, yet:\n%s", r.out)
	}
	for _, name := range []string{"s4", "s4-server"} {
		run(t, nil, filepath.Join(prefix, "bin", name), "--help").want(t, 0)
	}
	entries, err := os.ReadDir(filepath.Join(prefix, "bin"))
	if err != nil || len(entries) != 2 {
		t.Errorf("want s4 and s4-server, got %v, %v", entries, err)
	}
}

// host is an sshd process that logs in to a home directory of its own.
type host struct {
	spec string // HOST for the scripts
	home string
	dir  string // the server's directory
	addr string // the server's host:port
	stop func() // ends sshd
}

// lab is three hosts and what is needed to reach them.
type lab struct {
	hosts []*host
	env   []string // for the scripts
	conf  string
	flags []string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if path, err := exec.LookPath("sshd"); err == nil {
		sshd = path
	}
	for _, program := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("install openssh-server: %v", err)
		}
	}
	if os.Geteuid() == 0 {
		// sshd wants its privilege separation directory.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}

	tmp := t.TempDir()
	for _, key := range []string{"host_key", "user_key"} {
		run(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(tmp, key)).want(t, 0)
	}
	l := &lab{
		conf: filepath.Join(tmp, "local.conf"),
		env: []string{"S4_SSH_OPTS=-F none -i " + filepath.Join(tmp, "user_key") +
			" -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no" +
			" -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"},
	}
	// A blank and a quote, as quoting is half of what such scripts get wrong.
	dir := "it's s4/%p"
	l.flags = []string{"--bin", bin, "--dir", dir, "--conf", l.conf}
	// Should a test fail half way. Runs after the sshds are gone.
	t.Cleanup(func() {
		for _, h := range l.hosts {
			for _, pid := range processes(h.home) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	for i := range 3 {
		home := filepath.Join(tmp, fmt.Sprintf("home%d", i))
		if err := os.Mkdir(home, 0o755); err != nil {
			t.Fatal(err)
		}
		// Startup files talk; the scripts must not mistake that for answers.
		noise := "echo noise; echo noise >&2\n"
		if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte(noise), 0o644); err != nil {
			t.Fatal(err)
		}
		sshPort, stop := startSSHD(t, sshd, tmp, home)
		port := freePort(t)
		l.hosts = append(l.hosts, &host{
			spec: fmt.Sprintf("%s@127.0.0.1:%d/%d", me.Username, sshPort, port),
			home: home,
			dir:  filepath.Join(home, strings.ReplaceAll(dir, "%p", strconv.Itoa(port))),
			addr: fmt.Sprintf("127.0.0.1:%d", port),
			stop: stop,
		})
	}
	return l
}

// startSSHD starts an sshd for the current user, whose home it says is home.
func startSSHD(t *testing.T, sshd, tmp, home string) (port int, stop func()) {
	t.Helper()
	for range 5 { // another process may take the port first
		port = freePort(t)
		config := filepath.Join(tmp, fmt.Sprintf("sshd_config.%d", port))
		text := fmt.Sprintf(`
ListenAddress 127.0.0.1
Port %d
HostKey %s/host_key
AuthorizedKeysFile %s/user_key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
SetEnv HOME=%s
`, port, tmp, tmp, home)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sshd, "-D", "-e", "-f", config)
		var log bytes.Buffer // read once Wait has returned
		cmd.Stderr = &log
		// Sessions hold the pipe, too: sshd is gone when it is gone.
		cmd.WaitDelay = time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(exited)
		}()
		stop = func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-exited
		}
		t.Cleanup(stop)
		up := false
		eventually(t, "sshd answers or exits", func() bool {
			select {
			case <-exited:
				return true
			default:
			}
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_, err = conn.Read(make([]byte, 4))
				conn.Close()
			}
			up = err == nil
			return up
		})
		if up {
			return port, stop
		}
		t.Logf("sshd exited: %s", log.String())
	}
	t.Fatal("sshd does not start")
	return 0, nil
}

// freePort returns a loopback port that was free just now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// processes returns the processes whose program lies below dir.
func processes(dir string) (pids []int) {
	entries, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, entry := range entries {
		target, err := os.Readlink(entry)
		if err != nil || !strings.HasPrefix(target, dir+"/") {
			continue // gone, or another user's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pid returns the process id of the host's one server.
func (h *host) pid(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pids := processes(h.home)
	if len(pids) != 1 || strconv.Itoa(pids[0]) != strings.TrimSpace(string(text)) {
		t.Fatalf("%s: want the one process %s, have %v", h.spec, strings.TrimSpace(string(text)), pids)
	}
	return pids[0]
}

func (l *lab) pids(t *testing.T) (pids []int) {
	t.Helper()
	for _, h := range l.hosts {
		pids = append(pids, h.pid(t))
	}
	return pids
}

// specs returns the HOST arguments for the given hosts, or for all.
func (l *lab) specs(hosts ...*host) (specs []string) {
	if hosts == nil {
		hosts = l.hosts
	}
	for _, h := range hosts {
		specs = append(specs, h.spec)
	}
	return specs
}

func (l *lab) newCluster(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, l.env, script("new_cluster.sh"), append(append([]string{}, l.flags...), args...)...)
}

func (l *lab) stopCluster(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, l.env, script("stop_cluster.sh"), append([]string{"--dir", l.flags[3]}, args...)...)
}

// s4 runs the client with the cluster file that new_cluster.sh wrote.
func (l *lab) s4(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, []string{"S4_CONF_PATH=" + l.conf}, filepath.Join(bin, "s4"), args...)
}

// same and changed compare one server's process before and after.
func same(t *testing.T, before, after int) {
	t.Helper()
	if before != after {
		t.Errorf("server was restarted: pid %d, then %d", before, after)
	}
}

func changed(t *testing.T, before, after int) {
	t.Helper()
	if before == after {
		t.Errorf("server was not restarted: still pid %d", before)
	}
}

func TestCluster(t *testing.T) {
	l := newLab(t)
	a, b, c := l.hosts[0], l.hosts[1], l.hosts[2]

	l.newCluster(t, l.specs()...).want(t, 0, "3 servers healthy", "started")
	text, err := os.ReadFile(l.conf)
	if want := a.addr + "\n" + b.addr + "\n" + c.addr + "\n"; err != nil || string(text) != want {
		t.Fatalf("cluster file: want %q, got %q, %v", want, text, err)
	}
	l.s4(t, "health").want(t, 0, "healthy "+a.addr, "healthy "+b.addr, "healthy "+c.addr)
	first := l.pids(t)

	checkData := func() {
		t.Helper()
		for i := range l.hosts {
			name := fmt.Sprintf("%03d_x", i)
			out := filepath.Join(t.TempDir(), "out")
			l.s4(t, "cp", "s4://b/dir/"+name, out).want(t, 0)
			got, err := os.ReadFile(out)
			if want := "value of " + name; err != nil || string(got) != want {
				t.Errorf("%s: want %q, got %q, %v", name, want, got, err)
			}
		}
	}
	for i, h := range l.hosts {
		name := fmt.Sprintf("%03d_x", i)
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte("value of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
		l.s4(t, "cp", file, "s4://b/dir/"+name).want(t, 0)
		if _, err := os.Stat(filepath.Join(h.dir, "data/b/dir", name)); err != nil {
			t.Errorf("key is not in the directory of its host: %v", err)
		}
	}
	checkData()

	t.Run("again", func(t *testing.T) {
		l.newCluster(t, l.specs()...).want(t, 0, "left running", "3 servers healthy")
		for i, pid := range l.pids(t) {
			same(t, first[i], pid)
		}
	})

	t.Run("one died", func(t *testing.T) {
		before := l.pids(t)
		if err := syscall.Kill(before[1], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "killed server is gone", func() bool { return len(processes(b.home)) == 0 })
		l.newCluster(t, l.specs()...).want(t, 0, b.spec+": server "+b.addr+" started")
		after := l.pids(t)
		same(t, before[0], after[0])
		changed(t, before[1], after[1])
		same(t, before[2], after[2])
		checkData()
	})

	t.Run("pid file lost", func(t *testing.T) {
		before := a.pid(t)
		path := filepath.Join(a.dir, "pid")
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		l.newCluster(t, l.specs()...).want(t, 0, fmt.Sprintf("left running, pid %d", before))
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("changed flags", func(t *testing.T) {
		before := l.pids(t)
		l.newCluster(t, append(l.specs(), "--server-flags", "--fsync")...).want(t, 0, "restarted (new flags)")
		for i, pid := range l.pids(t) {
			changed(t, before[i], pid)
		}
		l.newCluster(t, l.specs()...).want(t, 0, "restarted (new flags)")
		checkData()
	})

	t.Run("changed program", func(t *testing.T) {
		before := l.pids(t)
		// As if somebody had put another program there, under the running server.
		other := filepath.Join(a.dir, "bin/s4")
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		l.newCluster(t, l.specs()...).want(t, 0, "left running")
		same(t, before[0], a.pid(t))
		if _, err := os.Stat(other); err != nil {
			t.Errorf("s4 was not copied again: %v", err)
		}

		newBin := t.TempDir()
		for _, name := range []string{"s4", "s4-server"} {
			program, err := os.ReadFile(filepath.Join(bin, name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "s4-server" {
				program = append(program, 0) // loaders do not mind
			}
			if err := os.WriteFile(filepath.Join(newBin, name), program, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		l.newCluster(t, append(l.specs(), "--bin", newBin)...).want(t, 0, "restarted (new program)")
		for i, pid := range l.pids(t) {
			changed(t, before[i], pid)
		}
		l.newCluster(t, l.specs()...).want(t, 0, "restarted (new program)")
		checkData()
	})

	t.Run("changed cluster file", func(t *testing.T) {
		before := l.pids(t)
		l.newCluster(t, l.specs(a, b)...).want(t, 1, a.spec+": ", "holds keys placed for server 1 of 3", "nothing was changed")
		for i, pid := range l.pids(t) {
			same(t, before[i], pid)
		}

		l.newCluster(t, append(l.specs(a, b), "--force")...).want(t, 0, "restarted (new cluster file)", "2 servers healthy")
		after := l.pids(t)
		changed(t, before[0], after[0])
		changed(t, before[1], after[1])
		same(t, before[2], after[2])
		l.s4(t, "health").want(t, 0, "healthy "+a.addr)
		if old, err := os.ReadFile(l.conf + ".old"); err != nil || string(old) != string(text) {
			t.Errorf("former cluster file: %q, %v", old, err)
		}

		l.newCluster(t, append(l.specs(), "--force")...).want(t, 0, c.spec+": server "+c.addr+" left running", "3 servers healthy")
		same(t, before[2], c.pid(t))
		checkData()
	})

	t.Run("hung server", func(t *testing.T) {
		before := l.pids(t)
		if err := syscall.Kill(before[1], syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		l.newCluster(t, l.specs()...).want(t, 0, b.spec+": server "+b.addr+" restarted (was unhealthy)")
		after := l.pids(t)
		same(t, before[0], after[0])
		changed(t, before[1], after[1])
		same(t, before[2], after[2])
		checkData()
	})

	t.Run("unreachable host", func(t *testing.T) {
		before := l.pids(t)
		nobody := fmt.Sprintf("127.0.0.1:%d/%d", freePort(t), freePort(t))
		r := l.newCluster(t, append(l.specs(), "--force", nobody)...)
		r.want(t, 1, "new_cluster.sh: "+nobody+": ssh failed: ", "nothing was changed",
			fmt.Sprintf("%s: server %s running, pid %d", a.spec, a.addr, before[0]), " not known")
		for i, pid := range l.pids(t) {
			same(t, before[i], pid)
		}
		l.stopCluster(t, nobody).want(t, 1, "stop_cluster.sh: "+nobody+": ssh failed: ")
	})

	t.Run("stop hung server", func(t *testing.T) {
		pid := b.pid(t)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		r := l.stopCluster(t, l.specs(b)...).want(t, 0, fmt.Sprintf("%s: warning: server %s, pid %d, did not stop", b.spec, b.addr, pid))
		if pids := processes(b.home); len(pids) != 0 {
			t.Errorf("left behind: %v\n%s", pids, r.errOut)
		}
	})

	t.Run("stop", func(t *testing.T) {
		r := l.stopCluster(t, l.specs()...).want(t, 0, "stopped, was pid")
		if r.errOut != "" {
			t.Errorf("stderr: %s", r.errOut)
		}
		for _, h := range l.hosts {
			if pids := processes(h.home); len(pids) != 0 {
				t.Errorf("%s: left behind: %v", h.spec, pids)
			}
		}
		l.stopCluster(t, l.specs()...).want(t, 0, "was not running")

		l.newCluster(t, l.specs()...).want(t, 0, "3 servers healthy")
		checkData()
	})

	t.Run("remove data", func(t *testing.T) {
		l.stopCluster(t, append(l.specs(), "--remove-data")...).want(t, 0, "stopped, was pid", "removed")
		for _, h := range l.hosts {
			if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", h.dir, err)
			}
		}
		l.stopCluster(t, append(l.specs(), "--remove-data")...).want(t, 0, "was not running")
	})
}

func TestPortInUse(t *testing.T) {
	l := newLab(t)
	b := l.hosts[1]
	taken, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })

	l.newCluster(t, l.specs()...).want(t, 1,
		"new_cluster.sh: "+b.spec+": ", "address already in use",
		l.hosts[0].spec+": server "+l.hosts[0].addr+" running, pid",
		b.spec+": server "+b.addr+" not running", "not all servers started")
	if _, err := os.Stat(l.conf); !os.IsNotExist(err) {
		t.Errorf("cluster file was written for a cluster that is not up: %v", err)
	}

	// Once the port is free, the same command completes the cluster.
	before := l.hosts[0].pid(t)
	taken.Close()
	l.newCluster(t, l.specs()...).want(t, 0, "left running", "3 servers healthy")
	same(t, before, l.hosts[0].pid(t))
	l.stopCluster(t, l.specs()...).want(t, 0)
}

func TestHostLost(t *testing.T) {
	l := newLab(t)
	l.newCluster(t, l.specs()...).want(t, 0, "3 servers healthy")
	pid := l.hosts[2].pid(t)
	l.hosts[2].stop()
	// What can be stopped is, and the rest is named.
	l.stopCluster(t, l.specs()...).want(t, 1, "stop_cluster.sh: "+l.hosts[2].spec+": ssh failed: ", "stopped, was pid")
	for _, h := range l.hosts[:2] {
		if pids := processes(h.home); len(pids) != 0 {
			t.Errorf("%s: left behind: %v", h.spec, pids)
		}
	}
	// Out of the scripts' reach, it must still run as it did.
	same(t, pid, l.hosts[2].pid(t))
}
