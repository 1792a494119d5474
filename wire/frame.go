package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// HeaderSize is the length of a frame header in bytes.
const HeaderSize = 8

// FlagLZ4 on a DATA frame says that its body is the plain length (4 bytes,
// big-endian) and one lz4 block; on PUT, PUSH and GET it says that DATA frames
// may be such.
const FlagLZ4 = 1

// FlagPackAll on a GET with FlagLZ4 asks for every DATA frame that gets shorter
// to be packed. Without, the server packs what it thinks arrives sooner for it.
const FlagPackAll = 2

// FlagStream on an OBJECT frame says that the object's DATA frames follow it.
const FlagStream = 2

// FlagChecked on any frame but DATA and STDERR says that its last 4 bytes, which
// the body length counts, are the low half of the xxh64 of all before them,
// header included: a bit that flips in a name is found out like one in a key. An
// end that was sent one sends only such frames from then on, and accepts no
// other; who types frames by hand leaves it off.
const FlagChecked = 0x80

// CheckSize is the length of that checksum in bytes.
const CheckSize = 4

// FlagNoVerify on EVAL says that the key need not be compared with its checksum.
const FlagNoVerify = 1

// FlagBash on EVAL says that bash runs the command, also if it needs no shell.
const FlagBash = 2

// FlagRecursive on LIST and REMOVE asks for everything below the prefix.
const FlagRecursive = 1

// FlagChecksums on LIST asks for the checksums of keys, which cost the server several
// system calls for each.
const FlagChecksums = 2

// FlagPath on STAT asks where the key's file is.
const FlagPath = 1

// Type is the kind of a frame. The numbers are append-only.
type Type byte

// Frame types of both channels.
const (
	TypeError Type = 0x01 // in place of any reply or stream
	TypeOK    Type = 0x02 // done, nothing to add
	TypePing  Type = 0x03 // "I am alive"; never answered, skipped wherever it stands
	TypeFlush Type = 0x04 // client: end the answer to an earlier request
)

// Frame types of the data channel.
const (
	TypePut     Type = 0x10 // client: here comes a key
	TypeGet     Type = 0x11 // client: send me a key
	TypePush    Type = 0x12 // peer: here comes a task's output, to be staged
	TypeEval    Type = 0x13 // client: run a command over a key
	TypeObject  Type = 0x14 // server: what a key is; DATA follows on the data channel
	TypeData    Type = 0x15 // object bytes, or a command's standard output
	TypeTrailer Type = 0x16 // end of a stream: length and checksum
	TypeAbort   Type = 0x17 // sender gives the stream up
	TypeStderr  Type = 0x18 // a command's standard error
	TypeExit    Type = 0x19 // end of an eval: exit code and checksums
	TypeAsset   Type = 0x1a // client: here comes a file that goes along with a job
)

// Frame types of the control channel.
const (
	TypeList       Type = 0x20
	TypeEntries    Type = 0x21
	TypeEnd        Type = 0x22
	TypeRemove     Type = 0x23
	TypeRemoved    Type = 0x24
	TypeStat       Type = 0x25
	TypeHealth     Type = 0x26
	TypeHealthInfo Type = 0x27
	TypeCount      Type = 0x28
	TypeCounts     Type = 0x29
	TypeVerify     Type = 0x2a
	TypeDamaged    Type = 0x2b
	TypeVerified   Type = 0x2c
	TypeJob        Type = 0x30
	TypeReady      Type = 0x31
	TypeStart      Type = 0x32
	TypeProgress   Type = 0x33
	TypeDone       Type = 0x34
	TypePrepare    Type = 0x35
	TypePrepared   Type = 0x36
	TypeCommit     Type = 0x37
	TypeCommitted  Type = 0x38
	TypeDiscard    Type = 0x39
	TypeTasks      Type = 0x3a
	TypeSettle     Type = 0x3b
	TypeSettled    Type = 0x3c
	TypeJobs       Type = 0x3d
	TypeJobInfo    Type = 0x3e
	TypeJobTasks   Type = 0x3f
	TypeCancel     Type = 0x40
	TypeSuspend    Type = 0x41
	TypeAttach     Type = 0x42
	TypeAttached   Type = 0x43
	TypeReset      Type = 0x44
	TypeInputs     Type = 0x45
	TypeSecrets    Type = 0x46
	TypeAskSecrets Type = 0x47
)

