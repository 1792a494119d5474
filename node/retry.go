package node

import (
	"errors"

	"github.com/nathants/s4/wire"
)

// isLost reports whether err means that a server is down, was lost, or is about to
// stop, and not that it has refused what it was asked.
func isLost(err error) bool {
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
