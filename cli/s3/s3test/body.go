package s3test

import (
	"errors"
	"io"
)

var errCut = errors.New("s3test: cut")

// brokenBody passes so many bytes of a body. It is used by one goroutine.
type brokenBody struct {
	io.ReadCloser
	left int64
	end  func() // called then, in place of what comes next
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.end()
		return 0, errCut
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// flip changes one bit of the byte at an offset of a body, and calls then.
func flip(body io.ReadCloser, at int64, then func()) io.ReadCloser {
	return &flippedBody{ReadCloser: body, at: at, then: then}
}

type flippedBody struct {
	io.ReadCloser
	at   int64 // from where it is read
	then func()
}

func (b *flippedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if 0 <= b.at && b.at < int64(n) {
		p[b.at] ^= 1
		b.then()
	}
	b.at -= int64(n)
	return n, err
}
