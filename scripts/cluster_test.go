package scripts_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nathants/s4/node/nodetest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, b, c := l.hosts[0], l.hosts[1], l.hosts[2]

	l.newCluster(t, l.specs()...).want(t, 0, "3 servers healthy", "started")
	text, err := os.ReadFile(l.conf)
	if want := a.addr + "\n" + b.addr + "\n" + c.addr + "\n"; err != nil || string(text) != want {
		t.Fatalf("cluster file: want %q, got %q, %v", want, text, err)
	}
	l.s4(t, "health").want(t, 0, "healthy "+a.addr, "healthy "+b.addr, "healthy "+c.addr)
	first := l.pids(t)

	l.putData(t)
	l.checkData(t)

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
		l.checkData(t)
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
		l.checkData(t)
	})

	t.Run("changed secret", func(t *testing.T) {
		before := l.pids(t)
		l.wantSecret(t)
		old, err := os.ReadFile(l.secret)
		if err != nil {
			t.Fatal(err)
		}
		former := l.secret
		l.secret = filepath.Join(filepath.Dir(l.conf), "another one")
		l.newCluster(t, append(l.specs(), "--secret-file", l.secret)...).want(t, 0, "restarted (new secret)", "export S4_SECRET_FILE="+strings.ReplaceAll(l.secret, " ", `\ `))
		for i, pid := range l.pids(t) {
			changed(t, before[i], pid)
		}
		l.wantSecret(t)
		l.checkData(t)
		if same, err := os.ReadFile(former); err != nil || string(same) != string(old) {
			t.Errorf("the former secret was overwritten: %v", err)
		}
		run(t, []string{"S4_CONF_PATH=" + l.conf, "S4_SECRET_FILE=" + former}, filepath.Join(bin, "s4"), "ls").want(t, 1, "has another secret")
		// From here on $S4_SECRET_FILE says which one.
		l.env = append(l.env, "S4_SECRET_FILE="+l.secret)
		l.newCluster(t, l.specs()...).want(t, 0, "left running")
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
		l.checkData(t)
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
		l.checkData(t)
	})

	t.Run("unreachable host", func(t *testing.T) {
		before := l.pids(t)
		nobody := fmt.Sprintf("127.0.0.1:%d/%d", nodetest.FreePort(), nodetest.FreePort())
		r := l.newCluster(t, append(l.specs(), "--force", nobody)...)
		r.want(t, 1, "new_cluster.sh: "+nobody+": ssh failed: ", "nothing was changed",
			fmt.Sprintf("%s: server %s running, pid %d", a.spec, a.addr, before[0]), " not known")
		for i, pid := range l.pids(t) {
			same(t, before[i], pid)
		}
		l.stopCluster(t, nobody).want(t, 1, "stop_cluster.sh: "+nobody+": ssh failed: ")
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
		l.checkData(t)
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

// A server that is stopped by SIGSTOP answers nobody and does not end at SIGTERM. The
// scripts wait some 25 s for it, so that this runs beside the rest.
func TestHungServer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.hosts[1]
	l.newCluster(t, l.specs()...).want(t, 0, "3 servers healthy")
	l.putData(t)

	t.Run("restart", func(t *testing.T) {
		before := l.pids(t)
		if err := syscall.Kill(before[1], syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		l.newCluster(t, l.specs()...).want(t, 0, b.spec+": server "+b.addr+" restarted (was unhealthy)")
		after := l.pids(t)
		same(t, before[0], after[0])
		changed(t, before[1], after[1])
		same(t, before[2], after[2])
		l.checkData(t)
	})

	t.Run("stop", func(t *testing.T) {
		pid := b.pid(t)
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		r := l.stopCluster(t, l.specs(b)...).want(t, 0, fmt.Sprintf("%s: warning: server %s, pid %d, did not stop", b.spec, b.addr, pid))
		if pids := processes(b.home); len(pids) != 0 {
			t.Errorf("left behind: %v\n%s", pids, r.errOut)
		}
		// Once it is not running, it is started again.
		l.newCluster(t, l.specs()...).want(t, 0, b.spec+": server "+b.addr+" started", "3 servers healthy")
		l.checkData(t)
		l.stopCluster(t, l.specs()...).want(t, 0)
	})
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	l := newLab(t)
	l.newCluster(t, append(l.specs(), "--no-secret")...).want(t, 0, "3 servers healthy")
	if _, err := os.Stat(l.secret); !os.IsNotExist(err) {
		t.Errorf("a secret was made: %v", err)
	}
	l.secret = ""
	l.s4(t, "health").want(t, 0)
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
