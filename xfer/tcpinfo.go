package xfer

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sampleTCP reads the kernel's statistics of the connection (tcp(7), TCP_INFO) and
// hands them to the packing policy; c.wmu is held.
func (c *Conn) sampleTCP() {
	_ = c.raw.Control(c.sampleFn)
}

// sampleSocket is sampleTCP with the descriptor. It ignores errors: the connection
// is then broken, and the next send says so.
func (c *Conn) sampleSocket(fd uintptr) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
	if err != nil {
		return
	}
	now := time.Now()
	c.policy.observe(sample{
		at:          now,
		acked:       info.Bytes_acked,
		unsent:      info.Notsent_bytes,
		stalled:     microseconds(info.Rwnd_limited),
		window:      info.Snd_wnd,
		rtt:         microseconds(uint64(info.Rtt)),
		minRTT:      microseconds(uint64(info.Min_rtt)),
		cpuPressure: c.stats.cores.pressure(now),
	})
}

func microseconds(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }

// cores measures how busy the cores of this host are.
type cores struct {
	mu    sync.Mutex
	at    time.Time     // of the last reading
	known bool          // the last reading succeeded
	total time.Duration // its result
	share float64
}

const (
	pressureFile = "/proc/pressure/cpu"
	pressureAge  = 10 * time.Millisecond // between two readings: one takes 10 µs
	pressureHalf = 50 * time.Millisecond // see smooth
)

// pressure returns the share of the recent time in which something waited for a
// core, or a half if the kernel does not tell.
func (c *cores) pressure(now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := now.Sub(c.at)
	if took < pressureAge {
		return c.share
	}
	total, ok := readPressure()
	if ok && c.known {
		smooth(&c.share, float64(total-c.total)/float64(took), took, pressureHalf)
	} else {
		c.share = 0.5
	}
	c.at, c.known, c.total = now, ok, total
	return c.share
}

// readPressure returns for how long in total, since this host started, something
// waited for a core (Documentation/accounting/psi.rst, the first line of the file).
// It returns false if the kernel does not tell.
func readPressure() (time.Duration, bool) {
	fd, err := unix.Open(pressureFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var b [256]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return 0, false
	}
	line, _, _ := bytes.Cut(b[:n], []byte("\n"))
	_, total, _ := bytes.Cut(line, []byte(" total="))
	us, err := strconv.ParseUint(string(total), 10, 53)
	return microseconds(us), err == nil
}
