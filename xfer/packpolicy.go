package xfer

import (
	"net"
	"time"
)

// packPolicy decides for each chunk that a connection sends whether to pack it.
//
// One chunk is packed while the kernel sends the one before, so the slower of the
// two sets the pace. Let use = rate/speed be the share of a core that it takes to
// pack plain bytes as fast as the network carries them. Packing then saves the share
// 1 - max(use, ratio) of the time, and keeps the share use/ratio of a core busy in
// the rest. A chunk is packed if the time saved is worth that CPU time. The price
// depends on the host: CPU time on an idle core costs an eighth of itself, and where
// something always waits for a core, one and a half times itself.
//
// Speed and ratio are those of the chunks packed before. The rate is how fast the
// peer acknowledged bytes while the socket always had more to send. Times in which a
// slow reader left no room do not count: packing does not make it read faster.
// Between two ends on one host nothing is packed.
type packPolicy struct {
	local bool // both ends are on this host

	last    sample  // the start of the current measurement
	drained bool    // the socket had nothing to send at some moment since then
	unsent  uint32  // bytes in the socket that were not sent yet, in the last sample
	window  uint32  // the largest window the peer has given
	rate    float64 // bytes/s the network takes, 0 if not known
	stalled float64 // share of the time in which the reader left no room, smoothed

	speed      float64 // plain bytes/s of packing, smoothed
	ratio      float64 // packed size by plain size, of chunks that got shorter, smoothed
	try        int     // chunks to pack next although it is not worth it, to measure both
	plain      int64   // bytes sent plain since packing was last worth it, or was tried
	retry      int64   // packing is tried again when plain has reached this
	skip       int64   // bytes to send plain, because the last chunk did not get shorter
	pause      int64   // the last value that skip was set to
	unmeasured int64   // plain bytes packed since the rate was measured
	trust      int64   // the rate counts as unknown when unmeasured has passed this
}

// sample is what the kernel says of a connection, and of the host.
type sample struct {
	at          time.Time
	acked       uint64        // bytes the peer has acknowledged so far
	unsent      uint32        // bytes in the socket that were not sent yet
	stalled     time.Duration // how long the peer's window has kept bytes back so far
	window      uint32        // that window, in bytes
	rtt         time.Duration // of a segment and its acknowledgment, now
	minRTT      time.Duration // the shortest there was
	cpuPressure float64       // share of the time that something waited for a core
}

const (
	idlePrice  = 1. / 8
	fullPrice  = 1.5     // more than 1: the peer needs CPU time, too, to unpack
	packMin    = 4 << 10 // fewer plain bytes are never packed
	packLeast  = 0.9     // a chunk that shrinks to more than this counts as incompressible
	maxStalled = 0.25    // above this share of stalled time the reader is the bottleneck

	// After how many bytes something is tried or measured again. Each value doubles
	// when the try was in vain, so that known answers cost little.
	minPause, maxPause = ChunkSize, 16 << 20
	minRetry, maxRetry = 16 << 20, 256 << 20
	minTrust, maxTrust = 8 << 20, 256 << 20
	tries              = 4 // chunks in a row: the first finds cold caches

	// How long a measurement takes at least: the first should come soon, later ones
	// should be exact. The kernel counts stalled time in ticks of 1 to 10 ms, so it
	// is smoothed.
	soon        = time.Millisecond
	later       = 5 * time.Millisecond
	stalledHalf = 20 * time.Millisecond

	// Assumed until the first chunk was packed: lz4 and CSV, on a slow core.
	firstSpeed = 300e6
	firstRatio = 0.5
)

func newPackPolicy(local, remote net.Addr) packPolicy {
	l, ok1 := local.(*net.TCPAddr)
	r, ok2 := remote.(*net.TCPAddr)
	return packPolicy{
		local: ok1 && ok2 && (l.IP.Equal(r.IP) || r.IP.IsLoopback()),
		speed: firstSpeed,
		ratio: firstRatio,
		retry: minRetry,
		trust: minTrust,
	}
}

