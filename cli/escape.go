package cli

import (
	"errors"
	"io"
)

// errEscaped is the end that a user has made of a shell by Enter ~ .
var errEscaped = errors.New("disconnected, and the shell is ended")

// escapes is a reader of what is typed into a shell. As with ssh, at the beginning of a
// line ~. makes Read return errEscaped, and ~~ is one ~.
type escapes struct {
	r     io.Reader
	state escapeState
	err   error // is returned after what is left of an earlier Read
}

type escapeState byte

const (
	lineBegins escapeState = iota
	tildeTyped             // and not passed on yet
	inLine
)

// Read returns at least a byte, or an error.
func (e *escapes) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer // a tilde that was kept may come with the next byte
	}
	for e.err == nil {
		n, err := e.r.Read(p[:len(p)-1])
		e.err = err
		if n = e.filter(p, n); n > 0 {
			return n, nil
		}
	}
	return 0, e.err
}

// filter takes the escapes out of the first n bytes of p, which has room for one more.
func (e *escapes) filter(p []byte, n int) int {
	typed := append([]byte(nil), p[:n]...)
	out := p[:0]
	for _, c := range typed {
		switch {
		case e.state == lineBegins && c == '~':
			e.state = tildeTyped
			continue
		case e.state == tildeTyped && c == '.':
			e.err = errEscaped
			return len(out)
		case e.state == tildeTyped && c != '~':
			out = append(out, '~')
		}
		out = append(out, c)
		e.state = inLine
		if c == '\r' || c == '\n' {
			e.state = lineBegins
		}
	}
	return len(out)
}
