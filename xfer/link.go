package xfer

import (
	"net"
	"time"
)

// link decides chunk by chunk whether to pack what a connection sends. While the
// kernel sends one chunk the next is packed, so that the slower of the two counts:
// with use the share of a core that packing as fast as the network takes plain
// bytes would need, rate/speed, packing saves the share 1 - max(use, ratio) of the
// time and takes the share use/ratio of a core for the rest. That has a price: an
// eighth of what it takes must be saved if the core has nothing else to do, half as
// much again as it takes if there is always something that waits for one.
//
// Speed and ratio are those of the chunks packed before. The rate is what the
// kernel says the peer acknowledged while bytes waited all the time for the
// network to take them, and not for a slow reader to make room: packing does not
// make it read faster. Between two ends on one host nothing is worth packing.
type link struct {
	local bool // both ends are on this host

	last   sample  // what rate and held are measured from
	dry    bool    // nothing waited, for a moment since then
	wait   uint32  // bytes that waited when last looked at
	window uint32  // the largest window the peer has given
	rate   float64 // bytes/s the network takes, 0 if not known
	held   float64 // share of the time that a slow reader held bytes up, smoothed

	speed float64 // plain bytes/s of packing, smoothed
	ratio float64 // packed by plain, of what got shorter, smoothed
	try   int     // chunks to pack although it is not worth it, to measure both
	plain int64   // bytes sent plain since packing was worth it, or tried
	retry int64   // how many there may be until it is tried
	skip  int64   // bytes to send plain, as what came before did not get shorter
	pause int64   // how many that were the last time
	blind int64   // plain bytes packed since the rate was measured
	trust int64   // how many there may be until it counts as not known
}

// sample is what the kernel says of a connection, and of the host.
type sample struct {
	at     time.Time
	acked  uint64        // bytes the peer has acknowledged so far
	wait   uint32        // bytes in the socket that were not sent yet
	held   time.Duration // how long the peer's window has held up bytes so far
	window uint32        // that window, in bytes
	rtt    time.Duration // of a segment and its acknowledgment, now
	least  time.Duration // the shortest there was
	full   float64       // share of the time that something waited for a core
}

const (
	idlePrice = 1. / 8
	fullPrice = 1.5     // the peer, who unpacks, takes some, too
	packMin   = 4 << 10 // plain bytes that are worth the trouble
	packLeast = 0.9     // a chunk that shrinks to more is as good as incompressible
	maxHeld   = 0.25    // with a greater share of held time the reader is what is slow

	// Tries cost the time of packing a chunk in each of these, in bytes: little
	// if it is well known that they are in vain.
	minPause, maxPause = ChunkSize, 16 << 20
	minRetry, maxRetry = 16 << 20, 256 << 20
	minTrust, maxTrust = 8 << 20, 256 << 20
	tries              = 4 // chunks in a row: the first finds cold caches

	// The first measurement is to come soon, later ones are to be good. The
	// kernel counts held time in ticks of 1 to 10 ms: it is smoothed.
	soon     = time.Millisecond
	later    = 5 * time.Millisecond
	soonHeld = 20 * time.Millisecond

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
		retry: minRetry,
		trust: minTrust,
	}
}

// see takes in how the connection does. It is to be called before worth, and
// before packed.
func (l *link) see(s sample) {
	l.wait = s.wait
	l.dry = l.dry || s.wait == 0
	l.window = max(l.window, s.window)
	least := soon
	if l.rate != 0 {
		// Over a long path bytes are acknowledged in bursts, one a round trip.
		least = max(later, 2*s.rtt)
	}
	took := s.at.Sub(l.last.at)
	if took < least {
		return
	}
	if !l.last.at.IsZero() {
		rate := float64(s.acked-l.last.acked) / took.Seconds()
		held := float64(s.held-l.last.held) / float64(took)
		if float64(l.window) < 2*rate*s.least.Seconds() {
			held = 0 // a window a round trip: the path is long, not the reader slow
		}
		smooth(&l.held, held, took, soonHeld)
		switch {
		case rate == 0:
		case !l.dry:
			l.measured(rate)
		case l.rate != 0 && rate > l.rate:
			l.rate = rate // it takes that much, or more
		}
	}
	l.last, l.dry = s, s.wait == 0
}

// smooth moves a share towards what it was for the time that passed, halfway in
// the given time.
func smooth(share *float64, now float64, passed, half time.Duration) {
	*share += (min(1, max(0, now)) - *share) * float64(passed) / float64(passed+half)
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

// worth reports whether the next n bytes should be packed. If they are, packed is
// to be called, else sent.
func (l *link) worth(n int) bool {
	switch {
	case l.local || n < packMin || l.held > maxHeld || l.skip > 0:
		return false
	case l.rate == 0:
		// There is time to pack, and to measure, while so many wait.
		return l.wait >= 2*ChunkSize
	}
	use := l.rate / l.speed
	price := idlePrice + (fullPrice-idlePrice)*l.last.full
	switch {
	case 1-max(use, l.ratio) > min(1, use/l.ratio)*price:
		l.plain, l.retry, l.try = 0, minRetry, 0
		return true
	case l.plain >= l.retry:
		// The data may be other now, or the core free.
		l.plain, l.retry, l.try = 0, min(2*l.retry, maxRetry), tries
		if use >= 1 {
			l.try = 1 // that costs enough
		}
	}
	if l.try > 0 {
		l.try--
		return true
	}
	return false
}

// ahead returns how many bytes may be sent plain until worth is to be asked again.
func (l *link) ahead() int64 {
	switch {
	case l.rate == 0:
		return ChunkSize
	case l.rate >= l.speed:
		return 16 * ChunkSize
	}
	return max(4*ChunkSize, l.skip)
}

// sent takes in that n bytes that might have been packed were not.
func (l *link) sent(n int64) {
	l.skip = max(0, l.skip-n)
	l.plain += n
}

// packed takes in what became of a chunk that was worth it.
func (l *link) packed(plain, packed int, took time.Duration) {
	if l.rate == 0 && l.wait == 0 {
		l.rate = 2 * l.speed // at least: two chunks were gone before this one was packed
	}
	ratio := float64(packed) / float64(plain)
	if ratio > packLeast {
		l.pause = min(max(minPause, 2*l.pause), maxPause)
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
