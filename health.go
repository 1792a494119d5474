package s4

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// healthTimeout is how long Health waits for each server.
const healthTimeout = time.Second

// ServerHealth is the answer of a server to Health, or why it is unhealthy.
type ServerHealth struct {
	Server  Server
	Err     error // nil if the server is healthy, and then the fields below are set
	Version string
	Uptime  time.Duration
	Keys    int64
	Bytes   int64 // in keys
	Free    int64 // bytes free on the data file system
	Total   int64 // size of the data file system in bytes

	Suspended     int64 // bytes that suspended jobs have staged: JobOptions.Keep
	SuspendedJobs int64 // how many there are

	// Open says that whoever can reach the server can run commands on it: it has no
	// secret, and listens on an address that is not loopback.
	Open bool

	Load ServerLoad
}

// ServerLoad is what a server does, and what its machine has left. Slots is 0 if the
// server is of a version that does not tell. Servers of one process share their slots.
type ServerLoad struct {
	Slots        int   // how many tasks may run at once
	Running      int   // tasks that do
	Waiting      int64 // tasks of running jobs that have not begun
	MaxTransfers int   // how many tasks may push output to other servers at once
	Transfers    int   // those that do

	Received, Sent int64 // bytes of keys and of shuffles since the server was started

	Average   float64 // the machine's load over one minute: see proc_loadavg(5)
	Available int64   // bytes of memory that programs can have
	Memory    int64   // bytes of memory that the machine has; 0 if that is not known
}

// toLoad is the reverse of what a server sends.
func toLoad(l *wire.Load) ServerLoad {
	return ServerLoad{
		Slots: int(l.Slots), Running: int(l.Running), Waiting: int64(l.Waiting),
		MaxTransfers: int(l.MaxTransfers), Transfers: int(l.Transfers),
		Received: int64(l.Received), Sent: int64(l.Sent),
		Average: float64(l.Average) / 100, Available: int64(l.Available), Memory: int64(l.Memory),
	}
}

// Health asks all servers in parallel, and returns their answers in the order of the
// cluster file. A server is healthy if it answers within a second, has the same cluster
// file, speaks the same protocol version, and can write to its data directory.
func (c *Client) Health(ctx context.Context) []ServerHealth {
	out := make([]ServerHealth, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i, s := range c.cluster.Servers {
		wg.Go(func() {
			late := fmt.Errorf("no answer within %v", healthTimeout)
			limited, cancel := context.WithTimeoutCause(ctx, healthTimeout, late)
			defer cancel()
			h := &out[i]
			h.Server = s
			err := c.ask(limited, i, 0, wire.Empty{T: wire.TypeHealth}, func(m wire.Message) (bool, error) {
				info, ok := m.(*wire.HealthInfo)
				if !ok {
					return true, unexpected(m)
				}
				h.Version = info.Release
				h.Uptime = time.Duration(info.Uptime)
				h.Keys, h.Bytes = int64(info.Keys), int64(info.Bytes)
				h.Free, h.Total = int64(info.Free), int64(info.Total)
				h.Suspended, h.SuspendedJobs = int64(info.Suspended), int64(info.SuspendedJobs)
				h.Open = info.Open
				h.Load = toLoad(&info.Load)
				return true, nil
			})
			if err != nil {
				h.Err = c.healthError(ctx, limited, err)
			}
		})
	}
	wg.Wait()
	return out
}

// healthError returns err as an *Error. limited is ctx with the timeout of one server.
func (c *Client) healthError(ctx, limited context.Context, err error) error {
	if ctx.Err() == nil && limited.Err() != nil {
		return &Error{Op: "health", Kind: ErrTimeout, Text: context.Cause(limited).Error()}
	}
	return c.opError(ctx, "health", "", -1, err)
}
