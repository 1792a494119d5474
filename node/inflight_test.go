package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// holder forwards connections to a server and holds the first frame of one type
// on its way to the client.
type holder struct {
	ln      net.Listener
	hold    wire.Type
	held    chan struct{} // closed when the frame is here
	release chan struct{} // closed by the test
	watch   wire.Type
	passed  chan struct{} // closed when a frame of type watch has gone to the server
	wg      sync.WaitGroup
	once    [2]sync.Once

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func newHolder(t *testing.T, target string, hold, watch wire.Type) *holder {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{ln: ln, hold: hold, watch: watch, held: make(chan struct{}), release: make(chan struct{}), passed: make(chan struct{})}
	h.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", target)
			if err != nil {
				c.Close()
				continue
			}
			h.mu.Lock()
			h.conns = append(h.conns, c, s)
			h.mu.Unlock()
			h.wg.Go(func() {
				forward(s, c, nil, func(typ wire.Type) {
					if typ == h.watch {
						h.once[0].Do(func() { close(h.passed) })
					}
				})
			})
			h.wg.Go(func() {
				forward(c, s, func(typ wire.Type) {
					if typ == h.hold {
						h.once[1].Do(func() {
							close(h.held)
							<-h.release
						})
					}
				}, nil)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		h.wg.Wait()
	})
	return h
}

// forward copies a preamble and frames, calling before and after for each frame.
func forward(dst, src net.Conn, before, after func(wire.Type)) {
	defer dst.Close()
	if _, err := io.CopyN(dst, src, wire.PreambleSize); err != nil {
		return
	}
	for {
		var head [wire.HeaderSize]byte
		if _, err := io.ReadFull(src, head[:]); err != nil {
			return
		}
		frame := make([]byte, wire.HeaderSize+int(binary.BigEndian.Uint32(head[:])))
		copy(frame, head[:])
		if _, err := io.ReadFull(src, frame[wire.HeaderSize:]); err != nil {
			return
		}
		if before != nil {
			before(wire.Type(head[4]))
		}
		if _, err := dst.Write(frame); err != nil {
			return
		}
		if after != nil {
			after(wire.Type(head[4]))
		}
	}
}

// The client gives up while the PREPARED of one server is on its way. DISCARD makes
// that server withdraw its promise, so no server may be told to commit.
func TestCanceledWithPreparedInFlight(t *testing.T) {
	p := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := p.Client(t, nil)
	for _, k := range []string{"b/in/0", "b/in/1", "b/in/2"} {
		put(t, client, k, []byte("x"))
	}
	h := newHolder(t, p.Proxies[0].Target(), wire.TypePrepared, wire.TypeDiscard)
	p.Proxies[0].SetTarget(h.ln.Addr().String())
	ctx, cancel := context.WithCancel(guarded(t))
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := p.Client(t, nil).Map(ctx, "s4://b/in", "s4://b/out", "cat", nil)
		done <- err
	}()
	<-h.held
	nodetest.Eventually(t, "the others are prepared", func() bool {
		return len(prepared(t, p.Data(1))) > 0 && len(prepared(t, p.Data(2))) > 0
	})
	cancel()
	<-h.passed
	close(h.release)
	if err := <-done; !errors.Is(err, s4.ErrCanceled) {
		t.Errorf("%v is not ErrCanceled", err)
	}
	clean(t, []string{p.Data(0), p.Data(1), p.Data(2)}, "b/in/0", "b/in/1", "b/in/2")
}

// prepared returns the promises on a server's disk.
func prepared(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, f := range nodetest.Files(t, dir) {
		if base := f[len(f)-min(len(f), len("/prepared")):]; base == "/prepared" {
			names = append(names, f)
		}
	}
	return names
}
