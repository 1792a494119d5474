package bench

import (
	"fmt"
	"os"
	"regexp"
	"runtime"

	"golang.org/x/sys/unix"
)

// Machine is where the numbers are from.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     int64  `json:"memory_bytes"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of --dir
	Go         string `json:"go"`
	S4         string `json:"s4"` // what s4 --version says
	// Load is how many processes wanted a core before the run began, as the
	// average of a minute: what shares the machine makes its numbers worse.
	Load float64 `json:"load"`
	// Loopback is what iperf3 moves over it in bytes per second, or 0 where that
	// is not known.
	Loopback float64 `json:"loopback,omitempty"`
}

// describe returns what this machine is. What cannot be found out is "unknown".
func describe(dir string) Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", FileSystem: fileSystem(dir), Go: runtime.Version(), S4: "unknown"}
	b, _ := os.ReadFile("/proc/cpuinfo")
	if found := regexp.MustCompile(`(?m)^model name\s*:\s*(.*\S)`).FindSubmatch(b); found != nil {
		m.CPU = string(found[1])
	}
	m.Memory, _ = procBytes("/proc/meminfo", "MemTotal")
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &m.Load) // the kernel writes a number
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// fileSystem names the type of the file system of dir.
func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown"
	}
	name, ok := map[uint32]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	}[uint32(st.Type)]
	if !ok {
		return fmt.Sprintf("type %#x", uint32(st.Type))
	}
	return name
}

// memoryFS is where a memory file system is mounted on most hosts.
const memoryFS = "/dev/shm"

// slack is left free on the file system, and of memory if it is one of memory:
// for logs, and for the programs.
const slack = 256 << 20

// free returns how many bytes of files dir can take.
func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", dir, err)
	}
	n := int64(st.Bavail) * st.Bsize
	if uint32(st.Type) == unix.TMPFS_MAGIC {
		if mem, err := procBytes("/proc/meminfo", "MemAvailable"); err == nil {
			n = min(n, mem)
		}
	}
	return max(0, n-slack), nil
}

// roomInMemory says why a cluster with need bytes cannot live in memoryFS, or nil.
func roomInMemory(need int64) error {
	if fs := fileSystem(memoryFS); fs != "tmpfs" {
		return fmt.Errorf("%s is not one, but %s", memoryFS, fs)
	}
	f, err := os.CreateTemp(memoryFS, ".s4-bench-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := unix.Fsetxattr(int(f.Fd()), "user.s4.bench", []byte{1}, 0); err != nil {
		return fmt.Errorf("it has no user extended attributes: %w", err)
	}
	have, err := free(memoryFS)
	if err == nil && have < need {
		err = fmt.Errorf("%s has no room for %s", memoryFS, memoryText(need))
	}
	return err
}
