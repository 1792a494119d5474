package xfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nathants/s4/wire"
)

// wantAllDone closes p and checks that every request was told its end, once.
func wantAllDone(t *testing.T, p *Pipeline, outcomes []*outcome) (failed int) {
	t.Helper()
	p.Close()
	for _, o := range outcomes {
		if n := o.calls.Load(); n != 1 {
			t.Errorf("%s: Done called %d times", o.name, n)
			continue
		}
		if <-o.done != nil {
			failed++
		}
	}
	// It is over for good, and says so at once.
	o := newOutcome("after Close")
	p.Do(get("1", io.Discard, o))
	if err := <-o.done; err == nil || o.calls.Load() != 1 {
		t.Errorf("after Close: %v, %d calls", err, o.calls.Load())
	}
	if !p.Stale() || !p.Broken() {
		t.Error("idle after Close")
	}
	p.Close() // again is harmless
	return failed
}

// flood sends mixed requests from several goroutines until one fails with a
// broken pipeline, or n of each goroutine have been sent.
func flood(p *Pipeline, n int) (wait func() []*outcome) {
	refused := numbered(ChunkSize + n) // once: the race detector clears what is allocated
	var (
		mu  sync.Mutex
		all []*outcome
		wg  sync.WaitGroup
	)
	for g := range 4 {
		wg.Go(func() {
			for i := range n {
				o := newOutcome(fmt.Sprintf("request %d of goroutine %d", i, g))
				mu.Lock()
				all = append(all, o)
				mu.Unlock()
				switch (g + i) % 4 {
				case 0:
					p.Do(put("ok", bytes.NewReader(numbered(i*100)), o))
				case 1:
					p.Do(get(strconv.Itoa(i*1000), io.Discard, o))
				case 2:
					p.Do(put("refuse", bytes.NewReader(refused[:ChunkSize+i]), o))
				case 3:
					p.Do(get("missing", io.Discard, o))
				}
			}
		})
	}
	return func() []*outcome { wg.Wait(); return all }
}

// The peer dies after any number of bytes, in either direction.
func TestPipelinePeerDies(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(4, 2))
	cutAt := func(limit int64) tap {
		return func(off int64, p []byte) int {
			return int(max(0, min(int64(len(p)), limit-off)))
		}
	}
	pass := func(_ int64, p []byte) int { return len(p) }
	for i := range 36 { // twice each limit's order of magnitude
		limit := rnd.Int64N(1 << (4 + i%18))
		up, down := cutAt(limit), tap(pass)
		if i%2 == 1 {
			up, down = tap(pass), cutAt(limit)
		}
		ca, cb := proxyPair(t, up, down)
		a, b := newConn(t, ca, patient), newConn(t, cb, patient)
		stop := serving(b)
		p := NewPipeline(a)
		outcomes := flood(p, 24)()
		if failed := wantAllDone(t, p, outcomes); failed == 0 {
			t.Errorf("cut after %d bytes: nothing failed", limit)
		}
		stop()
	}
}

// The peer answers nonsense, or answers what was not asked.
func TestPipelineNonsense(t *testing.T) {
	for name, answer := range map[string]string{
		"text":            "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an unknown type": "\x00\x00\x00\x00\x77\x00\x00\x01",
		"raw bytes":       "\x00\x00\x00\x01\x15\x00\x00\x01x",
		"half a header":   "\x00\x00\x00",
		"nothing":         "",
	} {
		t.Run(name, func(t *testing.T) {
			ca, cb := tcpPair(t)
			p := NewPipeline(newConn(t, ca, patient))
			var outcomes []*outcome
			for i := range 10 {
				o := newOutcome(strconv.Itoa(i))
				outcomes = append(outcomes, o)
				p.Do(put("ok", strings.NewReader("data"), o))
			}
			if _, err := io.WriteString(cb, answer); err != nil {
				t.Fatal(err)
			}
			cb.Close()
			for _, o := range outcomes { // before Close: they fail by themselves
				if err := <-o.done; err == nil || errors.Is(err, net.ErrClosed) {
					t.Errorf("request %s: %v", o.name, err)
				}
				o.done <- errTest
			}
			wantAllDone(t, p, outcomes)
		})
	}
}

