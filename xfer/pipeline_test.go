package xfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nathants/s4/wire"
)

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
	if p.Stale() || p.Broken() {
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
