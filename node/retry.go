package node

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// isLost reports whether err means that a server is down, was lost, or is about to
// stop, and not that it has refused what it was asked.
func isLost(err error) bool {
	if errors.Is(err, unix.EMFILE) {
		return true // there was no descriptor for a connection, and soon there may be
	}
	var we *wire.Error
	if !errors.As(err, &we) {
		return true // of the network
	}
	switch we.Code {
	case wire.CodeUnavailable, wire.CodeShuttingDown, wire.CodeTimeout:
		return true
	}
	return false
}