// Close, Interrupt and Abandon in the middle of traffic.
func TestPipelineCloseInFlight(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Pipeline){
		"Close":     func(p *Pipeline) { p.Close() },
		"Interrupt": (*Pipeline).Interrupt,
		"Abandon":   (*Pipeline).Abandon,
		"twice":     func(p *Pipeline) { p.Abandon(); p.Interrupt(); p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 6 {
				a, b := connPair(t, patient, patient)
				stop := serving(b)
				p := NewPipeline(a)
				wait := flood(p, 24)
				// Some way in, measured in answers.
				for range i * 10 {
					o := newOutcome("a clock")
					p.Do(get("missing", io.Discard, o))
					<-o.done
				}
				end(p)
				wantAllDone(t, p, wait())
				stop()
			}
		})
	}
}

// A Send that is stuck in its reader blocks neither the answers to earlier requests nor
// Abandon. Interrupt fails all requests but the stuck one.
func TestPipelineStuckSend(t *testing.T) {
	a, b := connPair(t, patient, patient)
	defer serving(b)()
	p := NewPipeline(a)
	before := newOutcome("before")
	p.Do(get("1000", io.Discard, before))
	src := newGate(text(ChunkSize), text(ChunkSize))
	stuck := newOutcome("stuck")
	did := async(func() bool { p.Do(put("ok", src, stuck)); return true })
	wantDone(t, before, 0)
	<-src.reached
	if stuck.calls.Load() != 0 {
		t.Error("done before it ended")
	}
	p.Abandon()
	if stuck.calls.Load() != 0 {
		t.Error("done while its reader is in use")
	}
	close(src.open)
	did()
	if err := <-stuck.done; err == nil {
		t.Error("a broken upload succeeded")
	}
	wantAllDone(t, p, nil)
}

// When the peer refuses and hangs up, the sender gets the peer's answer, and not the
// error of the broken pipe.
func TestPipelineRefusedAndClosed(t *testing.T) {
	for range 20 {
		a, b := connPair(t, patient, patient)
		p := NewPipeline(a)
		hangUp := async(func() bool {
			h, err := b.AwaitHeader(nil)
			if err == nil {
				_, err = b.ReadMessage(h)
			}
			if err != nil {
				t.Error(err)
			}
			_ = b.Write(h.Tag, 0, wire.Errorf(wire.CodeShuttingDown, "bye"))
			_ = b.CloseWrite()
			b.Drain(patient) // no reset before the answer is read
			b.Close()
			return true
		})
		o := newOutcome("refused")
		p.Do(put("k", endless{}, o))
		wantDone(t, o, wire.CodeShuttingDown)
		if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		hangUp()
	}
}

// An idle pipeline notices that its peer has gone.
func TestPipelineIdle(t *testing.T) {
	a, b := connPair(t, patient, patient)
	stop := serving(b)
	p := NewPipeline(a)
	if p.Stale() || p.Broken() {
		t.Error("a new pipeline is not idle")
	}
	o := newOutcome("get")
	p.Do(get("10", io.Discard, o))
	wantDone(t, o, 0)
	if p.Stale() {
		t.Error("not idle")
	}
	stop()
	until(t, "stale once the peer has closed", func() bool { return p.Stale() })
	wantAllDone(t, p, nil)
}

// shortFilePipeline has one request answered with OK only after the next one
// has broken the connection by a file that is too short. It returns both
// ends.
func shortFilePipeline(t *testing.T) (answered, short error) {
	a, b := connPair(t, patient, patient)
	p := NewPipeline(a)
	defer p.Close()
	o1, o2 := newOutcome("answered"), newOutcome("short")
	p.Do(put("ok", strings.NewReader("data"), o1))
	r := put("short", nil, o2)
	f := fileOf(t, text(10))
	r.Send = func(c *Conn, tag uint16, refused func() bool) error {
		return c.SendFile(tag, putHead, 0, f, 11, 0, PackNever, false, refused)
	}
	p.Do(r)
	if err := b.WriteRaw(wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeOK})); err != nil {
		t.Fatal(err)
	}
	if err := b.CloseWrite(); err != nil { // as a node does at the end of a torn frame
		t.Fatal(err)
	}
	return <-o1.done, <-o2.done
}

// A request that was answered has succeeded, whatever happens to the next.
func TestPipelineAnswerBeforeBrokenSend(t *testing.T) {
	if answered, _ := shortFilePipeline(t); answered != nil {
		t.Errorf("the server said OK, Done says %v", answered)
	}
}

// The cause is the file, not the connection that broke over it.
func TestPipelineCause(t *testing.T) {
	if _, short := shortFilePipeline(t); short == nil || !strings.Contains(short.Error(), "shorter") {
		t.Errorf("Done says %v", short)
	}
}
