package node

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// load returns what the node does and its machine has left, for HEALTHINFO.
func (n *Node) load(s *Status) wire.Load {
	l := wire.Load{
		Slots: uint32(s.Slots), Running: uint32(s.Running), Waiting: uint64(s.Queued),
		Transfers: uint32(len(n.ioSlots)), MaxTransfers: uint32(cap(n.ioSlots)),
		Received: uint64(s.Received), Sent: uint64(s.Sendfile + s.Copied),
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		l.Average = uint32(info.Loads[0] * 100 >> loadShift)
		l.Memory = uint64(info.Totalram) * uint64(info.Unit)
		l.Available = availableMemory(uint64(info.Freeram) * uint64(info.Unit))
	}
	return l
}

// loadShift is SI_LOAD_SHIFT of linux/sysinfo.h: load averages are fixed-point numbers.
const loadShift = 16

// availableMemory returns MemAvailable of proc_meminfo(5), or free if the kernel does not
// tell.
func availableMemory(free uint64) uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return free
	}
	return parseAvailable(text, free)
}

// parseAvailable finds a line as "MemAvailable:   12345 kB".
func parseAvailable(meminfo []byte, free uint64) uint64 {
	_, rest, found := bytes.Cut(meminfo, []byte("\nMemAvailable:"))
	line, _, _ := bytes.Cut(rest, []byte(" kB\n"))
	if kib, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 53); found && err == nil {
		return kib << 10
	}
	return free
}
