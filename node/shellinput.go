package node

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// shellInput is what was typed and not yet taken. It is between the goroutine that reads
// the connection, which must not wait for a program that does not read, and the one that
// writes to the terminal or pipe.
type shellInput struct {
	taken func(total uint64) // is told how much was written
	to    *os.File           // pipe or terminal; nil if no input is taken
	last  []byte             // is written when the client ends the input
	close func()             // is called after that

	mu     sync.Mutex
	cond   sync.Cond // of mu: there is more, or an end
	buf    []byte    // guarded by mu
	ended  bool      // nothing is to come; guarded by mu
	closed bool      // nothing is written any more; guarded by mu
	wg     sync.WaitGroup
}

// start begins to write to to.
func (in *shellInput) start() {
	in.cond.L = &in.mu
	if in.to != nil {
		in.wg.Go(in.write)
	}
}

// add takes more. It does not wait.
func (in *shellInput) add(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return nil // the shell has ended, and the client does not know yet
	case in.to == nil:
		return wire.Errorf(wire.CodeBadRequest, "the job's command has its own input")
	case len(in.buf)+len(p) > wire.MaxAhead:
		return wire.Errorf(wire.CodeTooLarge, "more than %d bytes of input are ahead of the shell", wire.MaxAhead)
	}
	in.buf = append(in.buf, p...)
	in.cond.Signal()
	return nil
}

// end says that no more is to come.
func (in *shellInput) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.cond.Signal()
}

// stop ends the writing, and waits for that. What was not taken is dropped.
func (in *shellInput) stop() {
	in.mu.Lock()
	in.closed, in.buf = true, nil
	in.cond.Signal()
	in.mu.Unlock()
	if in.to != nil {
		_ = in.to.SetWriteDeadline(time.Now()) // fails if it is closed already
	}
	in.wg.Wait()
}

// write writes what is added, until the end or an error: nobody reads any more then.
func (in *shellInput) write() {
	defer in.close()
	var total, told uint64
	for {
		p, err := in.next()
		if err != nil {
			_, _ = in.to.Write(in.last)
			return
		}
		n, err := in.to.Write(p)
		if total += uint64(n); total-told >= wire.MaxAhead/2 {
			told = total
			in.taken(total)
		}
		if err != nil {
			in.mu.Lock()
			in.closed, in.buf = true, nil
			in.mu.Unlock()
			return
		}
	}
}

// next waits for more, and returns a part of it. It returns io.EOF at the end.
func (in *shellInput) next() ([]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.buf) == 0 && !in.ended && !in.closed {
		in.cond.Wait()
	}
	if len(in.buf) == 0 {
		return nil, io.EOF
	}
	p := in.buf
	in.buf = nil
	return p, nil
}
