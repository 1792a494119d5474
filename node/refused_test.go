package node_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// Jobs that all servers refuse at once: their refusals cross the DISCARDs that the
// first of them brings about, and the coordinator's end. It once read its
// connections after that end.
func TestJobsRefusedByAll(t *testing.T) {
	t.Parallel()
	const servers = 8
	c := nodetest.Start(t, servers, node.Config{})
	client := c.Client(t, nil)
	for i := range servers {
		for _, dir := range []string{"in", "out"} {
			put(t, client, fmt.Sprintf("b/%s/%d_k", dir, i), nil)
		}
	}
	for range 200 {
		if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", nil); !errors.Is(err, s4.ErrExists) {
			t.Fatal(err)
		}
	}
}
