package s4

import (
	"time"

	"github.com/nathants/s4/xfer"
)

// Dialer returns the dialer for the server with this index. timeout is the I/O timeout,
// 0 for the default. It is exported for servers, which connect to their peers.
func (c *Cluster) Dialer(index int, timeout time.Duration) xfer.Dialer {
	return xfer.Dialer{Addr: c.Servers[index].dialAddress(), Fingerprint: c.Fingerprint(), Index: uint32(index), Timeout: timeout}
}
