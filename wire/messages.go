package wire

import "strings"

// Message is the body of a frame that does not hold raw bytes (DATA, STDERR):
// a value that encodes itself. The set is
// closed; Decode makes them.
type Message interface {
	Type() Type
	append(b []byte) []byte
	decode(d *decoder)
}

// New returns an empty message of type t, or nil if frames of that type hold
// raw bytes (DATA, STDERR) or t is unknown.
func New(t Type) Message {
	switch t {
	case TypeError:
		return new(Error)
	case TypeOK, TypePing, TypeAbort, TypeHealth, TypeStart, TypePrepared, TypeCommit:
		return Empty{T: t}
	case TypeFlush:
		return new(Flush)
	case TypePut:
		return new(Put)
	case TypeGet:
		return new(Get)
	case TypePush:
		return new(Push)
	case TypeEval:
		return new(Eval)
	case TypeObject:
		return new(Object)
	case TypeTrailer:
		return new(Trailer)
	case TypeExit:
		return new(Exit)
	case TypeList:
		return new(List)
	case TypeEntries:
		return new(Entries)
	case TypeEnd:
		return new(End)
	case TypeRemove:
		return new(Remove)
	case TypeRemoved:
		return new(Removed)
	case TypeStat:
		return new(Stat)
	case TypeHealthInfo:
		return new(HealthInfo)
	case TypeCount:
		return new(Count)
	case TypeCounts:
		return new(Counts)
	case TypeVerify:
		return new(Verify)
	case TypeDamaged:
		return new(Damaged)
	case TypeVerified:
		return new(Verified)
	case TypeJob:
		return new(Job)
	case TypeReady:
		return new(Ready)
	case TypeProgress:
		return new(Progress)
	case TypeDone:
		return new(Done)
	case TypePrepare:
		return new(Prepare)
	case TypeCommitted:
		return new(Committed)
	case TypeDiscard:
		return new(Discard)
	case TypeTasks:
		return new(Tasks)
	case TypeSettle:
		return new(Settle)
	case TypeSettled:
		return new(Settled)
	case TypeJobs:
		return new(Jobs)
	case TypeJobInfo:
		return new(JobInfo)
	case TypeJobTasks:
		return new(JobTasks)
	case TypeCancel:
		return new(Cancel)
	case TypeSuspend:
		return new(Suspend)
	case TypeAttach:
		return new(Attach)
	case TypeAttached:
		return new(Attached)
	case TypeReset:
		return new(Reset)
	case TypeInputs:
		return new(Inputs)
	case TypeSecrets:
		return new(Secrets)
	case TypeAskSecrets:
		return new(AskSecrets)
	case TypeAsset:
		return new(Asset)
	}
	return nil
}

// Decode decodes the body of a frame of type t. What follows the last field that
// this version knows is ignored. The message does not refer to body afterwards.
// Errors are *Error: CodeUnsupported if t, or an option, is unknown,
// CodeBadRequest or CodeTooLarge.
func Decode(t Type, body []byte) (Message, error) {
	m := New(t)
	switch {
	case m == nil && !t.known():
		return nil, Errorf(CodeUnsupported, "frame type %#02x is not known here", byte(t))
	case m == nil:
		return nil, Errorf(CodeBadRequest, "%s frames hold no message", t)
	}
	d := &decoder{b: body}
	m.decode(d)
	if d.err != nil {
		return nil, Errorf(d.err.Code, "%s: %s", t, d.err.Text)
	}
	return m, nil
}

// Empty is a message without fields; its type says it all.
type Empty struct{ T Type }

// Type implements Message.
func (m Empty) Type() Type           { return m.T }
func (Empty) append(b []byte) []byte { return b }
func (Empty) decode(*decoder)        {}

// Error is the message that takes the place of a reply or ends a stream. It
// is a Go error, too.
type Error struct {
	Code   Code
	Key    string // the key it is about, or empty
	Server string // where it happened, host:port; empty for the server that answers
	Text   string // what happened, for people
	Exit   int32  // of a failed command: its exit code, -1 if a signal ended it
	Signal byte   // of a failed command: the signal that ended it, or 0
	Stderr string // of a failed command: the end of its standard error, any bytes
}

// Type implements Message.
func (*Error) Type() Type { return TypeError }

func (e *Error) append(b []byte) []byte {
	b = append(b, byte(e.Code>>8), byte(e.Code))
	b = appendU32(b, uint32(e.Exit))
	b = append(b, e.Signal)
	b = appendString(b, cutText(e.Key, MaxKey))
	b = appendString(b, cutText(e.Server, MaxKey))
	b = appendString(b, cutText(e.Text, MaxErrorText))
	return appendString(b, cut(e.Stderr, MaxErrorText))
}

func (e *Error) decode(d *decoder) {
	e.Code = Code(d.u16("code"))
	e.Exit = int32(d.u32("exit code"))
	e.Signal = d.u8("signal")
	e.Key = d.str(MaxKey, "key")
	e.Server = d.str(MaxKey, "server")
	e.Text = d.str(MaxErrorText, "text")
	e.Stderr = d.str(MaxErrorText, "stderr")
}

// Flush asks the server to end its answer to an earlier request on the same
// connection early, a GET or LIST. Unless that has ended, ERROR canceled takes
// the place of the rest. Then comes OK, with Flush's own tag.
type Flush struct{ Tag uint16 } // of that request

// Type implements Message.
func (*Flush) Type() Type { return TypeFlush }

func (m *Flush) append(b []byte) []byte { return append(b, byte(m.Tag>>8), byte(m.Tag)) }
func (m *Flush) decode(d *decoder)      { m.Tag = d.u16("tag") }

// cutText is cut at the start of a character.
func cutText(s string, max int) string {
	if len(s) > max {
		return strings.ToValidUTF8(s[:max], "")
	}
	return s
}

// cut returns the first max bytes of s.
func cut(s string, max int) string {
	if len(s) > max {
		return s[:max]
	}
	return s
}
