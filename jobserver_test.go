package s4

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// watchedLife is a context that counts what waits for its end.
type watchedLife struct {
	context.Context
	done    chan struct{}
	waiting int
}

func (w *watchedLife) Done() <-chan struct{} { return w.done }

// AfterFunc takes the place of what context.AfterFunc does.
func (w *watchedLife) AfterFunc(func()) (stop func() bool) {
	w.waiting++
	stopped := false
	return func() bool {
		if stopped {
			return false
		}
		stopped = true
		w.waiting--
		return true
	}
}

// TestClosedConnectionsAreForgotten attaches again and again: a job that lives for long
// remembers none of the connections that it has lost.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	life := &watchedLife{Context: context.Background(), done: make(chan struct{})}
	for range 3 {
		tcp, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := xfer.NewConn(tcp.(*net.TCPConn), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn := newJobConn(nc, func() bool { return false })
		conn.bind(life)
		if life.waiting != 1 {
			t.Errorf("%d connections wait for the end of the job, want 1", life.waiting)
		}
		conn.close()
	}
	if life.waiting != 0 {
		t.Errorf("%d connections are left", life.waiting)
	}
}

// A server that is waited for has not refused anything if this process has no descriptor
// for a connection to it.
func TestRegainWithoutDescriptors(t *testing.T) {
	c := NewClient(&Cluster{Servers: []Server{{Address: "127.0.0.1", Port: "1"}}}, nil)
	co := c.coordinate(&wire.Job{Wait: uint64(time.Minute)}, new(JobOptions))
	defer co.close()
	tries := 0
	err := co.servers[0].regain(t.Context(), nil, func(context.Context) error {
		if tries++; tries == 1 {
			return errors.Join(wire.Errorf(wire.CodeStorage, "cannot connect"), syscall.EMFILE)
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// Abandon ends Run also while it asks servers for their keys, and one does not answer.
func TestAbandonWhileServersAreAsked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes a connection, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	c := NewClient(&Cluster{Servers: []Server{{Address: host, Port: port}}}, &Options{IOTimeout: time.Hour})
	co := c.coordinate(&wire.Job{Verb: wire.VerbMap, Indir: "b/in", Wait: 1, Options: wire.JobKeepGoing}, new(JobOptions))
	defer co.close()
	ended := make(chan struct{})
	go func() {
		co.planLoss(context.Background())
		close(ended)
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	co.Abandon()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it still waits for the server")
	}
}
