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
	"sync/atomic"
	"testing"

	"s4/wire"
)

// serve answers the requests of a data connection as a node would: PUT of a
// key "refuse" is refused at once, of "full" when its disk is, of "late" after
// its stream; GET of a number sends that many bytes, of another key nothing.
func serve(c *Conn) error {
	for {
		h, err := c.AwaitHeader()
		if err != nil {
			return err
		}
		m, err := c.ReadMessage(h)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Put:
			err = servePut(c, h.Tag, m.Key)
		case *wire.Get:
			err = serveGet(c, h.Tag, m.Key)
		default:
			err = fmt.Errorf("a %s frame", h.Type)
		}
		if err == nil && c.Broken() {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}

func servePut(c *Conn, tag uint16, key string) error {
	var reply wire.Message = wire.Empty{T: wire.TypeOK}
	switch key {
	case "refuse":
		if err := c.Write(tag, 0, wire.Errorf(wire.CodeExists, "%s", key)); err != nil {
			return err
		}
		_, _, _ = c.Recv(io.Discard, nil)
		return nil
	case "full":
		var early error
		_, _, _ = c.Recv(&fullDisk{room: ChunkSize, err: errTest}, func(error) {
			early = c.Write(tag, 0, wire.Errorf(wire.CodeNoSpace, "%s", key))
		})
		return early
	case "late":
		reply = wire.Errorf(wire.CodeConflict, "%s", key)
	}
	if _, _, err := c.Recv(io.Discard, nil); err != nil {
		we, ok := err.(*wire.Error)
		if !ok || c.Broken() {
			return err
		}
		reply = we
	}
	return c.Write(tag, 0, reply)
}

func serveGet(c *Conn, tag uint16, key string) error {
	n, err := strconv.Atoi(key)
	if err != nil {
		return c.Write(tag, 0, wire.Errorf(wire.CodeNotFound, "%s", key))
	}
	_, _, err = c.SendStream(tag, &wire.Object{Size: uint64(n)}, wire.FlagStream, Source{R: bytes.NewReader(numbered(n)), Size: int64(n)}, nil)
	return err
}

// numbered is the content of the key n.
func numbered(n int) []byte {
	b := text(n + 1)
	return b[1:]
}

// serving starts a server on c and returns a function that ends it.
func serving(c *Conn) (stop func()) {
	wait := async(func() error { err := serve(c); c.Close(); return err })
	return func() { c.Close(); wait() }
}

// outcome counts the calls of a request's Done.
type outcome struct {
	name  string
	calls atomic.Int32
	done  chan error // holds the first
}

func newOutcome(name string) *outcome { return &outcome{name: name, done: make(chan error, 1)} }

func (o *outcome) set(err error) {
	if o.calls.Add(1) == 1 {
		o.done <- err
	}
}

func put(key string, r io.Reader, o *outcome) Request {
	return Request{
		Send: func(c *Conn, tag uint16, refused func() bool) error {
			_, _, err := c.SendStream(tag, &wire.Put{Size: wire.SizeUnknown, Key: key}, 0, Source{R: r, Size: -1}, refused)
			return err
		},
		Recv: func(c *Conn, tag uint16) error {
			h, m, err := c.Read()
			if h.Type != 0 && h.Tag != tag {
				return fmt.Errorf("answer %d to request %d", h.Tag, tag)
			}
			if err == nil && m.Type() != wire.TypeOK {
				return fmt.Errorf("%s", m.Type())
			}
			return err
		},
		Done: o.set,
	}
}

func get(key string, w io.Writer, o *outcome) Request {
	return Request{
		Send: func(c *Conn, tag uint16, _ func() bool) error { return c.Write(tag, 0, &wire.Get{Key: key}) },
		Recv: func(c *Conn, tag uint16) error {
			h, m, err := c.Read()
			if h.Type != 0 && h.Tag != tag {
				return fmt.Errorf("answer %d to request %d", h.Tag, tag)
			}
			if err != nil {
				return err
			}
			if m.Type() != wire.TypeObject {
				return fmt.Errorf("%s", m.Type())
			}
			_, _, err = c.Recv(w, nil)
			return err
		},
		Done: o.set,
	}
}

// pipeline returns a Pipeline to a server.
func pipeline(t *testing.T) *Pipeline {
	t.Helper()
	a, b := connPair(t, patient, patient)
	stop := serving(b)
	p := NewPipeline(a)
	t.Cleanup(func() { p.Close(); stop() })
	return p
}

// wantDone waits for a request to end as it should.
func wantDone(t *testing.T, o *outcome, code wire.Code) {
	t.Helper()
	err := <-o.done
	if code == 0 {
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
		return
	}
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v, want %s", o.name, err, code)
	}
}

