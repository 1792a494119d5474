package xfer

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// serveHeld answers requests as a server does: LIST with OK, and GET with a file whose
// bytes are the key's name.
func serveHeld(t *testing.T, c *Conn) error {
	for {
		h, err := c.ReadHeader()
		if err != nil {
			return c.SendHeld()
		}
		m, err := c.ReadMessage(h)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.List:
			err = c.WriteSoon(h.Tag, 0, wire.Empty{T: wire.TypeOK})
		case *wire.Get:
			data := []byte(m.Key)
			err = c.SendFile(h.Tag, &wire.Object{Size: uint64(len(data))}, wire.FlagStream, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackNever, true, nil)
		}
		if err != nil {
			return err
		}
	}
}

// Answers to requests that came together go out together, in their order, and none is
// kept when nothing more is at hand.
func TestHeldAnswers(t *testing.T) {
	t.Parallel()
	a, b := connPair(t, patient, patient)
	served := async(func() error { return serveHeld(t, b) })
	for _, n := range []int{1, 2, 100, 3000} {
		var requests []byte
		for i := range n {
			if i%2 == 0 {
				requests = wire.AppendFrame(requests, uint16(i), 0, &wire.List{Prefix: "b/"})
			} else {
				requests = wire.AppendFrame(requests, uint16(i), 0, &wire.Get{Key: fmt.Sprintf("b/%d", i)})
			}
		}
		wrote := async(func() error { return a.WriteRaw(requests) })
		for i := range n {
			if i%2 == 0 {
				if _, err := a.ReadReply(uint16(i)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if m, err := a.ReadReply(uint16(i)); err != nil || m.Type() != wire.TypeObject {
				t.Fatal(m, err)
			}
			var got bytes.Buffer
			if _, _, err := a.Recv(&got, nil); err != nil || got.String() != fmt.Sprintf("b/%d", i) {
				t.Fatalf("%q, %v", got.String(), err)
			}
		}
		if err := wrote(); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	if err := served(); err != nil {
		t.Error(err)
	}
}

// An answer is held back while another request is at hand, is sent before any other
// frame, and not for longer than maxHeldTime.
func TestHoldBack(t *testing.T) {
	a, b := connPair(t, patient, patient)
	ok := wire.Empty{T: wire.TypeOK}
	request := func(n int) {
		t.Helper()
		var requests []byte
		for range n {
			requests = wire.AppendFrame(requests, 1, 0, &wire.List{Prefix: "b/"})
		}
		if err := a.WriteRaw(requests); err != nil {
			t.Fatal(err)
		}
		until(t, "all are there", func() bool { return b.peek(make([]byte, 1<<10)) == len(requests) })
	}
	read := func() {
		t.Helper()
		if _, _, err := b.Read(); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(held bool) {
		t.Helper()
		if err := b.WriteSoon(1, 0, ok); err != nil || b.Holds() != held {
			t.Fatalf("held %v, %v; want %v", b.Holds(), err, held)
		}
	}
	arrived := func(n int) {
		t.Helper()
		for range n {
			if _, err := a.ReadReply(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	request(2)
	read()
	answer(true)
	read()
	if err := b.Write(1, 0, ok); err != nil { // in place of an answer, as an error would be
		t.Fatal(err)
	}
	if b.Holds() {
		t.Error("a frame counts as held that went out before another one")
	}
	arrived(2)
	if err := b.SendHeld(); err != nil { // nothing is left
		t.Fatal(err)
	}
	if n := a.peek(make([]byte, 1)); n > 0 || b.Holds() {
		t.Error("something was sent twice")
	}
	// A PING is no request: nothing would be read for a long time, perhaps.
	frames := wire.AppendFrame(nil, 1, 0, &wire.List{Prefix: "b/"})
	for range 2 {
		frames = wire.AppendFrame(frames, 0, 0, wire.Empty{T: wire.TypePing})
	}
	if err := a.WriteRaw(frames); err != nil {
		t.Fatal(err)
	}
	until(t, "all are there", func() bool { return b.peek(make([]byte, 1<<10)) == len(frames) })
	read()
	answer(false)
	arrived(1)
	request(3)
	read()
	answer(true)
	b.wmu.Lock()
	b.held.since = time.Now().Add(-time.Hour)
	b.wmu.Unlock()
	read()
	if err := b.WriteSoon(1, 0, ok); err != nil {
		t.Fatal(err)
	}
	arrived(2) // before the third request was looked at
	read()
	if err := b.WriteSoon(1, 0, ok); err != nil { // the last one goes out at once
		t.Fatal(err)
	}
	arrived(1)
}
