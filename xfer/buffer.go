package xfer

import (
	"sync"

	"github.com/nathants/s4/wire"
)

// ChunkSize is how many bytes a stream reads, hashes and sends at a time, and
// how many a receiver takes from the socket at most. See Recv for why.
const ChunkSize = 256 << 10

// frontRoom is what a buffer has before a chunk, for the request and the
// frame header that go out with it in one system call; backRoom is what it
// has after, for the trailer.
const (
	frontRoom = 2 << 10
	backRoom  = 64
)

// buffer holds one chunk with room around it.
type buffer struct {
	front [frontRoom]byte // where what goes before a chunk is put together
	b     [frontRoom + ChunkSize + backRoom]byte
}

// space returns the chunk's first n bytes, with room for a trailer behind.
func (b *buffer) space(n int) []byte { return b.b[frontRoom : frontRoom+n] }

// buffers keeps memory to reuse, and no state.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer  { return buffers.Get().(*buffer) }
func putBuffer(b *buffer) { buffers.Put(b) }

// The front must hold the longest PUT or PUSH with its DATA header.
var _ [frontRoom - 3*wire.HeaderSize - wire.MaxKey - 32]struct{}
