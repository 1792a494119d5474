package scripts_test

import (
	"bytes"
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

	"github.com/nathants/s4/node/nodetest"
)

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
	hosts   []*host
	env     []string // for the scripts
	conf    string
	sshArgs string // file with a line for each time that ssh was called
	secret  string // its file, for l.s4; that which new_cluster.sh makes, at first
	flags   []string
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
		conf:   filepath.Join(tmp, "local.conf"),
		secret: filepath.Join(tmp, "local.secret"),
		env: []string{"S4_SECRET_FILE=", "S4_SSH_OPTS=-F none -i " + filepath.Join(tmp, "user_key") +
			" -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no" +
			" -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR" +
			// There are hundreds of connections, and the default takes ten times as long.
			" -o KexAlgorithms=curve25519-sha256"},
	}
	// A blank and a quote, as quoting is half of what such scripts get wrong.
	dir := "it's s4/%p"
	l.spyOnSSH(t, tmp)
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
		port := nodetest.FreePort()
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

// spyOnSSH puts a program before ssh that notes how it is called.
func (l *lab) spyOnSSH(t *testing.T, tmp string) {
	t.Helper()
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	l.sshArgs = filepath.Join(tmp, "ssh.args")
	spy := filepath.Join(tmp, "bin", "ssh")
	if err := os.Mkdir(filepath.Dir(spy), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>'%s'\nexec '%s' \"$@\"\n", l.sshArgs, ssh)
	if err := os.WriteFile(spy, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	l.env = append(l.env, "PATH="+filepath.Dir(spy)+":"+os.Getenv("PATH"))
}

// startSSHD starts an sshd for the current user, whose home it says is home.
func startSSHD(t *testing.T, sshd, tmp, home string) (port int, stop func()) {
	t.Helper()
	for range 5 { // another process may take the port first
		port = nodetest.FreePort()
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

// s4 runs the client with the cluster file that new_cluster.sh wrote, and the secret.
func (l *lab) s4(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, []string{"S4_CONF_PATH=" + l.conf, "S4_SECRET_FILE=" + l.secret}, filepath.Join(bin, "s4"), args...)
}

// wantSecret checks that every host has the secret in a file of its user's, and that it
// was on no command line, here or there: neither of ssh nor of what runs now.
func (l *lab) wantSecret(t *testing.T) {
	t.Helper()
	secret, err := os.ReadFile(l.secret)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{l.secret}
	for _, h := range l.hosts {
		paths = append(paths, filepath.Join(h.dir, "secret"))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil || string(text) != string(secret) {
			t.Errorf("%s is not the secret: %v", path, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(lines, l.sshArgs) {
		text, err := os.ReadFile(path)
		if path == l.sshArgs && (err != nil || len(text) == 0) {
			t.Errorf("nothing is known of how ssh was called: %v", err)
		}
		if strings.Contains(string(text), strings.TrimSpace(string(secret))) {
			t.Errorf("the secret is on a command line: %s", path)
		}
	}
}

// dataKeys returns the key that each host has of the test data.
func (l *lab) dataKeys() (names []string) {
	for i := range l.hosts {
		names = append(names, fmt.Sprintf("%03d_x", i))
	}
	return names
}

// putData puts a key on every host.
func (l *lab) putData(t *testing.T) {
	t.Helper()
	for i, name := range l.dataKeys() {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte("value of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
		l.s4(t, "cp", file, "s4://b/dir/"+name).want(t, 0)
		if _, err := os.Stat(filepath.Join(l.hosts[i].dir, "data/b/dir", name)); err != nil {
			t.Errorf("key is not in the directory of its host: %v", err)
		}
	}
}

// checkData fails the test unless all of putData is there.
func (l *lab) checkData(t *testing.T) {
	t.Helper()
	for _, name := range l.dataKeys() {
		out := filepath.Join(t.TempDir(), "out")
		l.s4(t, "cp", "s4://b/dir/"+name, out).want(t, 0)
		got, err := os.ReadFile(out)
		if want := "value of " + name; err != nil || string(got) != want {
			t.Errorf("%s: want %q, got %q, %v", name, want, got, err)
		}
	}
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
