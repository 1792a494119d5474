package xfer

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// network is a model of a sender, its socket buffer and the path, with a clock of its own.
type network struct {
	rate        float64 // bytes/s of the path
	reader      float64 // bytes/s the peer takes, if less
	speed       float64 // bytes/s of packing
	ratio       float64 // packed by plain
	source      float64 // bytes/s the sender reads, if less than memory gives
	cpuPressure float64 // share of the time that something waits for a core
	window      float64 // bytes the peer lets be under way, if that is what limits rate
	rtt         time.Duration

	now   time.Duration
	queue float64 // bytes in the socket buffer
	acked float64
	held  time.Duration
}

const (
	modelBuffer = 2.5e6 // what Linux lets a socket hold, about
	modelMemory = 4e9   // bytes/s of a copy
)

// pass lets time go by, in which the path carries bytes.
func (n *network) pass(d time.Duration) {
	rate := n.rate
	if n.reader != 0 && n.reader < rate {
		rate = n.reader
		if n.queue > 0 {
			n.held += d * 6 / 10 // as seen of readers of 50 and 100 MB/s
		}
	}
	if n.window != 0 {
		rate = min(rate, n.window/n.rtt.Seconds())
		if n.queue > 0 {
			n.held += d / 2
		}
	}
	sent := min(n.queue, rate*d.Seconds())
	n.queue -= sent
	n.acked += sent
	n.now += d
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// sample is what the model's kernel says.
func (n *network) sample() sample {
	return sample{
		at:          time.Unix(0, int64(n.now)),
		acked:       uint64(n.acked),
		unsent:      uint32(n.queue),
		stalled:     n.held.Truncate(4 * time.Millisecond), // ticks
		window:      uint32(max(n.window, 1<<16)),
		rtt:         max(n.rtt, 100*time.Microsecond),
		minRTT:      max(n.rtt, 100*time.Microsecond),
		cpuPressure: n.cpuPressure,
	}
}

// run sends size bytes in chunks and returns how long that took, to the last
// byte, and the share of chunks that choose packed.
func (n *network) run(size int64, p *packPolicy, always bool) (time.Duration, float64) {
	packed, chunks := 0, 0
	for ; size > 0; size -= ChunkSize {
		chunks++
		if n.source != 0 {
			n.pass(seconds(ChunkSize / n.source))
		}
		out := float64(ChunkSize)
		pack := always
		if p != nil {
			p.observe(n.sample())
			pack = p.worth(ChunkSize)
		}
		if pack {
			packed++
			took := seconds(ChunkSize / n.speed)
			n.pass(took)
			short := min(out, out*n.ratio)
			if p != nil {
				p.observe(n.sample())
				p.packed(ChunkSize, int(short), took)
			}
			if short <= packLeast*out {
				out = short
			}
		} else if p != nil {
			p.sent(ChunkSize)
		}
		n.pass(seconds(out / modelMemory))
		if over := n.queue + out - modelBuffer; over > 0 {
			rate := n.rate
			if n.reader != 0 {
				rate = min(rate, n.reader)
			}
			if n.window != 0 {
				rate = min(rate, n.window/n.rtt.Seconds())
			}
			n.pass(seconds(over/rate) + time.Microsecond)
		}
		n.queue += out
	}
	for n.queue > 0 {
		n.pass(10 * time.Microsecond)
	}
	return n.now, float64(packed) / float64(chunks)
}

// The policy takes about as long as the better of packing all and packing nothing, in a
// model of the network with its own clock.
func TestPackPolicyChoosesTheFaster(t *testing.T) {
	const size = 256 << 20
	data := []struct {
		name         string
		speed, ratio float64
	}{
		{"random", 2e9, 1},
		{"CSV", 400e6, 0.45},
		{"CSV on a slow core", 100e6, 0.45},
		{"logs", 800e6, 0.15},
		{"zeros", 3e9, 0.005},
		{"hardly shorter", 300e6, 0.88},
	}
	for _, rate := range []float64{1e6, 12.5e6, 60e6, 125e6, 312e6, 1250e6, 3e9} {
		for _, d := range data {
			t.Run(fmt.Sprintf("%s at %.0f MB/s", d.name, rate/1e6), func(t *testing.T) {
				model := func() *network { return &network{rate: rate, speed: d.speed, ratio: d.ratio} }
				never, _ := model().run(size, nil, false)
				always, _ := model().run(size, nil, true)
				p := newPackPolicy(nil, nil)
				auto, share := model().run(size, &p, false)
				best := never
				if always < never*7/8 {
					best = always // for less, a core may have better to do
				}
				t.Logf("never %v, always %v, auto %v (%.0f %% packed)", never.Round(time.Millisecond), always.Round(time.Millisecond), auto.Round(time.Millisecond), 100*share)
				// It takes a MiB to learn the rate, two chunks to learn the speed, and
				// a little to look after both.
				if slack := best/16 + seconds((1<<20)/rate+2*ChunkSize/d.speed); auto > best+slack {
					t.Errorf("auto took %v, never %v, always %v", auto, never, always)
				}
			})
		}
	}
}

func TestPackPolicyLeavesIncompressibleAlone(t *testing.T) {
	for _, rate := range []float64{12.5e6, 125e6, 1250e6} {
		n := &network{rate: rate, speed: 1e9, ratio: 1}
		p := newPackPolicy(nil, nil)
		if _, share := n.run(256<<20, &p, false); share > 0.07 {
			t.Errorf("at %.0f MB/s, %.0f %% of the chunks were tried", rate/1e6, 100*share)
		}
	}
}

// Nothing is packed if the bottleneck is a slow reader or a slow source, and not the
// network.
func TestPackPolicyPacksForTheNetworkOnly(t *testing.T) {
	for name, n := range map[string]*network{
		"slow reader":            {rate: 1250e6, reader: 50e6, speed: 400e6, ratio: 0.4},
		"slow reader, 1 Gbit/s":  {rate: 125e6, reader: 50e6, speed: 400e6, ratio: 0.4},
		"slow source":            {rate: 125e6, source: 50e6, speed: 400e6, ratio: 0.4},
		"slow source, 10 Gbit/s": {rate: 1250e6, source: 200e6, speed: 400e6, ratio: 0.4},
	} {
		p := newPackPolicy(nil, nil)
		if _, share := n.run(256<<20, &p, false); share > 0.05 {
			t.Errorf("%s: %.0f %% of the chunks were packed", name, 100*share)
		}
	}
}

// On a host whose cores are all in use, packing must save more than it takes.
func TestPackPolicyLeavesCoresToOthers(t *testing.T) {
	for _, c := range []struct {
		rate, full float64
		want       bool
	}{
		{125e6, 0, true},
		{125e6, 0.1, true},
		{125e6, 1, false},
		{12.5e6, 1, true}, // a tenth of a core halves the time
	} {
		n := &network{rate: c.rate, speed: 250e6, ratio: 0.5, cpuPressure: c.full}
		p := newPackPolicy(nil, nil)
		n.run(64<<20, &p, false)
		if _, share := n.run(256<<20, &p, false); share > 0.1 != c.want || share < 0.9 == c.want {
			t.Errorf("at %.0f MB/s, with cores full for %v of the time, %.0f %% of the chunks were packed", c.rate/1e6, c.full, 100*share)
		}
	}
}

// Data and networks change in the life of a connection.
func TestPackPolicyFollows(t *testing.T) {
	n := &network{rate: 125e6, speed: 2e9, ratio: 1}
	p := newPackPolicy(nil, nil)
	n.run(64<<20, &p, false)
	n.speed, n.ratio = 400e6, 0.3
	if _, share := n.run(64<<20, &p, false); share < 0.8 {
		t.Errorf("after random bytes, %.0f %% of the CSV was packed", 100*share)
	}
	n.rate = 5e9
	n.run(2*maxTrust, &p, false) // that long, at most, the old rate is believed
	if _, share := n.run(64<<20, &p, false); share > 0.2 {
		t.Errorf("with a fast network, %.0f %% of the CSV was packed", 100*share)
	}
	n.rate = 12.5e6
	if _, share := n.run(64<<20, &p, false); share < 0.8 {
		t.Errorf("with a slow network, %.0f %% of the CSV was packed", 100*share)
	}
}

// What was learned from other data, or while the cores were busy, is tried again after
// a while.
func TestPackPolicyTriesAgain(t *testing.T) {
	for _, rate := range []float64{125e6, 312e6} {
		n := &network{rate: rate, speed: 120e6, ratio: 0.7}
		p := newPackPolicy(nil, nil)
		n.run(64<<20, &p, false)
		n.speed, n.ratio = 3e9, 0.01
		n.run(256<<20, &p, false)
		if _, share := n.run(1<<30, &p, false); share < 0.9 {
			t.Errorf("at %.0f MB/s, after data that does not pay, %.0f %% of zeros was packed", rate/1e6, 100*share)
		}
	}
	n := &network{rate: 125e6, speed: 400e6, ratio: 0.45}
	p := newPackPolicy(nil, nil)
	n.run(64<<20, &p, false)
	n.speed = 60e6
	n.run(24<<20, &p, false)
	n.speed = 400e6
	n.run(64<<20, &p, false)
	if _, share := n.run(1<<30, &p, false); share < 0.9 {
		t.Errorf("after the core was busy, %.0f %% was packed", 100*share)
	}
}

// On a long path the window may limit the bytes in flight. That does not count as a
// slow reader.
func TestPackPolicyPacksForLongPaths(t *testing.T) {
	n := &network{rate: 1250e6, window: 1 << 20, rtt: 60 * time.Millisecond, speed: 300e6, ratio: 0.3}
	p := newPackPolicy(nil, nil)
	n.run(16<<20, &p, false)
	if _, share := n.run(64<<20, &p, false); share < 0.9 {
		t.Errorf("%.0f %% was packed", 100*share)
	}
}

func TestPackPolicyLeavesSmallAndLocalAlone(t *testing.T) {
	slow := func(p *packPolicy) {
		for i := range 100 {
			p.observe(sample{at: time.Unix(0, int64(i)*1e6), acked: uint64(i) * 1000, unsent: 2e6})
		}
	}
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	far := newPackPolicy(tcp("10.0.0.1:5"), tcp("10.0.0.2:6"))
	slow(&far)
	if !far.worth(ChunkSize) || !far.worth(packMin) || far.worth(packMin-1) {
		t.Error("it is about the size")
	}
	for _, ends := range [][2]string{{"10.0.0.1:5", "10.0.0.1:6"}, {"127.0.0.1:5", "127.0.0.1:6"}, {"127.0.0.2:5", "127.0.0.1:6"}, {"[::1]:5", "[::1]:6"}} {
		near := newPackPolicy(tcp(ends[0]), tcp(ends[1]))
		slow(&near)
		if near.worth(ChunkSize) {
			t.Errorf("packs from %s to %s", ends[0], ends[1])
		}
	}
}
