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
	// CompressAuto compresses where that makes the transfer faster. The sender measures
	// how fast it compresses, how much shorter the data gets and how fast the network
	// is. Between two ends on one host it does not compress.
	CompressAuto Compression = iota
	// CompressNever does not compress.
	CompressNever
	// CompressAlways compresses all data that gets shorter, even if that takes longer:
	// for networks where bytes cost money.
	CompressAlways
)

// packing returns c as xfer has it, for what this process sends.
func (c Compression) packing() xfer.Packing {
	switch c {
	case CompressNever:
		return xfer.PackNever
	case CompressAlways:
		return xfer.PackAlways
	}
	return xfer.PackAuto
}

// flags returns c as the flags of a GET. A PUT has only FlagLZ4 of them.
func (c Compression) flags() byte {
	switch c {
	case CompressNever:
		return 0
	case CompressAlways:
		return wire.FlagLZ4 | wire.FlagPackAll
	}
	return wire.FlagLZ4
}
