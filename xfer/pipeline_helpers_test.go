package xfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/nathants/s4/wire"
)

// serve answers the requests of a data connection as a node would: PUT of a
// key "refuse" is refused at once, of "full" when its disk is, of "late" after
// its stream; GET of a number sends that many bytes, of another key nothing.
func serve(c *Conn) error {
	for {
		h, err := c.AwaitHeader(nil)
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
