package partition

import "io"

// A read is as large as a read of a pipe or file can profit from, and there
// are enough buffers to read while a slow write is under way.
const (
	readSize    = 256 << 10
	readBuffers = 3
)

// chunk is what one read returned.
type chunk struct {
	data []byte // of one of the buffers, to be given back
	err  error
}

// ahead reads in a goroutine of its own, so that a Read that blocks can be
// abandoned.
type ahead struct {
	full chan chunk
	free chan []byte
}

func newAhead() *ahead {
	a := &ahead{full: make(chan chunk, readBuffers), free: make(chan []byte, readBuffers)}
	for range readBuffers {
		a.free <- make([]byte, readSize)
	}
	return a
}

// run reads until the end, an error, or until free is closed.
func (a *ahead) run(in io.Reader) {
	for buf := range a.free {
		n, err := in.Read(buf)
		a.full <- chunk{buf[:n], err} // never blocks: there is room for all buffers
		if err != nil {
			return
		}
	}
}

// release gives a chunk's buffer back.
func (a *ahead) release(c chunk) { a.free <- c.data[:readSize] }
