package xfer

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// farPair is connPair of ends that do not know that they are on one host.
func farPair(t testing.TB) (a, b *Conn) {
	a, b = connPair(t, patient, patient)
	a.policy.local, b.policy.local = false, false
	return a, b
}

// steer sets what a knows of the network, so that it packs, or does not.
func steer(a *Conn, pack bool) {
	a.wmu.Lock()
	defer a.wmu.Unlock()
	a.policy.rate, a.policy.stalled, a.policy.skip = 5e9, 0, 0
	if pack {
		a.policy.rate = 1e3
	}
	a.policy.last.at = time.Now().Add(time.Hour) // nothing is measured until then
}

// mixed returns bytes of which lz4 shrinks some, and no chunk boundary.
func mixed() (data []byte) {
	for i := range 6 {
		data = append(data, text(2*ChunkSize+i*777)...)
		data = append(data, random(ChunkSize+i*333)...)
	}
	return data
}

// sendBoth sends data from a file and as a stream, and checks what arrives.
func sendBoth(t *testing.T, a, b *Conn, data []byte, pack Packing) {
	t.Helper()
	wait := receiving(b)
	if err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), pack, false, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
	wait = receiving(b)
	if _, _, err := a.SendStream(2, putHead, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: pack}, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
}

// PackAuto packs on a slow network, leaves the file to sendfile on a fast one, and
// never packs what does not get shorter.
func TestPackAuto(t *testing.T) {
	data := text(8 * ChunkSize)
	for _, slow := range []bool{true, false} {
		a, b := farPair(t)
		steer(a, slow)
		wait := receiving(b)
		if err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackAuto, false, nil); err != nil {
			t.Fatal(err)
		}
		wantObject(t, wait(), data)
		if copied := a.stats.Copied.Load(); copied != 0 != slow {
			t.Errorf("slow %v: %d bytes went through a buffer", slow, copied)
		}
	}
	a, b := farPair(t)
	steer(a, true)
	sendBoth(t, a, b, random(8*ChunkSize), PackAuto)
	if a.policy.pause == 0 {
		t.Error("incompressible bytes were not noticed")
	}
	if a.policy.ratio != firstRatio || a.policy.speed != firstSpeed {
		t.Errorf("speed %v and ratio %v are of bytes that did not shrink", a.policy.speed, a.policy.ratio)
	}
}

// Packed and plain frames alternate while the network seems to change, and PINGs
// of another goroutine stand between them.
func TestPackWhilePinging(t *testing.T) {
	a, b := farPair(t)
	stop := make(chan struct{})
	var others sync.WaitGroup
	every := func(pause time.Duration, f func(i int)) {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(pause):
					f(i)
				}
			}
		})
	}
	every(20*time.Microsecond, func(int) { a.ping() })
	every(100*time.Microsecond, func(i int) { steer(a, i%3 > 0) })
	data := mixed()
	for range 4 {
		sendBoth(t, a, b, data, PackAuto)
		sendBoth(t, a, b, data, PackAlways)
	}
	close(stop)
	others.Wait()
	wantUsable(t, a, b)
}

// A file that is too short breaks the connection, wherever it ends.
func TestPackShortFile(t *testing.T) {
	data := text(2 * ChunkSize)
	for _, have := range []int{0, 1, ChunkSize, ChunkSize + 5} {
		a, b := farPair(t)
		wait := receiving(b)
		err := a.SendFile(1, putHead, 0, fileOf(t, data[:have]), int64(len(data)), xxhash.Sum64(data), PackAlways, false, nil)
		if err == nil || !a.Broken() {
			t.Errorf("%d of %d bytes: %v, broken %v", have, len(data), err, a.Broken())
		}
		a.Close()
		if r := wait(); r.err == nil {
			t.Errorf("%d of %d bytes were received without an error", have, len(data))
		}
	}
}

func TestPackRefused(t *testing.T) {
	a, b := farPair(t)
	data := text(8 * ChunkSize)
	wait := receiving(b)
	asked := 0
	err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), 0, PackAlways, false, func() bool { asked++; return asked == 3 })
	if !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want %v", err, ErrRefused)
	}
	if r := wait(); r.err == nil {
		t.Error("received without an error")
	}
	wantUsable(t, a, b)
}

// A sample holds what the kernel knows of the connection.
func TestSampleTCP(t *testing.T) {
	a, b := farPair(t)
	sendBoth(t, a, b, random(4*ChunkSize), PackNever)
	a.wmu.Lock()
	defer a.wmu.Unlock()
	a.sampleTCP()
	s := a.policy.last
	if s.acked < 4*ChunkSize || s.window == 0 || s.minRTT <= 0 || s.rtt < s.minRTT || s.cpuPressure < 0 || s.cpuPressure > 1 {
		t.Errorf("after 2 MiB over loopback: %+v", s)
	}
}

// The pressure on the cores is what the kernel says, and a half if it does not.
func TestPressure(t *testing.T) {
	_, err := os.ReadFile(pressureFile)
	total, ok := readPressure()
	if ok != (err == nil) || ok && total <= 0 {
		t.Fatalf("%v, %v; %s: %v", total, ok, pressureFile, err)
	}
	var c cores
	now := time.Now()
	if got := c.pressure(now); got != 0.5 {
		t.Errorf("at first %v, want a half", got)
	}
	c.total = total + time.Hour // as if it had gone back
	if got := c.pressure(now.Add(time.Second)); got < 0 || got > 0.5 {
		t.Errorf("then %v", got)
	}
	if !ok {
		t.Log("this kernel does not say")
		return
	}
	c.known = false // a read failed: there is nothing to compare with
	if got := c.pressure(now.Add(2 * time.Second)); got != 0.5 {
		t.Errorf("after a failed read %v, want a half", got)
	}
	c.total = total - time.Hour
	for i := range 10 {
		c.pressure(now.Add(time.Duration(i+3) * time.Second))
		c.total -= time.Hour
	}
	if got := c.pressure(now.Add(time.Minute)); got < 0.9 || got > 1 {
		t.Errorf("on a full host %v", got)
	}
}
