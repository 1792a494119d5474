package xfer

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/nathants/s4/wire"
)

// Packing says which chunks of a stream to compress with lz4.
type Packing byte

// The ways to pack. A chunk that would not get shorter is always sent plain.
const (
	PackNever  Packing = iota
	PackAuto           // chunks that reach the peer sooner that way: see packPolicy
	PackAlways         // all
)

// packer compresses chunks.
type packer struct {
	c   lz4.Compressor
	out buffer
}

var packers = sync.Pool{New: func() any { return new(packer) }}

func getPacker() *packer  { return packers.Get().(*packer) }
func putPacker(p *packer) { packers.Put(p) }

// pack returns the body of an lz4 DATA frame for plain, in p.out where a
// chunk starts, or false if that is no shorter.
func (p *packer) pack(plain []byte) ([]byte, bool) {
	body := p.out.space(len(plain))
	if len(body) <= 4 {
		return nil, false
	}
	n, err := p.c.CompressBlock(plain, body[4:])
	if err != nil || n == 0 {
		return nil, false // it does not fit: incompressible
	}
	binary.BigEndian.PutUint32(body, uint32(len(plain)))
	return body[:4+n], true
}

// unpack decompresses the body of an lz4 DATA frame into plain, which has
// room for wire.MaxPacked bytes.
func unpack(body, plain []byte) ([]byte, error) {
	if len(body) < 4 {
		return nil, wire.Errorf(wire.CodeBadRequest, "lz4 frame of %d bytes", len(body))
	}
	size := binary.BigEndian.Uint32(body)
	if size > wire.MaxPacked || int(size) > len(plain) {
		return nil, wire.Errorf(wire.CodeTooLarge, "lz4 frame of %d plain bytes, at most %d", size, wire.MaxPacked)
	}
	n, err := lz4.UncompressBlock(body[4:], plain[:size])
	if err != nil || n != int(size) {
		return nil, wire.Errorf(wire.CodeChecksum, "lz4 frame does not unpack to the %d bytes it promises", size)
	}
	return plain[:n], nil
}

// worth reports whether mode says to pack the next n bytes; c.wmu is held. The
// caller then calls pack with them, or else sentPlain.
func (c *Conn) worth(mode Packing, n int) bool {
	if mode != PackAuto || c.policy.local {
		return mode == PackAlways
	}
	if n < packMin {
		c.policy.drained = true // perhaps: no sample is taken for so few bytes
		return false
	}
	c.sampleTCP()
	return c.policy.worth(n)
}

// worthStream is worth without c.wmu. It calls sentPlain if it reports false.
func (c *Conn) worthStream(mode Packing, n int) bool {
	if mode != PackAuto || c.policy.local {
		return mode == PackAlways
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.worth(mode, n) {
		return true
	}
	c.sentPlain(mode, int64(n))
	return false
}

// sentPlain says that n bytes were sent as they are; c.wmu is held.
func (c *Conn) sentPlain(mode Packing, n int64) {
	if mode == PackAuto {
		c.policy.sent(n)
	}
}

// pack packs plain, of at most ChunkSize bytes, after worth reported true; c.wmu is
// not held. It returns the body of the DATA frame, which lies in p.out where a chunk
// starts, or false if plain should be sent as it is.
func (c *Conn) pack(mode Packing, p *packer, plain []byte) ([]byte, bool) {
	if mode == PackAlways {
		return p.pack(plain)
	}
	start := time.Now()
	body, ok := p.pack(plain)
	took := time.Since(start)
	n := len(plain)
	if ok {
		n = len(body)
	}
	c.wmu.Lock()
	c.sampleTCP() // before the chunk is sent: if the socket is empty now, the network is faster
	c.policy.packed(len(plain), n, took)
	c.wmu.Unlock()
	return body, ok && float64(n) <= packLeast*float64(len(plain))
}