var typeNames = [...]string{
	TypeError: "ERROR", TypeOK: "OK", TypePing: "PING", TypeFlush: "FLUSH",
	TypePut: "PUT", TypeGet: "GET", TypePush: "PUSH", TypeEval: "EVAL",
	TypeObject: "OBJECT", TypeData: "DATA", TypeTrailer: "TRAILER",
	TypeAbort: "ABORT", TypeStderr: "STDERR", TypeExit: "EXIT",
	TypeList: "LIST", TypeEntries: "ENTRIES", TypeEnd: "END",
	TypeRemove: "REMOVE", TypeRemoved: "REMOVED", TypeStat: "STAT",
	TypeHealth: "HEALTH", TypeHealthInfo: "HEALTHINFO",
	TypeCount: "COUNT", TypeCounts: "COUNTS",
	TypeVerify: "VERIFY", TypeDamaged: "DAMAGED", TypeVerified: "VERIFIED",
	TypeJob: "JOB", TypeReady: "READY", TypeStart: "START",
	TypeProgress: "PROGRESS", TypeDone: "DONE", TypePrepare: "PREPARE",
	TypePrepared: "PREPARED", TypeCommit: "COMMIT", TypeCommitted: "COMMITTED",
	TypeDiscard: "DISCARD", TypeAsset: "ASSET", TypeTasks: "TASKS",
	TypeSettle: "SETTLE", TypeSettled: "SETTLED", TypeJobs: "JOBS",
	TypeJobInfo: "JOBINFO", TypeJobTasks: "JOBTASKS", TypeCancel: "CANCEL",
	TypeSuspend: "SUSPEND", TypeAttach: "ATTACH", TypeAttached: "ATTACHED",
	TypeReset: "RESET", TypeInputs: "INPUTS", TypeSecrets: "SECRETS",
	TypeAskSecrets: "ASKSECRETS",
}

// String returns the type's name as PROTOCOL.md writes it.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("TYPE-%#02x", byte(t))
}

// known reports whether t is a type of this version.
func (t Type) known() bool { return int(t) < len(typeNames) && typeNames[t] != "" }

// limit returns the longest body in bytes a frame of type t may have.
func (t Type) limit() uint32 {
	if t == TypeData || t == TypeStderr {
		return MaxData
	}
	return MaxMessage
}

// Header is the fixed part of a frame.
type Header struct {
	Len   uint32 // body length in bytes
	Type  Type
	Flags byte
	Tag   uint16 // chosen by the asker, repeated in every frame of the answer
}

// Append appends the header's HeaderSize bytes to b.
func (h Header) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, h.Len)
	b = append(b, byte(h.Type), h.Flags)
	return binary.BigEndian.AppendUint16(b, h.Tag)
}

// DecodeHeader decodes the first HeaderSize bytes of b, which must have that
// many. The error, an *Error, says that the body is longer than its type allows
// (CodeTooLarge); one of an unknown type may be as long as a message.
func DecodeHeader(b []byte) (Header, error) {
	_ = b[HeaderSize-1]
	h := Header{
		Len:   binary.BigEndian.Uint32(b),
		Type:  Type(b[4]),
		Flags: b[5],
		Tag:   binary.BigEndian.Uint16(b[6:]),
	}
	if h.Len > h.Type.limit() {
		return h, Errorf(CodeTooLarge, "%s frame of %d bytes, at most %d", h.Type, h.Len, h.Type.limit())
	}
	return h, nil
}

// AppendFrame appends a whole frame, header and body, holding m to b.
func AppendFrame(b []byte, tag uint16, flags byte, m Message) []byte {
	start := len(b)
	b = Header{Type: m.Type(), Flags: flags, Tag: tag}.Append(b)
	b = m.append(b)
	size := len(b) - start - HeaderSize
	if flags&FlagChecked == 0 {
		binary.BigEndian.PutUint32(b[start:], uint32(size))
		return b
	}
	binary.BigEndian.PutUint32(b[start:], uint32(size+CheckSize))
	return binary.BigEndian.AppendUint32(b, uint32(xxhash.Sum64(b[start:])))
}

// OpenBody checks the body of a frame that is not DATA or STDERR against its
// checksum, if it has one, and returns it without. must says that it has to have
// one, because its sender has sent such frames before: or a flipped bit could
// take the check away. The error is a *Error of kind CodeChecksum.
func OpenBody(h Header, body []byte, must bool) ([]byte, error) {
	if h.Flags&FlagChecked == 0 {
		if must {
			return nil, Errorf(CodeChecksum, "a %s frame has no checksum, as those before it had", h.Type)
		}
		return body, nil
	}
	if len(body) < CheckSize {
		return nil, Errorf(CodeChecksum, "%s: no room for its checksum", h.Type)
	}
	text, sum := body[:len(body)-CheckSize], binary.BigEndian.Uint32(body[len(body)-CheckSize:])
	var d xxhash.Digest
	var head [HeaderSize]byte
	d.Reset()
	_, _ = d.Write(h.Append(head[:0]))
	_, _ = d.Write(text)
	if uint32(d.Sum64()) != sum {
		return nil, Errorf(CodeChecksum, "a %s frame was damaged on the way", h.Type)
	}
	return text, nil
}
