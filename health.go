package s4

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// healthTimeout is how long Health waits for a server.
const healthTimeout = time.Second

// ServerHealth is what a server says of itself, or why it is unhealthy.
type ServerHealth struct {
	Server  Server
	Err     error // nil if healthy; the other fields are then set
	Version string
	Uptime  time.Duration
	Keys    int64
	Bytes   int64 // in keys
	Free    int64 // bytes free on the data file system
	Total   int64 // size of the data file system in bytes
}

// Health asks every server in parallel, each with a limit of healthTimeout,
// and returns their answers in the order of the cluster file. A server is
// healthy if it answers, has the same cluster file and protocol version, and
// can write to its data directory.
func (c *Client) Health(ctx context.Context) []ServerHealth {
	out := make([]ServerHealth, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i, s := range c.cluster.Servers {
		wg.Go(func() {
			late := fmt.Errorf("no answer within %v", healthTimeout)
			one, cancel := context.WithTimeoutCause(ctx, healthTimeout, late)
			defer cancel()
			h := &out[i]
			h.Server = s
			err := c.ask(one, i, 0, wire.Empty{T: wire.TypeHealth}, func(m wire.Message) (bool, error) {
				info, ok := m.(*wire.HealthInfo)
				if !ok {
					return true, unexpected(m)
				}
				h.Version = info.Release
				h.Uptime = time.Duration(info.Uptime)
				h.Keys, h.Bytes = int64(info.Keys), int64(info.Bytes)
				h.Free, h.Total = int64(info.Free), int64(info.Total)
				return true, nil
			})
			if err != nil {
				h.Err = c.healthError(ctx, one, err)
			}
		})
	}
	wg.Wait()
	return out
}

func (c *Client) healthError(ctx, one context.Context, err error) error {
	if ctx.Err() == nil && one.Err() != nil {
		return &Error{Op: "health", Kind: ErrTimeout, Text: context.Cause(one).Error()}
	}
	return c.opError(ctx, "health", "", -1, err)
}
