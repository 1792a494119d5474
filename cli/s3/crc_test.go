package s3

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// TestCRC compares CRCs with known answers: "123456789" is the check of the catalogue of
// parametrised CRC algorithms.
func TestCRC(t *testing.T) {
	for kind, want := range map[*crcKind]string{crc64NVMe: "ae8b14860a799888", crc32C: "e3069283", crc32IEEE: "cbf43926"} {
		text := []byte("123456789")
		crc := kind.update(0, text)
		if got := hex.EncodeToString(kind.bytes(crc)); got != want {
			t.Errorf("%s: got %s, want %s", kind.name, got, want)
		}
		for cut := range len(text) + 1 {
			if got := kind.join(kind.update(0, text[:cut]), kind.update(0, text[cut:]), int64(len(text)-cut)); got != crc {
				t.Errorf("%s: joined at %d: got %x, want %x", kind.name, cut, got, crc)
			}
		}
	}
}

func TestCRCJoinsZeros(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		a, b := make([]byte, rng.IntN(5000)), bytes.Repeat([]byte{0}, rng.IntN(5000))
		for i := range a {
			a[i] = byte(rng.Uint32())
		}
		for _, kind := range []*crcKind{crc64NVMe, crc32C, crc32IEEE} {
			if got, want := kind.join(kind.update(0, a), kind.update(0, b), int64(len(b))), kind.update(0, append(a[:len(a):len(a)], b...)); got != want {
				t.Errorf("%s of %d and %d bytes: got %x, want %x", kind.name, len(a), len(b), got, want)
			}
		}
	}
}
