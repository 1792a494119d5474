package s4

import (
	"io"
	"sync/atomic"
)

// countWrite returns w, or one that adds to moved, if that is not nil, what it writes.
func countWrite(w io.Writer, moved *atomic.Int64) io.Writer {
	if moved == nil {
		return w
	}
	return writeFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		moved.Add(int64(n))
		return n, err
	})
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
