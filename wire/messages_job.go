package wire

import "fmt"

// Verb is what a job does with its input keys.
type Verb byte

// The verbs.
const (
	VerbMap      Verb = 1 // one key to one key
	VerbMapToN   Verb = 2 // one key to any number: the shuffle
	VerbMapFromN Verb = 3 // a group of keys to one: the merge
)

// String returns the verb as the command line spells it.
func (v Verb) String() string {
	switch v {
	case VerbMap:
		return "map"
	case VerbMapToN:
		return "map-to-n"
	case VerbMapFromN:
		return "map-from-n"
	}
	return fmt.Sprintf("verb(%d)", byte(v))
}

// Job submits a job to one server, on a control connection that is the job's
// until it ends: if the connection goes before COMMIT, so does the job. The
// exchange is
//
//	client   JOB      START             PREPARE            COMMIT
//	server      READY       PROGRESS… DONE      PREPARED          COMMITTED
//
// with the client at every bar waiting for all servers, and ERROR in place of
// any answer.
type Job struct {
	ID      uint64 // random, the same on every server
	Verb    Verb
	Indir   string // may hold globs
	Outdir  string
	Command string
}

// Type implements Message.
func (*Job) Type() Type { return TypeJob }

func (m *Job) append(b []byte) []byte {
	b = append(appendU64(b, m.ID), byte(m.Verb))
	return appendString(appendString(appendString(b, m.Indir), m.Outdir), m.Command)
}

func (m *Job) decode(d *decoder) {
	m.ID = d.u64("job")
	m.Verb = Verb(d.u8("verb"))
	m.Indir = d.str(MaxKey, "indir")
	m.Outdir = d.str(MaxKey, "outdir")
	m.Command = d.str(MaxCommand, "command")
}

// Ready answers JOB: the server knows its part and accepts its peers' pushes.
type Ready struct {
	Tasks uint64 // commands to run here
	Bytes uint64 // of input here
}

// Type implements Message.
func (*Ready) Type() Type { return TypeReady }

func (m *Ready) append(b []byte) []byte { return appendU64(appendU64(b, m.Tasks), m.Bytes) }

func (m *Ready) decode(d *decoder) {
	m.Tasks = d.u64("tasks")
	m.Bytes = d.u64("bytes")
}

// Progress tells how far a server is with its part of a job.
type Progress struct {
	Tasks    uint64 // done so far
	BytesIn  uint64 // input of those tasks
	BytesOut uint64 // output of those tasks
	Pushed   uint64 // bytes of it sent to peers
}

// Type implements Message.
func (*Progress) Type() Type { return TypeProgress }

func (m *Progress) append(b []byte) []byte {
	b = appendU64(appendU64(b, m.Tasks), m.BytesIn)
	return appendU64(appendU64(b, m.BytesOut), m.Pushed)
}

func (m *Progress) decode(d *decoder) {
	m.Tasks = d.u64("tasks")
	m.BytesIn = d.u64("bytes in")
	m.BytesOut = d.u64("bytes out")
	m.Pushed = d.u64("bytes pushed")
}

// Done says that every task of this server has succeeded and every output of
// them is staged, here or at a peer.
type Done struct{ Progress }

// Type implements Message.
func (*Done) Type() Type { return TypeDone }

// Committed answers COMMIT: the keys staged on this server are visible.
type Committed struct {
	Keys  uint64
	Bytes uint64
}

// Type implements Message.
func (*Committed) Type() Type { return TypeCommitted }

func (m *Committed) append(b []byte) []byte { return appendU64(appendU64(b, m.Keys), m.Bytes) }

func (m *Committed) decode(d *decoder) {
	m.Keys = d.u64("keys")
	m.Bytes = d.u64("bytes")
}
