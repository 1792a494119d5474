package nodetest

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// nextPort counts through the ports that FreePort has given out.
var nextPort atomic.Uint32

// FreePort returns a loopback port that nobody uses, for a server that is started,
// and started again, by another process. It is below those that the kernel gives to
// outgoing connections, any of which might take it while the server is down.
func FreePort() int {
	for {
		port := 10000 + (uint32(os.Getpid())*101+nextPort.Add(1))%20000
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			ln.Close()
			return int(port)
		}
	}
}
