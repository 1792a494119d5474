package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, in which /proc counts: 100 on every architecture
// that Go runs on.
const ticksPerSecond = 100

// cpuSeconds returns the CPU time of a running process and of all children it
// has waited for. The process's own is from its CPU clock, which counts
// nanoseconds; /proc gives the children's in ticks of 10 ms.
func cpuSeconds(pid int) (float64, error) {
	var own unix.Timespec
	// clock_getcpuclockid(3): the complement of the process id, above
	// CPUCLOCK_SCHED.
	if err := unix.ClockGettime(int32(^pid<<3|2), &own); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	b, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0, err
	}
	ticks, err := childTicks(string(b))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", procFile(pid, "stat"), err)
	}
	return float64(own.Nano())/1e9 + float64(ticks)/ticksPerSecond, nil
}

// childTicks returns cutime+cstime of a line of /proc/PID/stat.
func childTicks(stat string) (int64, error) {
	// The name of the program is in parentheses and may hold anything.
	i := strings.LastIndexByte(stat, ')')
	f := strings.Fields(stat[i+1:])
	if i < 0 || len(f) < 15 {
		return 0, errors.New("not a line of /proc/PID/stat")
	}
	user, err1 := strconv.ParseInt(f[13], 10, 64) // fields 16 and 17 of proc(5)
	system, err2 := strconv.ParseInt(f[14], 10, 64)
	return user + system, errors.Join(err1, err2)
}

// resetPeak makes the process's peak memory, VmHWM of its status, what it has now.
func resetPeak(pid int) error {
	return os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0)
}

// procBytes returns a line of a file of /proc, which is in KiB, in bytes.
func procBytes(path, name string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name+":" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, path)
}

func procFile(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
