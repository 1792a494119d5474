package wire

import (
	"fmt"
	"strings"
)

// Code is the kind of an error as it crosses the wire. It is a Go error, so that
// errors.Is(err, wire.CodeExists) tells what an *Error is about. The numbers
// are append-only: a number, once given, never means anything else.
type Code uint16

// The error codes.
const (
	CodeInternal     Code = 1  // the server failed in a way it has no name for
	CodeBadRequest   Code = 2  // a frame or message that breaks the protocol
	CodeBadKey       Code = 3  // a name that is not allowed
	CodeExists       Code = 4  // the key exists, and keys are immutable
	CodeNotFound     Code = 5  // no such key, or nothing matched
	CodeConflict     Code = 6  // the key would be a directory of another key, or the reverse
	CodeWrongCluster Code = 7  // the two ends have different cluster files
	CodeVersion      Code = 8  // the two ends speak different protocol versions
	CodeWrongServer  Code = 9  // another server of the cluster is meant
	CodeChecksum     Code = 10 // bytes differ from their checksum
	CodeNoSpace      Code = 11 // the disk is full
	CodeTooLarge     Code = 12 // a length over its limit
	CodeTaskFailed   Code = 13 // a command failed
	CodeCanceled     Code = 14 // given up on purpose
	CodeTimeout      Code = 15 // silent for too long
	CodeShuttingDown Code = 16 // the server is stopping
	CodeStorage      Code = 17 // the disk or file system refused: read-only, no permission, I/O error
	CodeNoJob        Code = 18 // no such job here
	CodeUnavailable  Code = 19 // a server cannot be reached
	CodeUnsupported  Code = 20 // a request, or an option of one, that this version does not know

	CodeUnauthenticated Code = 21 // one end has no secret, or another than the other end
)

var codeNames = [...]string{
	CodeInternal:     "internal",
	CodeBadRequest:   "bad-request",
	CodeBadKey:       "bad-key",
	CodeExists:       "exists",
	CodeNotFound:     "not-found",
	CodeConflict:     "conflict",
	CodeWrongCluster: "wrong-cluster",
	CodeVersion:      "wrong-version",
	CodeWrongServer:  "wrong-server",
	CodeChecksum:     "checksum",
	CodeNoSpace:      "no-space",
	CodeTooLarge:     "too-large",
	CodeTaskFailed:   "task-failed",
	CodeCanceled:     "canceled",
	CodeTimeout:      "timeout",
	CodeShuttingDown: "shutting-down",
	CodeStorage:      "storage",
	CodeNoJob:        "no-such-job",
	CodeUnavailable:  "unavailable",
	CodeUnsupported:  "unsupported",

	CodeUnauthenticated: "unauthenticated",
}

// String returns the code's name, as PROTOCOL.md lists it.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("code-%d", uint16(c))
}

// Error returns the name in words: "no such job" for no-such-job.
func (c Code) Error() string { return strings.ReplaceAll(c.String(), "-", " ") }

func codeByName(name string) Code {
	for c, n := range codeNames {
		if n == name && n != "" {
			return Code(c)
		}
	}
	return CodeInternal
}

// Errorf returns an error of the given code with a formatted text.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Is reports whether target is e's code, for errors.Is.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Error implements the error interface: the code's name and the text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Text
}