// Many goroutines, many requests of every kind and size, some of which fail:
// each gets its own answer, and the answers come in order.
func TestPipelineManyGoroutines(t *testing.T) {
	p := pipeline(t)
	var last atomic.Uint32 // the tag answered before; only the reader uses it
	ordered := func(r Request) Request {
		recv := r.Recv
		r.Recv = func(c *Conn, tag uint16) error {
			if before := last.Swap(uint32(tag)); uint32(tag) != before+1 {
				t.Errorf("answer %d after %d", tag, before)
			}
			return recv(c, tag)
		}
		return r
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 100 {
				o := newOutcome(fmt.Sprintf("request %d of goroutine %d", i, g))
				n := rnd.IntN(3000)
				if i%50 == 0 {
					n = 2*ChunkSize + rnd.IntN(3)
				}
				switch i % 7 {
				case 0, 1:
					var b bytes.Buffer
					p.Do(ordered(get(strconv.Itoa(n), &b, o)))
					wantDone(t, o, 0)
					if !bytes.Equal(b.Bytes(), numbered(n)) {
						t.Errorf("%s: %d bytes came, not the %d of the key", o.name, b.Len(), n)
					}
				case 2, 3:
					p.Do(ordered(put("ok", bytes.NewReader(numbered(n)), o)))
					wantDone(t, o, 0)
				case 4:
					p.Do(ordered(get("missing", io.Discard, o)))
					wantDone(t, o, wire.CodeNotFound)
				case 5:
					p.Do(ordered(put("refuse", bytes.NewReader(numbered(n)), o)))
					wantDone(t, o, wire.CodeExists)
				case 6:
					p.Do(ordered(put("ok", failing(numbered(n), errTest), o)))
					if err := <-o.done; !errors.Is(err, errTest) {
						t.Errorf("%s: %v", o.name, err)
					}
				}
				if o.calls.Load() != 1 {
					t.Errorf("%s: Done called %d times", o.name, o.calls.Load())
				}
			}
		})
	}
	wg.Wait()
	if !p.Idle() || p.Broken() {
		t.Error("not idle afterwards")
	}
}

// Requests go out without waiting for answers: a window's worth of them is
// sent before the server has said a word.
func TestPipelineDoesNotWait(t *testing.T) {
	a, b := connPair(t, patient, patient)
	p := NewPipeline(a)
	defer p.Close()
	var outcomes []*outcome
	for i := range Window {
		o := newOutcome(strconv.Itoa(i))
		outcomes = append(outcomes, o)
		p.Do(get("missing", io.Discard, o))
	}
	defer serving(b)()
	for _, o := range outcomes {
		wantDone(t, o, wire.CodeNotFound)
	}
}

// An error in the middle of a full window does not disturb its neighbours.
func TestPipelineErrorsInTheMiddle(t *testing.T) {
	p := pipeline(t)
	sink := &fullDisk{room: 10, err: errTest}
	big := 3*ChunkSize + 1
	steps := []struct {
		code wire.Code // 0: no error
		is   error
		r    func(o *outcome) Request
	}{
		{0, nil, func(o *outcome) Request { return put("ok", strings.NewReader("1"), o) }},
		{wire.CodeNotFound, nil, func(o *outcome) Request { return get("missing", io.Discard, o) }},
		{0, nil, func(o *outcome) Request { return get(strconv.Itoa(big), io.Discard, o) }},
		{0, errTest, func(o *outcome) Request { return get(strconv.Itoa(big), sink, o) }},
		{0, nil, func(o *outcome) Request { return get("17", io.Discard, o) }},
		{wire.CodeExists, nil, func(o *outcome) Request { return put("refuse", bytes.NewReader(numbered(big)), o) }},
		{wire.CodeExists, nil, func(o *outcome) Request { return put("refuse", endless{}, o) }},
		{wire.CodeNoSpace, nil, func(o *outcome) Request { return put("full", endless{}, o) }},
		{wire.CodeNoSpace, nil, func(o *outcome) Request { return put("full", bytes.NewReader(numbered(big)), o) }},
		{wire.CodeConflict, nil, func(o *outcome) Request { return put("late", bytes.NewReader(numbered(big)), o) }},
		{0, errTest, func(o *outcome) Request { return put("ok", failing(numbered(big), errTest), o) }},
		{0, errTest, func(o *outcome) Request { return put("ok", failing(nil, errTest), o) }},
		{0, nil, func(o *outcome) Request { return put("ok", bytes.NewReader(numbered(big)), o) }},
	}
	for round := range 10 {
		var outcomes []*outcome
		for i, s := range steps {
			o := newOutcome(fmt.Sprintf("round %d step %d", round, i))
			outcomes = append(outcomes, o)
			p.Do(s.r(o))
		}
		for i, s := range steps {
			if s.is == nil {
				wantDone(t, outcomes[i], s.code)
			} else if err := <-outcomes[i].done; !errors.Is(err, s.is) {
				t.Errorf("%s: %v, want %v", outcomes[i].name, err, s.is)
			}
		}
	}
	if p.Broken() {
		t.Error("broken")
	}
}

