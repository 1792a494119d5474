package s4

import (
	"time"

	"github.com/nathants/s4/xfer"
)

// Dialers returns a function that returns the dialer for the server with an index. secret
// is the cluster's, if it has one, and timeout is the I/O timeout, 0 for the default. The
// fingerprint, which takes longer the more servers there are, is made once for all of
// them. It is exported for servers, which connect to their peers.
func (c *Cluster) Dialers(secret Secret, timeout time.Duration) func(server int) xfer.Dialer {
	fingerprint := c.Fingerprint()
	return func(server int) xfer.Dialer {
		return xfer.Dialer{
			Addr:        c.Servers[server].dialAddress(),
			Fingerprint: fingerprint,
			Index:       uint32(server),
			Secret:      secret,
			Timeout:     timeout,
		}
	}
}
