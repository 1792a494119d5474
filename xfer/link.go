package xfer

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// link decides chunk by chunk whether to pack what a connection sends. While the
// kernel sends one chunk the next is packed, so that the slower of the two counts:
// with use the share of a core that packing as fast as the network takes plain
// bytes would need, rate/speed, packing saves the share 1 - max(use, ratio) of the
// time and takes the share use/ratio of a core for the rest. That has a price: an
// eighth of what it takes must be saved if the core has nothing else to do, all of
// it if there is always something that waits for one.
//
// Speed and ratio are those of the chunks packed before. The rate is what the
// kernel says the peer acknowledged while bytes waited all the time for the
// network to take them, and not for the peer to make room: a slow reader is
// helped by nothing. Between two ends on one host nothing is ever packed.
type link struct {
	local bool // both ends are on this host

	last sample  // what rate and held are measured from
	dry  bool    // nothing waited, for a moment since then
	wait uint32  // bytes that waited when last looked at
	rate float64 // bytes/s the network takes, 0 if not known
	held float64 // share of the time that the peer's window held bytes up, smoothed
	full float64 // share of the time that something waited for a core, smoothed

	speed float64 // plain bytes/s of packing, smoothed
	ratio float64 // packed by plain, of what got shorter, smoothed
	skip  int     // chunks to send plain before some are tried
	try   int     // chunks to pack, whatever is known
	plain int     // chunks not worth it, since one was
	pause int     // skip after the last that did not get shorter
	blind int64   // plain bytes packed since the rate was measured
	trust int64   // how many may be, until it counts as not known
}

// sample is what the kernel says of a connection.
type sample struct {
	at    time.Time
	acked uint64        // bytes the peer has acknowledged so far
	wait  uint32        // bytes in the socket that were not sent yet
	held  time.Duration // how long the peer's window has held up bytes so far
	full  time.Duration // how long something has waited for a core of this host so far
}

const (
	idlePrice = 1. / 8
	packMin   = 4 << 10   // plain bytes that are worth the trouble
	packLeast = 0.9       // a chunk that shrinks to more is as good as incompressible
	maxHeld   = 0.25      // with a greater share of held time the reader is what is slow
	maxPause  = 64        // chunks between tries, so that they cost < 1 %
	tries     = 4         // chunks in a row: the first finds cold caches
	minTrust  = 8 << 20   // bytes
	maxTrust  = 256 << 20 // bytes

	// The first measurement is to come soon, later ones are to be good.
	soon  = time.Millisecond
	later = 5 * time.Millisecond
	// The kernel counts held time in ticks of 1 to 10 ms, and what runs in one
	// moment says little.
	soonHeld = 20 * time.Millisecond
	soonFull = 50 * time.Millisecond

	// Until the first chunk was packed: what lz4 does to CSV, on a slow core.
	firstSpeed = 300e6
	firstRatio = 0.5
)

func newLink(local, remote net.Addr) link {
	l, ok1 := local.(*net.TCPAddr)
	r, ok2 := remote.(*net.TCPAddr)
	return link{
		local: ok1 && ok2 && (l.IP.Equal(r.IP) || r.IP.IsLoopback()),
		speed: firstSpeed,
		ratio: firstRatio,
		full:  0.5,
		trust: minTrust,
	}
}

// see takes in how the connection does. It is to be called before worth, and
// before packed.
func (l *link) see(s sample) {
	l.wait = s.wait
	l.dry = l.dry || s.wait == 0
	if !l.due(s.at) {
		return
	}
	if !l.last.at.IsZero() {
		took := s.at.Sub(l.last.at)
		smooth(&l.held, float64(s.held-l.last.held)/float64(took), took, soonHeld)
		smooth(&l.full, float64(s.full-l.last.full)/float64(took), took, soonFull)
		rate := float64(s.acked-l.last.acked) / took.Seconds()
		switch {
		case !l.dry:
			l.measured(rate)
		case l.rate != 0 && rate > l.rate:
			l.rate = rate // it takes that much, or more
		}
	}
	l.last, l.dry = s, s.wait == 0
}

