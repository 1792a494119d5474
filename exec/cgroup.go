package exec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups gives every command a cgroup of its own, in which the kernel limits what all
// its processes use together (cgroups(7), version 2). It may be used by many Runs at once.
//
//	own cgroup of this process     from /proc/self/cgroup
//	├── s4-server-PID/             this process, as only a leaf may hold one
//	└── s4-tasks-PID-RANDOM/       locked by flock(2) while this process lives
//	    ├── 1/                     a command
//	    └── 2/
type Cgroups struct {
	dir    string // holds those of the commands
	lock   *os.File
	leave  func() // undoes what was done to the own cgroup
	memory int64
	files  map[string]string // what is written to those of a new one
	last   atomic.Uint64
}

// Names of the directories that OpenCgroups makes.
const (
	serverCgroup = "s4-server-"
	tasksCgroup  = "s4-tasks-"
)

// cpuPeriod is in microseconds, and the kernel's default (cgroup-v2.rst, cpu.max).
const cpuPeriod = 100_000

// MinCPUs is the least part of a processor that a command can be given: the kernel takes
// no quota below 1 ms (min_cfs_quota_period in kernel/sched/core.c).
const MinCPUs = 0.01

// OpenCgroups prepares cgroups in which the processes of a command can have memory bytes
// together, page cache that can be dropped not counted, and the time of cpus processors;
// 0 is without limit. What a killed server has left there is removed. The error says what
// is missing, in one line. Close must be called when no command runs any more.
func OpenCgroups(memory int64, cpus float64) (*Cgroups, error) {
	var controllers []string
	c := &Cgroups{memory: memory, files: make(map[string]string)}
	if memory > 0 {
		controllers = append(controllers, "memory")
		c.files["memory.max"] = strconv.FormatInt(memory, 10)
		c.files["memory.swap.max"] = "0" // is there only if the kernel counts swap
		c.files["memory.oom.group"] = "1"
	}
	if cpus > 0 {
		controllers = append(controllers, "cpu")
		c.files["cpu.max"] = fmt.Sprintf("%d %d", int64(cpus*cpuPeriod), cpuPeriod)
	}
	own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	sweepCgroups(own)
	if c.leave, err = delegate(own, controllers); err != nil {
		return nil, err
	}
	if err := c.makeDir(own, controllers); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// makeDir makes the cgroup that holds those of commands.
func (c *Cgroups) makeDir(own string, controllers []string) (err error) {
	if c.dir, err = os.MkdirTemp(own, tasksCgroup+strconv.Itoa(os.Getpid())+"-"); err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil { // programs look up their limits
		return err
	}
	if c.lock, err = os.Open(c.dir); err != nil {
		return err
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "cgroup.kill")); err != nil {
		return errors.New("cgroups of this kernel cannot be killed as a whole (Linux 5.14 or later can)")
	}
	return enable(c.dir, controllers)
}

// Close removes the cgroups, and kills what is left in them.
func (c *Cgroups) Close() error {
	var err error
	if c.dir != "" {
		err = removeCgroups(c.dir)
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	c.leave()
	return err
}

// ownCgroup returns the directory of this process's cgroup.
func ownCgroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	return findCgroup(string(own), string(mounts))
}

// findCgroup finds a process's cgroup of version 2: own and mounts are what
// /proc/PID/cgroup and /proc/PID/mountinfo say.
func findCgroup(own, mounts string) (string, error) {
	path, found := "", false
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			path, found = strings.TrimSuffix(rest, "\n"), true
		}
	}
	if !found {
		return "", errors.New("this machine has no cgroup v2 hierarchy")
	}
	for line := range strings.Lines(mounts) {
		// proc_pid_mountinfo(5): the fourth field is the mount's root, the fifth where it
		// is; the type follows the field "-".
		mount, fs, ok := strings.Cut(line, " - ")
		f := strings.Fields(mount)
		if !ok || len(f) < 5 || !strings.HasPrefix(fs, "cgroup2 ") {
			continue
		}
		rel, err := filepath.Rel(unescapeMount(f[3]), path)
		if err == nil && filepath.IsLocal(rel) && !strings.HasPrefix(path, "/..") { // outside of our namespace
			return filepath.Join(unescapeMount(f[4]), rel), nil
		}
	}
	return "", errors.New("no cgroup v2 hierarchy is mounted here")
}

