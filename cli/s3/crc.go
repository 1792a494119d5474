package s3

import (
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// crcKind is one of the CRCs that S3 has for a whole object. That of a whole follows from
// those of its parts, so that parts may come in any order.
type crcKind struct {
	name   string // as S3 calls it, in lower case
	bits   int
	poly   uint64 // reversed
	update func(crc uint64, p []byte) uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	crc64NVMe = &crcKind{"crc64nvme", 64, 0x9a6c9329ac4bc9b5, crc64nvme.Update}
	crc32C    = &crcKind{"crc32c", 32, crc32.Castagnoli, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), castagnoli, p))
	}}
	crc32IEEE = &crcKind{"crc32", 32, crc32.IEEE, func(crc uint64, p []byte) uint64 {
		return uint64(crc32.Update(uint32(crc), crc32.IEEETable, p))
	}}
)

// bytes returns a CRC in the byte order of S3: big-endian.
func (k *crcKind) bytes(crc uint64) []byte {
	b := make([]byte, k.bits/8)
	for i := range b {
		b[i] = byte(crc >> (k.bits - 8 - 8*i))
	}
	return b
}

// join returns the CRC of a text a and a text b of n bytes after it, from those of both.
//
// To append a zero bit to a text is a linear map of its CRC; to append 8n of them is that
// map 8n times, whose powers of two are squares of each other. The CRC of a followed by b
// is that of a with 8n zero bits, plus that of b: as zlib's crc32_combine.
func (k *crcKind) join(a, b uint64, n int64) uint64 {
	var m, sq crcMap
	m[0] = k.poly // one zero bit: shift, and subtract what falls out
	for i := 1; i < k.bits; i++ {
		m[i] = 1 << (i - 1)
	}
	for range 3 { // one zero byte
		sq.square(&m, k.bits)
		m = sq
	}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = m.times(a)
		}
		sq.square(&m, k.bits)
		m = sq
	}
	return a ^ b
}

// crcMap is a linear map of bits: what becomes of each.
type crcMap [64]uint64

func (m *crcMap) times(v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *crcMap) square(of *crcMap, bits int) {
	for i := range bits {
		m[i] = of.times(of[i])
	}
}