// Tags are 16 bits and wrap.
func TestPipelineTagsWrap(t *testing.T) {
	p := pipeline(t)
	for i := range 1<<16 + 200 {
		o := newOutcome(strconv.Itoa(i))
		p.Do(get("missing", io.Discard, o))
		if i%100 == 0 {
			wantDone(t, o, wire.CodeNotFound)
		}
	}
	o := newOutcome("last")
	p.Do(get("5", io.Discard, o))
	wantDone(t, o, 0)
}

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
	if p.Idle() || !p.Broken() {
		t.Error("idle after Close")
	}
	p.Close() // again is harmless
	return failed
}

// flood sends mixed requests from several goroutines until one fails with a
// broken pipeline, or n of each goroutine have been sent.
func flood(p *Pipeline, n int) (wait func() []*outcome) {
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
					p.Do(get(strconv.Itoa(i*100), io.Discard, o))
				case 2:
					p.Do(put("refuse", bytes.NewReader(numbered(ChunkSize+i)), o))
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
	rnd := rand.New(rand.NewPCG(4, 2))
	cutAt := func(limit int64) tap {
		return func(off int64, p []byte) int {
			return int(max(0, min(int64(len(p)), limit-off)))
		}
	}
	pass := func(_ int64, p []byte) int { return len(p) }
	for i := range 40 {
		limit := rnd.Int64N(1 << (4 + i%18))
		up, down := cutAt(limit), tap(pass)
		if i%2 == 1 {
			up, down = tap(pass), cutAt(limit)
		}
		ca, cb := proxyPair(t, up, down)
		a, b := newConn(t, ca, patient), newConn(t, cb, patient)
		stop := serving(b)
		p := NewPipeline(a)
		outcomes := flood(p, 60)()
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
	for name, end := range map[string]func(*Pipeline){
		"Close":     func(p *Pipeline) { p.Close() },
		"Interrupt": (*Pipeline).Interrupt,
		"Abandon":   (*Pipeline).Abandon,
		"twice":     func(p *Pipeline) { p.Abandon(); p.Interrupt(); p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 8 {
				a, b := connPair(t, patient, patient)
				stop := serving(b)
				p := NewPipeline(a)
				wait := flood(p, 60)
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

// A Send that is stuck in its reader does not hold up the answers to those
// before it, nor Abandon; Interrupt fails all but itself.
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

// A request whose refusal arrives while its reader blocks is cut short at the
// reader's next bytes, and the next one is served.
func TestPipelineRefusedUpload(t *testing.T) {
	a, b := connPair(t, patient, patient)
	p := NewPipeline(a)
	defer p.Close()
	src := newGate(text(ChunkSize), nil)
	src.after = endless{}
	o := newOutcome("refused")
	r := put("refuse", src, o)
	recv := r.Recv
	r.Recv = func(c *Conn, tag uint16) error {
		err := recv(c, tag)
		// The answer is here; refused may say so only now.
		close(src.open)
		return err
	}
	next := newOutcome("next")
	did := async(func() bool { p.Do(r); p.Do(put("ok", strings.NewReader("x"), next)); return true })
	<-src.reached
	defer serving(b)()
	did()
	wantDone(t, o, wire.CodeExists)
	wantDone(t, next, 0)
	if o.calls.Load() != 1 || next.calls.Load() != 1 {
		t.Error("Done called more than once")
	}
}

// The peer's answer, not the broken pipe it leaves, is what a sender is told
// when the peer refuses and hangs up.
func TestPipelineRefusedAndClosed(t *testing.T) {
	for range 20 {
		a, b := connPair(t, patient, patient)
		p := NewPipeline(a)
		hangUp := async(func() bool {
			h, err := b.AwaitHeader()
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
	if !p.Idle() || p.Broken() {
		t.Error("a new pipeline is not idle")
	}
	o := newOutcome("get")
	p.Do(get("10", io.Discard, o))
	wantDone(t, o, 0)
	if !p.Idle() {
		t.Error("not idle")
	}
	stop()
	until(t, "not idle once the peer has closed", func() bool { return !p.Idle() })
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
		return c.SendFile(tag, putHead, 0, f, 11, 0, refused)
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
