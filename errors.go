package s4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// The kinds of errors a caller may want to tell apart with errors.Is.
var (
	ErrExists       = errors.New("key exists")
	ErrNotFound     = errors.New("not found")
	ErrBadKey       = errors.New("bad key")
	ErrConflict     = errors.New("key is a directory of another key, or the reverse")
	ErrWrongCluster = errors.New("another cluster file")
	ErrVersion      = errors.New("another protocol version")
	ErrChecksum     = errors.New("bytes differ from their checksum")
	ErrNoSpace      = errors.New("disk full")
	ErrTaskFailed   = errors.New("command failed")
	ErrTimeout      = errors.New("peer silent for too long")
	ErrUnavailable  = errors.New("server unavailable")
	ErrCanceled     = errors.New("canceled")
	ErrNoJob        = errors.New("no such job")
)

// kind is what an error code means to a caller and to a person.
func kind(code wire.Code) (hint string, sentinel error) {
	switch code {
	case wire.CodeExists:
		return "keys are immutable: rm it first, or write another", ErrExists
	case wire.CodeNotFound:
		return "see 's4 ls'", ErrNotFound
	case wire.CodeBadKey:
		return "keys are s4://bucket/path/name", ErrBadKey
	case wire.CodeConflict:
		return "choose another name", ErrConflict
	case wire.CodeWrongCluster:
		return "use the same cluster file everywhere and restart servers that have another", ErrWrongCluster
	case wire.CodeVersion:
		return "install the same s4 on both", ErrVersion
	case wire.CodeChecksum:
		return "try again, and if the key itself is damaged, remove it", ErrChecksum
	case wire.CodeNoSpace:
		return "remove keys with 's4 rm', or add disk", ErrNoSpace
	case wire.CodeTaskFailed:
		return "", ErrTaskFailed
	case wire.CodeTimeout:
		return "see 's4 health'", ErrTimeout
	case wire.CodeUnavailable, wire.CodeShuttingDown:
		return "is s4-server running there? see 's4 health'", ErrUnavailable
	case wire.CodeCanceled:
		return "", ErrCanceled
	case wire.CodeNoJob:
		return "see 's4 jobs'", ErrNoJob
	}
	return "", nil
}

// Error is what the methods of Client return: what was done to which key on
// which server, and what happened.
type Error struct {
	Op     string // the verb: put, get, ls, rm, eval, map, …
	Key    string // key or prefix with its scheme, or empty
	Server string // host:port, or empty if no server was involved
	Code   wire.Code
	Text   string // what happened
	Exit   int    // of a failed command: exit code, -1 if a signal ended it
	Signal int    // of a failed command: that signal, or 0
	Stderr string // of a failed command: the end of its standard error
	Err    error  // the cause, or nil
}

// Error returns "op key: what happened on server (what to do)". The output of
// a failed command is not part of it, see Stderr.
func (e *Error) Error() string {
	s := e.Op
	if e.Key != "" {
		s += " " + e.Key
	}
	return s + ": " + e.Reason()
}

// Reason is Error without the operation and the key.
func (e *Error) Reason() string {
	hint, sentinel := kind(e.Code)
	if e.Code == wire.CodeNoSpace && e.Server == "" {
		hint = "make room on this machine"
	}
	s := e.Text
	if s == "" && sentinel != nil {
		s = sentinel.Error()
	}
	if s == "" {
		s = e.Code.String()
	}
	if e.Server != "" {
		s += " on " + e.Server
	}
	if hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

// Is makes errors.Is work with the sentinels of this package.
func (e *Error) Is(target error) bool {
	_, sentinel := kind(e.Code)
	return sentinel != nil && target == sentinel
}

// Unwrap returns the cause, if it was an error of this side.
func (e *Error) Unwrap() error { return e.Err }

// wrap puts err into an *Error. server is the index of the server that was
// asked, or -1.
func (c *Client) wrap(ctx context.Context, op, key string, server int, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		// Whatever broke, it broke because the caller gave up.
		return &Error{Op: op, Key: key, Code: wire.CodeCanceled, Text: cause.Error(), Err: cause}
	}
	var done *Error
	if errors.As(err, &done) {
		if done.Op == "" {
			done.Op = op
		}
		if done.Key == "" {
			done.Key = key
		}
		return done
	}
	e := &Error{Op: op, Key: key}
	if server >= 0 {
		e.Server = c.cluster.Servers[server].String()
	}
	var (
		we  *wire.Error
		src *xfer.SourceError
		snk *xfer.SinkError
		ne  net.Error
	)
	switch {
	case errors.As(err, &src):
		e.Server, e.Code, e.Text, e.Err = "", wire.CodeStorage, src.Error(), src.Err
	case errors.As(err, &snk):
		e.Server, e.Code, e.Text, e.Err = "", wire.CodeStorage, snk.Error(), snk.Err
		if errors.Is(err, syscall.ENOSPC) {
			e.Code = wire.CodeNoSpace
		}
	case errors.As(err, &we):
		e.Code, e.Text, e.Exit, e.Signal, e.Stderr = we.Code, we.Text, int(we.Exit), int(we.Signal), we.Stderr
		if we.Key != "" {
			e.Key = Scheme + we.Key
		}
		if we.Code == wire.CodeBadKey || we.Code == wire.CodeWrongCluster {
			e.Server = "" // the place does not matter, or the text names it
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		e.Code, e.Text, e.Err = wire.CodeUnavailable, "the connection was lost", err
	case errors.As(err, &ne):
		e.Code, e.Text, e.Err = wire.CodeUnavailable, err.Error(), err
	default:
		e.Code, e.Text, e.Err = wire.CodeInternal, err.Error(), err
	}
	return e
}

// usage makes an *Error for an argument that is refused before any server is
// asked.
func usage(op, key string, err error) error {
	var we *wire.Error
	if errors.As(err, &we) {
		return &Error{Op: op, Key: key, Code: we.Code, Text: we.Text}
	}
	return &Error{Op: op, Key: key, Code: wire.CodeBadRequest, Text: fmt.Sprint(err)}
}
