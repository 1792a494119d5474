package wire

// SizeUnknown in Put.Size says that the sender does not know how much comes.
const SizeUnknown = 1<<64 - 1

// Put opens an upload: DATA frames follow, then TRAILER or ABORT. The answer
// is OK or ERROR; an ERROR may come before the stream has ended, which the
// sender then cuts short with ABORT.
type Put struct {
	Size  uint64 // bytes that follow, or SizeUnknown
	Key   string
	Mtime int64 // when they were written, nanoseconds since 1970 UTC; 0 for now
}

// Type implements Message.
func (*Put) Type() Type { return TypePut }

func (m *Put) append(b []byte) []byte {
	b = appendString(appendU64(b, m.Size), m.Key)
	if m.Mtime == 0 {
		return b // a field that may be missing
	}
	return appendU64(b, uint64(m.Mtime))
}

func (m *Put) decode(d *decoder) {
	m.Size = d.u64("size")
	m.Key = d.str(MaxKey, "key")
	if d.more() {
		m.Mtime = int64(d.u64("mtime"))
	}
}

// Push is a Put from one server to another: the output of a task of a job,
// staged until the job commits. It may come again, if its answer was lost: the
// answer is OK then, too.
type Push struct {
	Size   uint64
	Job    uint64
	Key    string
	Source uint32 // the server that sends it
	Epoch  uint64 // of its run of tasks, see Reset; 0 for a job that does not outlive a restart
}

// Type implements Message.
func (*Push) Type() Type { return TypePush }

func (m *Push) append(b []byte) []byte {
	b = appendString(appendU64(appendU64(b, m.Size), m.Job), m.Key)
	if m.Source == 0 && m.Epoch == 0 {
		return b // fields that may be missing
	}
	return appendU64(appendU32(b, m.Source), m.Epoch)
}

func (m *Push) decode(d *decoder) {
	m.Size = d.u64("size")
	m.Job = d.u64("job")
	m.Key = d.str(MaxKey, "key")
	if d.more() {
		m.Source = d.u32("source")
		m.Epoch = d.u64("epoch")
	}
}

// Get asks for a key, or for Length bytes of it from Offset on. The answer is
// OBJECT, DATA frames and TRAILER, or ERROR. Of a range, the trailer has the
// xxh64 of the bytes that were sent.
type Get struct {
	Key    string
	Offset uint64 // of the first byte
	Length uint64 // bytes from there on, fewer if the key ends before; 0 for all
}

// Type implements Message.
func (*Get) Type() Type { return TypeGet }

func (m *Get) append(b []byte) []byte {
	b = appendString(b, m.Key)
	if m.Offset == 0 && m.Length == 0 {
		return b // fields that may be missing
	}
	return appendU64(appendU64(b, m.Offset), m.Length)
}

func (m *Get) decode(d *decoder) {
	m.Key = d.str(MaxKey, "key")
	if d.more() {
		m.Offset = d.u64("offset")
		m.Length = d.u64("length")
	}
}

// Object tells what a key is: the answer to STAT, and the head of the answer
// to GET.
type Object struct {
	Size  uint64
	Mtime int64  // when it was written, nanoseconds since 1970 UTC
	Sum   uint64 // xxh64 of its bytes, as stored when it was written
	Path  string // where they are on its server's disk; only in the answer to STAT with FlagPath
}

// Type implements Message.
func (*Object) Type() Type { return TypeObject }

func (m *Object) append(b []byte) []byte {
	b = appendU64(appendU64(appendU64(b, m.Size), uint64(m.Mtime)), m.Sum)
	if m.Path == "" {
		return b // a field that may be missing
	}
	return appendString(b, m.Path)
}

func (m *Object) decode(d *decoder) {
	m.Size = d.u64("size")
	m.Mtime = int64(d.u64("mtime"))
	m.Sum = d.u64("checksum")
	if d.more() {
		m.Path = d.str(MaxPath, "path")
	}
}

// Trailer ends a stream of DATA frames.
type Trailer struct {
	Length uint64 // plain bytes in the stream
	Sum    uint64 // xxh64 of the plain bytes, seed 0
}

// Type implements Message.
func (*Trailer) Type() Type { return TypeTrailer }

func (m *Trailer) append(b []byte) []byte { return appendU64(appendU64(b, m.Length), m.Sum) }

func (m *Trailer) decode(d *decoder) {
	m.Length = d.u64("length")
	m.Sum = d.u64("checksum")
}

// Eval runs a command with a key as its standard input. The answer is DATA
// and STDERR frames as the command writes, then EXIT; or ERROR.
type Eval struct {
	Key     string
	Command string
}

// Type implements Message.
func (*Eval) Type() Type { return TypeEval }

func (m *Eval) append(b []byte) []byte { return appendString(appendString(b, m.Key), m.Command) }

func (m *Eval) decode(d *decoder) {
	m.Key = d.str(MaxKey, "key")
	m.Command = d.str(MaxCommand, "command")
}

// Exit ends the answer to EVAL.
type Exit struct {
	Code   int32 // exit code, -1 if a signal ended the command
	Signal byte  // that signal, or 0
	Stdout Trailer
	Stderr Trailer
}

// Type implements Message.
func (*Exit) Type() Type { return TypeExit }

func (m *Exit) append(b []byte) []byte {
	b = append(appendU32(b, uint32(m.Code)), m.Signal)
	return m.Stderr.append(m.Stdout.append(b))
}

func (m *Exit) decode(d *decoder) {
	m.Code = int32(d.u32("exit code"))
	m.Signal = d.u8("signal")
	m.Stdout.decode(d)
	m.Stderr.decode(d)
}
