package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Version is the protocol version this package speaks.
const Version = 1

// PreambleSize is the length of a preamble in bytes, in both directions.
const PreambleSize = 20

// Magic opens every preamble.
const Magic = "s4wp"

// RefusalPrefix opens the one line of text with which a server refuses a
// connection instead of answering with a preamble. It shares no first four
// bytes with Magic, so a client needs four bytes to know which it got.
const RefusalPrefix = "s4-error "

// MaxRefusal is the longest refusal line in bytes, its newline included.
const MaxRefusal = 1024

// AnyServer in Preamble.Index says that the client does not care which server
// of the cluster it reached.
const AnyServer = 0xffffffff

// AuthNone is the only authentication method of version 1.
const AuthNone = 0

// Channel says what a connection is for.
type Channel byte

// The two channels. Their numbers are the letters d and c so that they can be
// typed, and read in a hex dump.
const (
	ChannelData    Channel = 'd'
	ChannelControl Channel = 'c'
)

// String returns "data" or "control", or the number of an unknown channel.
func (c Channel) String() string {
	switch c {
	case ChannelData:
		return "data"
	case ChannelControl:
		return "control"
	}
	return fmt.Sprintf("channel(%d)", byte(c))
}

// Preamble is the first thing each end sends. The client's says what it wants
// and the server's what it is.
type Preamble struct {
	Version     byte
	Channel     Channel
	Auth        byte   // authentication method, AuthNone
	Fingerprint uint64 // of the cluster file, see the s4 package
	Index       uint32 // the client: the server it means or AnyServer; the server: itself
}

// Append appends the preamble's PreambleSize bytes to b.
func (p Preamble) Append(b []byte) []byte {
	b = append(b, Magic...)
	b = append(b, p.Version, byte(p.Channel), p.Auth, 0)
	b = binary.BigEndian.AppendUint64(b, p.Fingerprint)
	return binary.BigEndian.AppendUint32(b, p.Index)
}

// DecodePreamble decodes the PreambleSize bytes of b. It checks the magic and
// the shape; whether version and fingerprint suit is for the caller to say, in
// words that help. What follows the version is only looked at if that is
// Version. Errors are *Error of kind CodeBadRequest.
func DecodePreamble(b []byte) (Preamble, error) {
	if len(b) != PreambleSize || string(b[:4]) != Magic {
		return Preamble{}, Errorf(CodeBadRequest, "not an s4 preamble")
	}
	p := Preamble{
		Version:     b[4],
		Channel:     Channel(b[5]),
		Auth:        b[6],
		Fingerprint: binary.BigEndian.Uint64(b[8:]),
		Index:       binary.BigEndian.Uint32(b[16:]),
	}
	if p.Version != Version {
		return p, nil
	}
	if p.Channel != ChannelData && p.Channel != ChannelControl {
		return p, Errorf(CodeBadRequest, "unknown channel %d", byte(p.Channel))
	}
	if p.Auth != AuthNone {
		return p, Errorf(CodeBadRequest, "unknown authentication method %d", p.Auth)
	}
	if b[7] != 0 {
		return p, Errorf(CodeBadRequest, "reserved byte is %d, not 0", b[7])
	}
	return p, nil
}

// AppendRefusal appends the line with which a server refuses a connection:
// RefusalPrefix, the code's name, ": ", the reason, newline. The reason is
// cut so that the line has at most MaxRefusal bytes.
func AppendRefusal(b []byte, code Code, reason string) []byte {
	line := RefusalPrefix + code.String() + ": " + strings.ReplaceAll(reason, "\n", " ")
	if len(line) > MaxRefusal-1 {
		line = strings.ToValidUTF8(line[:MaxRefusal-1], "")
	}
	b = append(b, line...)
	return append(b, '\n')
}

// ParseRefusal turns a refusal line, with or without its newline, into the
// error it stands for.
func ParseRefusal(line string) *Error {
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), RefusalPrefix)
	if !ok {
		return Errorf(CodeBadRequest, "the peer does not speak the s4 protocol")
	}
	name, reason, _ := strings.Cut(rest, ": ")
	return &Error{Code: codeByName(name), Text: reason}
}
