package exec

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFindCgroup(t *testing.T) {
	const (
		pure   = "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid = "30 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
			"32 30 0:28 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n"
		bound = `30 1 0:26 /a\040b /mnt/c\134d rw - cgroup2 cgroup2 rw` + "\n"
	)
	for _, tt := range []struct{ name, own, mounts, want, err string }{
		{"a service", "0::/system.slice/s4.service\n", pure, "/sys/fs/cgroup/system.slice/s4.service", ""},
		{"the root", "0::/\n", pure, "/sys/fs/cgroup", ""},
		{"beside version 1", "4:memory:/x\n1:name=systemd:/y\n0::/z\n", hybrid, "/sys/fs/cgroup/unified/z", ""},
		{"a part is mounted", "0::/a b/c\n", bound, `/mnt/c\d/c`, ""},
		{"another part is mounted", "0::/a\n", bound, "", "no cgroup v2 hierarchy is mounted"},
		{"outside of the namespace", "0::/../x\n", pure, "", "no cgroup v2 hierarchy is mounted"},
		{"version 1 only", "4:memory:/x\n", hybrid, "", "no cgroup v2 hierarchy"},
		{"no mount", "0::/\n", "", "", "no cgroup v2 hierarchy is mounted"},
		{"damaged", "0::/\n", "30 1 - cgroup2\n", "", "no cgroup v2 hierarchy is mounted"},
	} {
		got, err := findCgroup(tt.own, tt.mounts)
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// openCgroups returns cgroups with limits, or skips the test where there are none.
func openCgroups(t *testing.T, memory int64, cpus float64) *Cgroups {
	t.Helper()
	c, err := OpenCgroups(memory, cpus)
	if err != nil {
		t.Skip("no cgroups that can be used:", err)
	}
	t.Cleanup(func() {
		dir := c.dir
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	})
	return c
}

// eatMemory fills a variable of bash with 64 MiB.
const eatMemory = `x=$(head -c 67108864 /dev/zero | tr '\0' x); echo ${#x}`

func TestTaskMemory(t *testing.T) {
	c := openCgroups(t, 16<<20, 0)
	for _, tt := range []struct{ script, want string }{
		{eatMemory, "killed: used more than 16 MiB"},
		{"head -c 67108864 /dev/zero | tail -n 1", "killed: used more than 16 MiB"}, // the line is all of it
		{"head -c 67108864 /dev/zero | cksum >/dev/null", "exit 0"},
		{"exit 3", "exit 3"},
	} {
		_, res := runIn(t, Cmd{Script: tt.script, Pipeline: NewPipeline(tt.script, env), Dir: t.TempDir(), Cgroups: c})
		if got := ExitText(res); got != tt.want {
			t.Errorf("%s: %s (stderr %q), want %s", tt.script, got, res.Stderr, tt.want)
		}
	}
	if _, res := runIn(t, Cmd{Script: "x=$(head -c 1000000 /dev/zero | tr '\\0' x); echo ${#x}", Dir: t.TempDir(), Cgroups: c}); res.ExitCode != 0 || res.OverMemory != 0 {
		t.Errorf("a small one: %s, over %d", ExitText(res), res.OverMemory)
	}
}

// What has left its process group dies with the command, too.
func TestCgroupEndsAll(t *testing.T) {
	c := openCgroups(t, 64<<20, 0.5)
	dir := t.TempDir()
	_, res := runIn(t, Cmd{Script: `setsid bash -c 'echo $$ >"$PWD/pid.new"; mv pid.new pid; cd /; exec sleep 1000' & until [[ -e pid ]]; do sleep 0.01; done; cat /proc/self/cgroup`, Dir: dir, Cgroups: c})
	if res.ExitCode != 0 {
		t.Fatalf("%s: %s", ExitText(res), res.Stderr)
	}
	if pid := mustPid(t, filepath.Join(dir, "pid")); runs(pid) {
		t.Errorf("process %d lives", pid)
	}
	if list, _ := filepath.Glob(filepath.Join(c.dir, "*", "cgroup.procs")); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
}

func TestCPULimitIsSet(t *testing.T) {
	c := openCgroups(t, 0, 0.5)
	cg, err := c.create()
	if err != nil {
		t.Fatal(err)
	}
	defer cg.end()
	if b, err := os.ReadFile(filepath.Join(cg.dir.Name(), "cpu.max")); string(b) != "50000 100000\n" {
		t.Errorf("cpu.max is %q, %v", b, err)
	}
}

// A command of another user can use all that it is given, and opens it once more.
func TestCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run commands as another user")
	}
	const nobody = 65534
	cred := &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{nobody}}
	dir, err := os.MkdirTemp("/tmp", "s4-test-") // what is above a t.TempDir may be closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		"id -u; id -G; echo x >>/dev/stdout; echo y >>/dev/stderr",
		"id -u", "id -u | sort", "id -u | cat /dev/stdin", "id -G | sort | tr a b",
	} {
		out, res := runIn(t, Cmd{Script: script, Pipeline: NewPipeline(script, env), Dir: dir, Credential: cred})
		if res.ExitCode != 0 || !strings.HasPrefix(out, "65534\n") || strings.Contains(script, "stdout") && (out != "65534\n65534\nx\n" || string(res.Stderr) != "y\n") {
			t.Errorf("%s: %s, stdout %q, stderr %q", script, ExitText(res), out, res.Stderr)
		}
		if res.Direct == strings.Contains(script, ";") {
			t.Errorf("%s: direct is %v", script, res.Direct)
		}
	}
}
