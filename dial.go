package s4

import (
	"context"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Dial opens a protocol connection to server index of the cluster and
// exchanges preambles. timeout is the I/O timeout, 0 for the default. The
// caller owns the connection. Client's methods need no Dial; it is for
// servers that talk to their peers, and for tools.
func Dial(ctx context.Context, cluster *Cluster, index int, channel wire.Channel, timeout time.Duration, stats *xfer.Stats) (*xfer.Conn, error) {
	d := cluster.dialer(index, timeout)
	d.Stats = stats
	return d.Dial(ctx, channel)
}

// DialJob is Dial for the connections of a job, see xfer.Dialer.DialPatiently.
func DialJob(ctx context.Context, cluster *Cluster, index int, channel wire.Channel, timeout time.Duration, stats *xfer.Stats) (*xfer.Conn, error) {
	d := cluster.dialer(index, timeout)
	d.Stats = stats
	return d.DialPatiently(ctx, channel)
}

// dialer says how to connect to a server of the cluster.
func (c *Cluster) dialer(index int, timeout time.Duration) xfer.Dialer {
	return xfer.Dialer{Addr: c.Servers[index].dialAddress(), Fingerprint: c.Fingerprint(), Index: uint32(index), Timeout: timeout}
}
