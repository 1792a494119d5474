package node

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// TestAttachInVain has clients come and go at once, again and again: they do not make the
// job wait for ever.
func TestAttachInVain(t *testing.T) {
	n := &Node{log: zap.NewNop()}
	n.ctx, n.cancel = context.WithCancelCause(t.Context())
	const wait = 300 * time.Millisecond
	j := n.makeJob(&wire.Job{ID: 42, Wait: uint64(wait)}, input{}, &stage{path: t.TempDir()}, wire.JobRunning)
	first := testClient(t, j)
	if err := j.attach(first, &wire.Attach{Job: 42, Term: 2}); err != nil {
		t.Fatal(err)
	}
	j.lose(first, io.EOF)
	for term := uint64(3); j.current() == wire.JobRunning; term++ {
		if term == 400 {
			t.Fatal("the job still waits for a client")
		}
		js := testClient(t, j)
		err := j.attach(js, &wire.Attach{Job: 42, Term: term})
		if errors.Is(err, wire.CodeNoJob) {
			break // it has just ended
		}
		if err != nil {
			t.Fatal(err)
		}
		j.lose(js, io.EOF)
		time.Sleep(wait / 10)
	}
	n.wg.Wait()
	if state := j.current(); state != wire.JobCanceled {
		t.Errorf("the job is %s", state)
	}
}
