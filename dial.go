package s4

import (
	"time"

	"github.com/nathants/s4/xfer"
)

// Dialer returns the dialer for the server with this index. secret is the cluster's, if
// it has one, and timeout is the I/O timeout, 0 for the default. It is exported for
// servers, which connect to their peers.
func (c *Cluster) Dialer(index int, secret Secret, timeout time.Duration) xfer.Dialer {
	return xfer.Dialer{
		Addr:        c.Servers[index].dialAddress(),
		Fingerprint: c.Fingerprint(),
		Index:       uint32(index),
		Secret:      secret,
		Timeout:     timeout,
	}
}