// observe takes in a sample. It must be called before worth, and before packed.
func (p *packPolicy) observe(s sample) {
	p.unsent = s.unsent
	p.drained = p.drained || s.unsent == 0
	p.window = max(p.window, s.window)
	least := soon
	if p.rate != 0 {
		// Over a long path bytes are acknowledged in bursts, one a round trip.
		least = max(later, 2*s.rtt)
	}
	took := s.at.Sub(p.last.at)
	if took < least {
		return
	}
	if !p.last.at.IsZero() {
		rate := float64(s.acked-p.last.acked) / took.Seconds()
		stalled := float64(s.stalled-p.last.stalled) / float64(took)
		if float64(p.window) < 2*rate*s.minRTT.Seconds() {
			stalled = 0 // a window per round trip: the path is long, the reader is not slow
		}
		smooth(&p.stalled, stalled, took, stalledHalf)
		switch {
		case rate == 0:
		case !p.drained:
			p.measured(rate)
		case p.rate != 0 && rate > p.rate:
			p.rate = rate // a lower bound: the network can carry this much, or more
		}
	}
	p.last, p.drained = s, s.unsent == 0
}

// smooth moves a share towards its present value, by half of the difference if the
// time that passed is half.
func smooth(share *float64, now float64, passed, half time.Duration) {
	*share += (min(1, max(0, now)) - *share) * float64(passed) / float64(passed+half)
}

// measured takes in a new rate.
func (p *packPolicy) measured(rate float64) {
	p.unmeasured = 0
	switch {
	case p.rate == 0:
		p.rate = rate
	case rate > 2*p.rate || rate < p.rate/2:
		p.rate, p.trust = rate, minTrust
	default:
		p.rate = (p.rate + rate) / 2
	}
}

// worth reports whether the next n bytes should be packed. The caller then calls
// packed if they were, or else sent.
func (p *packPolicy) worth(n int) bool {
	switch {
	case p.local || n < packMin || p.stalled > maxStalled || p.skip > 0:
		return false
	case p.rate == 0:
		// The socket has enough to send while a chunk is packed and measured.
		return p.unsent >= 2*ChunkSize
	}
	use := p.rate / p.speed
	price := idlePrice + (fullPrice-idlePrice)*p.last.cpuPressure
	switch {
	case 1-max(use, p.ratio) > min(1, use/p.ratio)*price:
		p.plain, p.retry, p.try = 0, minRetry, 0
		return true
	case p.plain >= p.retry:
		// The data may compress better now, or the core may be free.
		p.plain, p.retry, p.try = 0, min(2*p.retry, maxRetry), tries
		if use >= 1 {
			p.try = 1 // packing is slower than the network: one try is dear enough
		}
	}
	if p.try > 0 {
		p.try--
		return true
	}
	return false
}

// ahead returns how many bytes may be sent plain before worth must be asked again.
func (p *packPolicy) ahead() int64 {
	switch {
	case p.rate == 0:
		return ChunkSize
	case p.rate >= p.speed:
		return 16 * ChunkSize
	}
	return max(4*ChunkSize, p.skip)
}

// sent takes in that n bytes were sent plain.
func (p *packPolicy) sent(n int64) {
	p.skip = max(0, p.skip-n)
	p.plain += n
}

// packed takes in the sizes of a chunk before and after packing, and the time it
// took.
func (p *packPolicy) packed(plain, packed int, took time.Duration) {
	if p.rate == 0 && p.unsent == 0 {
		p.rate = 2 * p.speed // a lower bound: two chunks were sent while this one was packed
	}
	ratio := float64(packed) / float64(plain)
	if ratio > packLeast {
		p.pause = min(max(minPause, 2*p.pause), maxPause)
		p.skip, p.try = p.pause, 0
		return
	}
	p.pause = 0
	p.ratio = (3*p.ratio + ratio) / 4
	p.speed = (3*p.speed + float64(plain)/max(took, time.Microsecond).Seconds()) / 4
	// The rate is measured only while bytes wait in the socket, and packed chunks may
	// never fill it. So the rate is forgotten after a while, ever more seldom, and a
	// few plain chunks measure it again.
	if p.unmeasured += int64(plain); p.unmeasured > p.trust {
		p.rate, p.unmeasured = 0, 0
		p.trust = min(2*p.trust, maxTrust)
	}
}