// due reports whether the time has come for the next measurement.
func (l *link) due(now time.Time) bool {
	if l.rate == 0 {
		return now.Sub(l.last.at) >= soon
	}
	return now.Sub(l.last.at) >= later
}

// smooth moves a share towards what it was for the time that passed, halfway in
// the given time.
func smooth(share *float64, now float64, passed, half time.Duration) {
	*share += (min(1, now) - *share) * float64(passed) / float64(passed+half)
}

// measured takes in a new rate.
func (l *link) measured(rate float64) {
	l.blind = 0
	switch {
	case l.rate == 0:
		l.rate = rate
	case rate > 2*l.rate || rate < l.rate/2:
		l.rate, l.trust = rate, minTrust
	default:
		l.rate = (l.rate + rate) / 2
	}
}

// worth reports whether the next n bytes should be packed.
func (l *link) worth(n int) bool {
	switch {
	case l.local || n < packMin || l.held > maxHeld:
		return false
	case l.skip > 0:
		if l.skip--; l.skip == 0 {
			l.try = tries
		}
		return false
	case l.rate == 0:
		// There is time to pack, and to measure, while so many wait.
		return l.wait >= 2*ChunkSize
	}
	use := l.rate / l.speed
	price := idlePrice + (1-idlePrice)*l.full
	switch {
	case use >= 1:
		l.try = 0
		return false
	case l.try > 0:
		l.try--
		return true
	case 1-max(use, l.ratio) > min(1, use/l.ratio)*price:
		l.plain = 0
		return true
	}
	if l.plain++; l.plain >= maxPause {
		l.plain, l.try = 0, tries // see if the data or the core is another
	}
	return false
}

// packed takes in what became of a chunk that was worth it.
func (l *link) packed(plain, packed int, took time.Duration) {
	if l.rate == 0 && l.wait == 0 {
		l.rate = 2 * l.speed // at least: two chunks were gone before this one was packed
	}
	ratio := float64(packed) / float64(plain)
	if ratio > packLeast {
		l.pause = min(max(1, 2*l.pause), maxPause)
		l.skip, l.try = l.pause, 0
		return
	}
	l.pause = 0
	l.ratio = (3*l.ratio + ratio) / 4
	l.speed = (3*l.speed + float64(plain)/max(took, time.Microsecond).Seconds()) / 4
	// Packed chunks may be too few for bytes to wait, and then the rate is not
	// measured. Some plain ones, soon at first, then ever more seldom, show it.
	if l.blind += int64(plain); l.blind > l.trust {
		l.rate, l.blind = 0, 0
		l.trust = min(2*l.trust, maxTrust)
	}
}

// look asks the kernel how the connection does (tcp(7), TCP_INFO).
func (c *Conn) look() {
	_ = c.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		if err != nil {
			return // the connection is as good as gone, as sending will tell
		}
		s := sample{
			at:    time.Now(),
			acked: info.Bytes_acked,
			wait:  info.Notsent_bytes,
			held:  time.Duration(info.Rwnd_limited) * time.Microsecond,
		}
		if c.link.due(s.at) {
			s.full = pressure()
		}
		c.link.see(s)
	})
}

// pressure returns how long there has been something on this host that waited
// for a core, since it started (Documentation/accounting/psi.rst, the first line of
// /proc/pressure/cpu). A kernel that does not say is taken to be full half the time.
func pressure() time.Duration {
	text, _ := os.ReadFile("/proc/pressure/cpu")
	line, _, _ := strings.Cut(string(text), "\n")
	if _, total, ok := strings.Cut(line, " total="); ok {
		if us, err := strconv.ParseInt(total, 10, 64); err == nil {
			return time.Duration(us) * time.Microsecond
		}
	}
	return time.Duration(time.Now().UnixNano() / 2)
}
