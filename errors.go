package s4

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// The kinds of errors, to be told apart with errors.Is.
var (
	ErrExists       error = wire.CodeExists       // the key exists, and keys are immutable
	ErrNotFound     error = wire.CodeNotFound     // no such key, or nothing matched
	ErrBadKey       error = wire.CodeBadKey       // the name is not allowed
	ErrConflict     error = wire.CodeConflict     // the key would be a directory of another key, or the reverse
	ErrWrongCluster error = wire.CodeWrongCluster // the server has another cluster file
	ErrVersion      error = wire.CodeVersion      // the server speaks other protocol versions
	ErrChecksum     error = wire.CodeChecksum     // bytes differ from their checksum
	ErrNoSpace      error = wire.CodeNoSpace      // a disk is full
	ErrStorage      error = wire.CodeStorage      // a disk or file system refused
	ErrTaskFailed   error = wire.CodeTaskFailed   // a command failed
	ErrTimeout      error = wire.CodeTimeout      // the server was silent for too long
	ErrUnavailable  error = wire.CodeUnavailable  // the server cannot be reached, or is stopping
	ErrCanceled     error = wire.CodeCanceled     // the caller or a user has canceled it
	ErrNoJob        error = wire.CodeNoJob        // no such job
	ErrBadRequest   error = wire.CodeBadRequest   // an argument makes no sense

	ErrUnauthenticated error = wire.CodeUnauthenticated // server and client do not have the same secret
)

// hint returns what a user can do about an error of a kind, or "".
func hint(kind error) string {
	switch kind {
	case wire.CodeExists:
		return "keys are immutable: rm it first, or write another"
	case wire.CodeNotFound:
		return "see 's4 ls'"
	case wire.CodeBadKey:
		return "keys are s4://bucket/path/name"
	case wire.CodeConflict:
		return "choose another name"
	case wire.CodeWrongCluster:
		return "use the same cluster file everywhere and restart servers that have another"
	case wire.CodeUnauthenticated:
		return "all servers and clients need the same secret, or none: --secret-file FILE or $S4_SECRET_FILE"
	case wire.CodeVersion, wire.CodeUnsupported:
		return "install the same s4 on both"
	case wire.CodeChecksum:
		return "'s4 verify' tells what is damaged: rm it, and write it again from its source"
	case wire.CodeNoSpace:
		return "remove keys with 's4 rm', or add disk"
	case wire.CodeTimeout:
		return "see 's4 health'"
	case wire.CodeUnavailable, wire.CodeShuttingDown:
		return "is s4-server running there? see 's4 health'"
	case wire.CodeNoJob:
		return "see 's4 jobs'"
	}
	return ""
}

// Error is the error of the methods of Client: the operation, its key and server, and
// what happened.
type Error struct {
	Op     string // the verb: put, get, ls, rm, eval, map, …
	Key    string // key or prefix with its scheme, or empty
	Server string // host:port, or empty if no server was involved
	Kind   error  // ErrExists or another of the kinds above, or one that has no name here
	Text   string // what happened
	Exit   int    // of a failed command: exit code, -1 if a signal ended it
	Signal int    // of a failed command: that signal, or 0
	Stderr string // of a failed command: the end of its standard error
	Err    error  // the cause, or nil
}

// Error returns "op key: what happened on server (what to do)". The output of a failed
// command is in Stderr only.
func (e *Error) Error() string {
	s := e.Op
	if e.Key != "" {
		s += " " + e.Key
	}
	return s + ": " + e.Reason()
}

