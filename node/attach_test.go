package node

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// attachableJob is a running job that has lost its client.
func attachableJob(t *testing.T) *job {
	n := &Node{log: zap.NewNop()}
	n.ctx, n.cancel = context.WithCancelCause(t.Context())
	return n.makeJob(&wire.Job{ID: 42, Wait: 1 << 40}, input{}, &stage{path: t.TempDir()}, wire.JobRunning)
}

// testClient returns a client of a job, on a connection that nobody reads from.
func testClient(t *testing.T, j *job) *jobSession {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tcp, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := xfer.NewConn(tcp.(*net.TCPConn), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return (&session{node: j.node, conn: conn}).bind(j, 1)
}

// TestAttachWhileStopping attaches to a job whose goroutine may have ended.
func TestAttachWhileStopping(t *testing.T) {
	j := attachableJob(t)
	j.node.cancel(errShutdown)
	if err := j.attach(new(jobSession), &wire.Attach{Job: 42, Term: 2}); !errors.Is(err, wire.CodeShuttingDown) {
		t.Errorf("got %v, want shutting-down", err)
	}
}

// TestPushWhileStopping pushes to a job on a server that stops. It is no failure of the job:
// whoever pushes tries again, and the server is there again by then.
func TestPushWhileStopping(t *testing.T) {
	j := attachableJob(t)
	j.node.jobs = map[uint64]*job{42: j}
	if _, err := j.node.enterJob(42); err != nil {
		t.Fatal(err)
	}
	j.leave()
	j.node.cancel(errShutdown)
	if _, err := j.node.enterJob(42); !errors.Is(err, wire.CodeShuttingDown) || !isLost(err) {
		t.Errorf("got %v, want shutting-down", err)
	}
	j = attachableJob(t)
	j.node.jobs = map[uint64]*job{42: j}
	j.move(jobFailed, errSettled)
	if _, err := j.node.enterJob(42); !errors.Is(err, wire.CodeCanceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

// TestAskBehindAttach takes a request that a client has sent right behind its ATTACH.
func TestAskBehindAttach(t *testing.T) {
	for range 50 { // as the two come on two channels
		j := attachableJob(t)
		js := testClient(t, j)
		j.link.client = js
		j.attaches <- attachment{client: js}
		if !j.ask(ask{t: wire.TypeStart, from: js}) {
			t.Fatal("the job takes no request")
		}
		// So that a request that is dropped ends the test, and does not hang it.
		j.asks <- ask{t: wire.TypeCommit, from: js}
		if got, err := j.awaitAny(); err != nil || got.t != wire.TypeStart {
			t.Fatalf("got %s, %v, want START", got.t, err)
		}
		js.end()
	}
}

// TestAsksOfLostClients has clients send ahead all that they may, and lose the job, again
// and again. The last one is heard all the same, and what a peer has settled is.
func TestAsksOfLostClients(t *testing.T) {
	j := attachableJob(t)
	j.asks <- ask{t: wire.TypeCommit, settled: true}
	var js *jobSession
	for term := range uint64(5) {
		before := js
		js = testClient(t, j)
		if err := j.attach(js, &wire.Attach{Job: 42, Term: term + 2}); err != nil {
			t.Fatal(err)
		}
		for range maxAsks - 1 {
			if !j.ask(ask{t: wire.TypePrepare, from: js}) {
				t.Fatal("the job takes no request")
			}
		}
		if before != nil && !j.ask(ask{t: wire.TypePrepare, from: before}) {
			t.Fatal("the job is over")
		}
		if term%2 == 1 {
			j.lose(js, io.EOF)
			j.link.stop()
			if len(j.asks) != maxAsks {
				t.Errorf("%d requests wait: what was sent before the loss is carried out", len(j.asks))
			}
			if !j.ask(ask{t: wire.TypePrepare, from: js}) {
				t.Fatal("the job is over")
			}
		}
	}
	if state := j.current(); state != wire.JobRunning {
		t.Errorf("the job is %s", state)
	}
	if len(j.asks) != maxAsks {
		t.Errorf("%d requests wait, want %d", len(j.asks), maxAsks)
	}
	settled := 0
	for range len(j.asks) {
		switch a := <-j.asks; {
		case a.settled:
			settled++
		case a.from != js:
			t.Error("a request of a client that is lost")
		}
	}
	if settled != 1 {
		t.Errorf("%d requests of the peer", settled)
	}
	js.end()
}