// unescapeMount undoes how /proc/PID/mountinfo writes blanks and backslashes.
func unescapeMount(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// delegate makes controllers available below own. Unless that is the root, this process
// goes to a leaf for it, and none may be left in own: a cgroup that has processes passes on
// no memory controller, and would pass on the one of cpu to threads only (cgroup-v2.rst,
// "No Internal Process Constraint" and "Threads"). leave undoes it.
func delegate(own string, controllers []string) (leave func(), err error) {
	for _, name := range controllers {
		if !hasWord(filepath.Join(own, "cgroup.controllers"), name) {
			return nil, fmt.Errorf("the %s controller is not available in %s (under systemd, set Delegate=yes)", name, own)
		}
	}
	if _, err := os.Stat(filepath.Join(own, "cgroup.type")); errors.Is(err, os.ErrNotExist) {
		return func() {}, enable(own, controllers) // the root
	}
	pid := strconv.Itoa(os.Getpid())
	leaf := filepath.Join(own, serverCgroup+pid)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	leave = func() {
		for _, name := range controllers {
			_ = writeCgroup(own, "cgroup.subtree_control", "-"+name)
		}
		_ = writeCgroup(own, "cgroup.procs", pid)
		_ = os.Remove(leaf)
	}
	err = writeCgroup(leaf, "cgroup.procs", pid)
	if err == nil {
		if others, _ := os.ReadFile(filepath.Join(own, "cgroup.procs")); len(others) > 0 {
			err = fmt.Errorf("other processes are in %s, too (start s4-server in one of its own: systemd-run --scope -p Delegate=yes s4-server …)", own)
		}
	}
	if err == nil {
		err = enable(own, controllers)
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// enable makes controllers available to the children of a cgroup.
func enable(dir string, controllers []string) error {
	const file = "cgroup.subtree_control"
	for _, name := range controllers {
		if hasWord(filepath.Join(dir, file), name) {
			continue // as everywhere below the root, where systemd has done it
		}
		if err := writeCgroup(dir, file, "+"+name); err != nil {
			return err
		}
	}
	return nil
}

func hasWord(file, word string) bool {
	text, _ := os.ReadFile(file)
	for _, w := range bytes.Fields(text) {
		if string(w) == word {
			return true
		}
	}
	return false
}

// writeCgroup writes to a file of a cgroup, which is there or is not to be.
func writeCgroup(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// sweepCgroups removes what servers that were killed have left in own.
func sweepCgroups(own string) {
	list, _ := os.ReadDir(own)
	for _, d := range list {
		path := filepath.Join(own, d.Name())
		switch {
		case strings.HasPrefix(d.Name(), serverCgroup):
			_ = os.Remove(path) // fails while its server runs
		case strings.HasPrefix(d.Name(), tasksCgroup):
			f, err := os.Open(path)
			if err != nil {
				continue
			}
			if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
				_ = removeCgroups(path)
			}
			f.Close()
		}
	}
}

// removeCgroups kills the processes of a cgroup of commands, and removes it.
func removeCgroups(dir string) error {
	_ = writeCgroup(dir, "cgroup.kill", "1")
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		if d.IsDir() {
			_ = removeCgroup(filepath.Join(dir, d.Name()))
		}
	}
	return removeCgroup(dir)
}

// removeCgroup removes a cgroup whose processes have been killed, as soon as they are gone.
func removeCgroup(dir string) error {
	deadline := time.Now().Add(goneWait)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := unix.Rmdir(dir)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

// cgroup is that of one command.
type cgroup struct {
	of  *Cgroups
	dir *os.File
}

// create makes a cgroup; end must be called.
func (c *Cgroups) create() (*cgroup, error) {
	path := filepath.Join(c.dir, strconv.FormatUint(c.last.Add(1), 10))
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	var err error
	for file, text := range c.files {
		if werr := writeCgroup(path, file, text); file != "memory.swap.max" || !errors.Is(werr, os.ErrNotExist) {
			err = errors.Join(err, werr)
		}
	}
	dir, oerr := os.Open(path)
	if err = errors.Join(err, oerr); err != nil {
		return nil, errors.Join(err, unix.Rmdir(path))
	}
	return &cgroup{of: c, dir: dir}, nil
}

// place makes the process that attr starts begin in the cgroup.
func (g *cgroup) place(attr *syscall.SysProcAttr) {
	if g != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.dir.Fd())
	}
}

// kill kills all processes of the cgroup, also those that have left the process group.
func (g *cgroup) kill() {
	if g != nil {
		_ = writeCgroup(g.dir.Name(), "cgroup.kill", "1")
	}
}

// end kills what is left, and removes the cgroup. It returns the limit of memory if the
// kernel has killed the command for needing more, or else 0.
func (g *cgroup) end() (exceeded int64) {
	if g == nil {
		return 0
	}
	g.kill()
	if oomKills(g.dir.Name()) > 0 {
		exceeded = g.of.memory
	}
	_ = removeCgroup(g.dir.Name()) // if it fails, Close tries again
	g.dir.Close()
	return exceeded
}

// oomKills returns how many processes of a cgroup were killed for want of memory.
func oomKills(dir string) int {
	text, _ := os.ReadFile(filepath.Join(dir, "memory.events"))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}