// Reason is Error without the operation and the key.
func (e *Error) Reason() string {
	hint := hint(e.Kind)
	switch {
	case e.Kind == ErrChecksum && e.Op == "put":
		hint = "the bytes changed on their way: try again"
	case e.Kind == ErrNoSpace && e.Server == "":
		hint = "make room on this machine"
	case e.Kind == ErrConflict && strings.HasPrefix(e.Op, "map"): // of what was made, or is to be
		hint = "leave one of them out, or choose another OUTDIR"
	case errors.Is(e.Err, syscall.EMFILE): // of this process: what a server says has no Err
		hint = "raise 'ulimit -n'"
	case e.Kind == ErrExists && e.Op == "jobs":
		hint = "see 's4 jobs'" // it is no key that exists
	}
	s := e.What()
	if hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

// What returns what happened and on which server. It is Reason without what to do.
func (e *Error) What() string {
	s := e.Text
	if s == "" && e.Kind != nil {
		s = e.Kind.Error()
	}
	if e.Server == "" {
		return s
	}
	if strings.Contains(s, ", ") {
		s += "," // else the server would belong to the last clause: "which is a directory on …"
	}
	return s + " on " + e.Server
}

// KindName returns the name of e's kind as PROTOCOL.md lists it: "no-such-job".
func (e *Error) KindName() string { return e.code().String() }

// code returns e's kind as a code of the protocol.
func (e *Error) code() wire.Code {
	if c, ok := e.Kind.(wire.Code); ok {
		return c
	}
	return wire.CodeInternal
}

// Is makes errors.Is match the kinds of this package, and fs.ErrExist and
// fs.ErrNotExist.
func (e *Error) Is(target error) bool {
	switch target {
	case nil:
		return false
	case e.Kind:
		return true
	case fs.ErrExist:
		return e.Kind == ErrExists
	case fs.ErrNotExist:
		return e.Kind == ErrNotFound
	}
	return target == ErrUnavailable && e.Kind == wire.CodeShuttingDown
}

// As makes errors.As return e as a *wire.Error: a server that drives a job sends it on
// to the job's client.
func (e *Error) As(target any) bool {
	we, ok := target.(**wire.Error)
	if ok {
		*we = e.toWire()
	}
	return ok
}

// toWire returns e as a message of the protocol.
func (e *Error) toWire() *wire.Error {
	return &wire.Error{Code: e.code(), Key: strings.TrimPrefix(e.Key, Scheme), Server: e.Server, Text: e.Text,
		Exit: int32(e.Exit), Signal: byte(e.Signal), Stderr: e.Stderr}
}

// fromWire is the reverse of toWire.
func fromWire(we *wire.Error) *Error {
	e := &Error{Server: we.Server, Kind: we.Code, Text: we.Text, Exit: int(we.Exit), Signal: int(we.Signal), Stderr: we.Stderr}
	if we.Code == wire.CodeCanceled {
		e.Server = "" // a job is canceled everywhere, and which server says so is chance
	}
	if we.Key != "" {
		e.Key = Scheme + we.Key
	}
	return e
}

// Unwrap returns the cause, if it was an error in this process.
func (e *Error) Unwrap() error { return e.Err }

// opError returns err as an *Error of op and key. server is the index of the server that
// was asked, or -1.
func (c *Client) opError(ctx context.Context, op, key string, server int, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		// Whatever err is, it is because the caller has canceled.
		return &Error{Op: op, Key: key, Kind: ErrCanceled, Text: cause.Error(), Err: cause}
	}
	var already *Error
	if errors.As(err, &already) {
		e := *already // which others may have, too
		e.Op, e.Key = cmp.Or(e.Op, op), cmp.Or(e.Key, key)
		return &e
	}
	at := ""
	if server >= 0 {
		at = c.cluster.Servers[server].String()
	}
	e := toError(at, err)
	e.Op = op
	if e.Key == "" {
		e.Key = key
	}
	return e
}

// toError returns err, which came from a server or from the connection to it, as an
// *Error.
func toError(server string, err error) *Error {
	e := &Error{Server: server, Kind: wire.CodeInternal, Text: err.Error(), Err: err}
	var (
		we  *wire.Error
		src *xfer.SourceError
		snk *xfer.SinkError
		ne  net.Error
	)
	switch {
	case errors.As(err, &src):
		e.Server, e.Kind, e.Text, e.Err = "", ErrStorage, src.Error(), src.Err
	case errors.As(err, &snk):
		e.Server, e.Kind, e.Text, e.Err = "", ErrStorage, snk.Error(), snk.Err
		if errors.Is(err, syscall.ENOSPC) {
			e.Kind = ErrNoSpace
		}
	case errors.Is(err, syscall.EMFILE) && errors.As(err, &we): // no connection could be made
		e.Server, e.Kind, e.Text = "", ErrStorage, we.Text
	case errors.As(err, &we):
		e = fromWire(we)
		switch we.Code {
		case wire.CodeBadKey, wire.CodeWrongCluster, wire.CodeUnauthenticated, wire.CodeCanceled:
			e.Server = "" // every server would say so, or the text names it
		default:
			e.Server = cmp.Or(e.Server, server)
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		e.Kind, e.Text = ErrUnavailable, "the connection was lost"
	case errors.As(err, &ne):
		e.Kind = ErrUnavailable
	}
	return e
}

// ErrUsage is the cause of the errors for an argument that was refused before any server
// was asked, such as a key with a bad name.
var ErrUsage = errors.New("a wrong argument")

// usage returns the *Error for an argument that is refused before any server is asked.
func usage(op, key string, err error) error {
	e := &Error{Op: op, Key: key, Kind: ErrBadRequest, Text: err.Error(), Err: ErrUsage}
	var we *wire.Error
	if errors.As(err, &we) {
		e.Kind, e.Text = we.Code, we.Text
	}
	return e
}
