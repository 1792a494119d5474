package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// A server that was down when a job ended removes its part soon after it is back, and
// does not wait for a client for as long as the job says.
func TestParkedJobThatEndedElsewhere(t *testing.T) {
	t.Parallel()
	o := newOutlive(t, node.Config{})
	o.opts.ServerWait = time.Hour
	ctx, cancel := context.WithCancel(guarded(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := o.run(ctx, s4.VerbMap)
		ended <- err
	}()
	nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
	const lost = 1
	o.StopNode(lost)
	cancel()
	if err := <-ended; !errors.Is(err, s4.ErrCanceled) {
		t.Fatal(err)
	}
	o.StartNode(t, lost)
	nodetest.Eventually(t, "nothing is staged", func() bool { return len(nodetest.Staged(t, o.Data(lost))) == 0 })
	number, err := jobNumber(o.id())
	if err != nil {
		t.Fatal(err)
	}
	info, err := o.client.JobInfo(guarded(t), lost, number)
	if err != nil || info.State != wire.JobCanceled {
		t.Errorf("%+v, %v", info, err)
	}
}
