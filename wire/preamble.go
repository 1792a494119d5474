package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Version is the protocol version this package speaks.
const Version = 1

// PreambleSize is the length of a preamble in bytes, in both directions.
const PreambleSize = 32

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

// The authentication methods. Their numbers are append-only.
const (
	AuthNone   = 0 // none: whoever can connect may come in
	AuthSecret = 1 // both ends prove that they know the cluster's Secret
)

// Sizes of what AuthSecret adds to the preambles.
const (
	NonceSize   = 32
	ProofSize   = 32                    // of HMAC-SHA256
	ClientExtra = NonceSize             // behind the client's preamble
	ServerExtra = NonceSize + ProofSize // behind the server's
)

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

// Features is a set of what an end can do beyond the first release of its version,
// a bit each. The server answers a client with those that both have.
type Features uint32

// The features. Bits are append-only.
const (
	FeatureRange Features = 1 << 0 // GET takes an offset and a length
	FeatureFlush Features = 1 << 1 // FLUSH
)

// AllFeatures is what this package knows.
const AllFeatures = FeatureRange | FeatureFlush

// String returns the names of the features, with commas between, or "none".
func (f Features) String() string { return bitNames(uint32(f), "range", "flush") }

// Preamble is the first thing each end sends. The client's says what it wants
// and the server's what it is.
type Preamble struct {
	Version     byte // the highest the client speaks; the server: that of the connection
	MinVersion  byte // the lowest the client speaks; the server: the same as Version
	Channel     Channel
	Auth        byte     // authentication method, AuthNone or AuthSecret
	Features    Features // the client: what it can do; the server: what both can
	IOTimeout   uint32   // how long this end waits for a silent peer in mid transfer, in milliseconds; 0 if it does not say
	Fingerprint uint64   // of the cluster file, see the s4 package
	Index       uint32   // the client: the server it means or AnyServer; the server: itself
	Extra       uint16   // bytes that follow the preamble: 0 with AuthNone, else ClientExtra or ServerExtra
}

// Append appends the preamble's PreambleSize bytes to b.
func (p Preamble) Append(b []byte) []byte {
	b = append(b, Magic...)
	b = append(b, p.Version, p.MinVersion, byte(p.Channel), p.Auth)
	b = binary.BigEndian.AppendUint32(b, uint32(p.Features))
	b = binary.BigEndian.AppendUint32(b, p.IOTimeout)
	b = binary.BigEndian.AppendUint64(b, p.Fingerprint)
	b = binary.BigEndian.AppendUint32(b, p.Index)
	return binary.BigEndian.AppendUint32(b, uint32(p.Extra)<<16)
}

// Speaks reports whether p's versions include the one of this package.
func (p Preamble) Speaks() bool { return p.MinVersion <= Version && Version <= p.Version }

// Versions returns the range of versions in words: 1, or 2 to 3.
func (p Preamble) Versions() string {
	if p.MinVersion == p.Version {
		return fmt.Sprint(p.Version)
	}
	return fmt.Sprintf("%d to %d", p.MinVersion, p.Version)
}

// DecodePreamble decodes the PreambleSize bytes of b. It checks the magic and
// the shape; whether versions and fingerprint suit is for the caller to say, in
// words that help. What follows the versions is only looked at if p Speaks this
// one. Errors are *Error of kind CodeBadRequest.
func DecodePreamble(b []byte) (Preamble, error) {
	if len(b) != PreambleSize || string(b[:4]) != Magic {
		return Preamble{}, Errorf(CodeBadRequest, "not an s4 preamble")
	}
	p := Preamble{
		Version:     b[4],
		MinVersion:  b[5],
		Channel:     Channel(b[6]),
		Auth:        b[7],
		Features:    Features(binary.BigEndian.Uint32(b[8:])),
		IOTimeout:   binary.BigEndian.Uint32(b[12:]),
		Fingerprint: binary.BigEndian.Uint64(b[16:]),
		Index:       binary.BigEndian.Uint32(b[24:]),
		Extra:       binary.BigEndian.Uint16(b[28:]),
	}
	reserved := binary.BigEndian.Uint16(b[30:])
	switch {
	case p.MinVersion > p.Version:
		return p, Errorf(CodeBadRequest, "the lowest version %d is over the highest, %d", p.MinVersion, p.Version)
	case !p.Speaks():
		return p, nil
	case p.Channel != ChannelData && p.Channel != ChannelControl:
		return p, Errorf(CodeBadRequest, "unknown channel %d", byte(p.Channel))
	case p.Auth != AuthNone && p.Auth != AuthSecret:
		return p, Errorf(CodeBadRequest, "unknown authentication method %d", p.Auth)
	case p.Auth == AuthNone && p.Extra != 0, p.Auth == AuthSecret && p.Extra != ClientExtra && p.Extra != ServerExtra:
		return p, Errorf(CodeBadRequest, "%d bytes of authentication, which method %d does not have", p.Extra, p.Auth)
	case reserved != 0:
		return p, Errorf(CodeBadRequest, "reserved bytes are %#04x, not 0", reserved)
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
