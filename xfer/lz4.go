package xfer

import (
	"encoding/binary"
	"sync"

	"github.com/pierrec/lz4/v4"

	"s4/wire"
)

// packer compresses chunks. One chunk that does not shrink is sent plain.
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
