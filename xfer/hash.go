package xfer

import (
	"io"

	"github.com/cespare/xxhash/v2"
)

// Hash reads r to its end and returns how many bytes that was and their
// xxh64.
func Hash(r io.Reader) (int64, uint64, error) {
	var digest xxhash.Digest
	digest.Reset()
	var total int64
	err := Copy(r, func(p []byte) error {
		_, _ = digest.Write(p)
		total += int64(len(p))
		return nil
	})
	return total, digest.Sum64(), err
}

// Copy hands r's bytes to f as they come, in a pooled buffer, until r ends.
func Copy(r io.Reader, f func([]byte) error) error {
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		n, err := r.Read(buf.space(ChunkSize))
		if n > 0 {
			if err := f(buf.space(n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
