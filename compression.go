package s4

import (
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Compression says what to compress, with lz4, on its way through the network.
// What is stored, and what every reader gets, is the same.
type Compression byte

// The ways to compress.
const (
	// CompressAuto compresses what gets to the other end sooner for it: the
	// sender measures how fast it compresses, how much shorter the data gets and
	// what the network takes. Between two ends on one host it does nothing.
	CompressAuto Compression = iota
	// CompressNever compresses nothing.
	CompressNever
	// CompressAlways compresses all that gets shorter, where bytes are dear and
	// time is not.
	CompressAlways
)

// packing returns what c asks of a sender in this process.
func (c Compression) packing() xfer.Packing {
	switch c {
	case CompressNever:
		return xfer.PackNever
	case CompressAlways:
		return xfer.PackAlways
	}
	return xfer.PackAuto
}

// flags returns what c asks of a server with PUT or GET.
func (c Compression) flags() byte {
	switch c {
	case CompressNever:
		return 0
	case CompressAlways:
		return wire.FlagLZ4 | wire.FlagPackAll
	}
	return wire.FlagLZ4
}
