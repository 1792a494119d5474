package wire

import (
	"fmt"
	"strconv"
	"strings"
)

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

// name names a number that counts from 1.
func name(n byte, names ...string) string {
	if n == 0 || int(n) > len(names) {
		return strconv.Itoa(int(n))
	}
	return names[n-1]
}

// JobOption changes how a job runs. Options are bits, combined by or.
type JobOption uint32

// The options of a job. Bits are append-only.
const (
	JobKeepGoing JobOption = 1 << 0  // a failed task does not fail the job
	JobResume    JobOption = 1 << 1  // skip tasks whose output exists
	JobReport    JobOption = 1 << 2  // send TASKS of all tasks, not only of failed ones
	JobLZ4       JobOption = 1 << 3  // what is pushed to peers may be packed
	JobDetach    JobOption = 1 << 4  // this server drives the job, as a client would
	JobPackAll   JobOption = 1 << 5  // with JobLZ4: all that gets shorter is packed
	JobNoVerify  JobOption = 1 << 6  // tasks' input is not compared with its checksum
	JobKeep      JobOption = 1 << 7  // a job that fails or loses its client is suspended
	JobDriven    JobOption = 1 << 8  // its client is one of the servers, and any other may take its place
	JobBash      JobOption = 1 << 9  // tasks run with bash, also where they need no shell
	JobManifest  JobOption = 1 << 10 // it reads no keys: INPUTS has its tasks
	JobSecrets   JobOption = 1 << 11 // its tasks have variables that come in SECRETS
	JobKeys      JobOption = 1 << 12 // INPUTS has the keys that it reads
	JobNoGlob    JobOption = 1 << 13 // an indir is a directory's name as it stands

	jobOptions = JobKeepGoing | JobResume | JobReport | JobLZ4 | JobDetach | JobPackAll | JobNoVerify | JobKeep | JobDriven | JobBash | JobManifest | JobSecrets | JobKeys | JobNoGlob

	// jobNature are the options that say what a job is, which stay what they were.
	jobNature = JobManifest | JobSecrets | JobKeys | JobNoGlob
)

// String returns the names of the options, with commas between, or "none".
func (o JobOption) String() string {
	return bitNames(uint32(o), "keep-going", "resume", "report", "lz4", "detach", "pack-all", "no-verify", "keep", "driven", "bash", "manifest", "secrets", "keys", "no-glob")
}

// bitNames names the bits that are set, from the lowest on.
func bitNames(bits uint32, names ...string) string {
	var list []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	if rest := bits >> len(names) << len(names); rest != 0 {
		list = append(list, fmt.Sprintf("%#x", rest))
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ",")
}

// Job submits a job to one server, on a control connection that is the job's
// until it ends: if the connection goes before PREPARED, so does the job, unless
// it has a Wait, see Attach. The exchange is
//
//	client   JOB      START                     PREPARE            COMMIT
//	server      READY       PROGRESS… TASKS… DONE      PREPARED          COMMITTED
//
// with the client at every bar waiting for all servers, and ERROR in place of
// any answer. With JobDetach it goes to one server, which is the client of the
// others: that one answers READY with the sums of all, and START with OK.
type Job struct {
	ID      uint64 // random, the same on every server
	Verb    Verb
	Options JobOption
	Retries uint32 // how often a task that failed is run again
	Timeout uint64 // how long a task may run, nanoseconds; 0 for ever
	OKExit  string // exit codes, one a byte, beside 0, with which a task has not failed
	Indir   string // may hold globs; empty with JobManifest
	Outdir  string // empty if its tasks write no keys: map only
	Command string
	Wait    uint64 // how long the job outlives a lost connection, nanoseconds; 0: it does not
	Driver  uint64 // see Attach; 0 if there is no Wait
	Batch   uint32 // how many tasks of a map one command may do; 0: it does one, in the plain way

	// What of the input is meant.
	Rules string   // which keys, by their paths below an indir: see PROTOCOL.md; empty for all
	More  []string // further indirs
}

// Indirs returns all directories of input, without their scheme; none for a manifest.
func (m *Job) Indirs() []string {
	if m.Indir == "" {
		return nil
	}
	return append([]string{m.Indir}, m.More...)
}

// Output returns the key that a task of that name writes, or, if it writes none, what the
// task is called in place of it.
func (m *Job) Output(name string) string {
	if m.Outdir == "" {
		return name
	}
	return m.Outdir + "/" + name
}

// Durable reports whether the job outlives a restart of a server.
func (m *Job) Durable() bool { return m.Wait > 0 || m.Options&JobKeep != 0 }

// Type implements Message.
func (*Job) Type() Type { return TypeJob }

func (m *Job) append(b []byte) []byte {
	b = m.appendFixed(b)
	if m.Wait == 0 && m.Driver == 0 && m.Batch == 0 && !m.chooses() {
		return b // fields that may be missing
	}
	return m.appendChoice(appendU32(appendU64(appendU64(b, m.Wait), m.Driver), m.Batch))
}

// chooses reports whether the fields that appendChoice may leave out are there.
func (m *Job) chooses() bool { return m.Rules != "" || len(m.More) > 0 }

func (m *Job) appendChoice(b []byte) []byte {
	if !m.chooses() {
		return b // fields that may be missing
	}
	return appendDirs(appendString(b, m.Rules), m.More)
}

func (m *Job) decodeChoice(d *decoder) {
	if !d.more() {
		return
	}
	m.Rules = d.str(MaxRules, "rules")
	if m.More = d.dirs(); len(m.More) >= MaxIndirs {
		d.err = Errorf(CodeTooLarge, "%d directories of input, at most %d", len(m.More)+1, MaxIndirs)
	}
	if len(m.More) == 0 {
		m.More = nil
	}
}

func (m *Job) decode(d *decoder) {
	m.decodeFixed(d)
	if d.more() {
		m.Wait = d.u64("wait")
		m.Driver = d.u64("driver")
		m.Batch = d.u32("batch")
		m.decodeChoice(d)
	}
}

func (m *Job) appendFixed(b []byte) []byte {
	b = append(appendU64(b, m.ID), byte(m.Verb))
	b = appendU32(appendU32(b, uint32(m.Options)), m.Retries)
	b = appendString(appendU64(b, m.Timeout), m.OKExit)
	return appendString(appendString(appendString(b, m.Indir), m.Outdir), m.Command)
}

func (m *Job) decodeFixed(d *decoder) {
	m.ID = d.u64("job")
	m.Verb = Verb(d.u8("verb"))
	m.Options = d.jobOptions()
	m.Retries = d.u32("retries")
	m.Timeout = d.u64("timeout")
	m.OKExit = d.str(MaxOKExit, "exit codes")
	m.Indir = d.str(MaxKey, "indir")
	m.Outdir = d.str(MaxKey, "outdir")
	m.Command = d.str(MaxCommand, "command")
}

// Ready answers JOB: the server knows its part and accepts its peers' pushes.
type Ready struct {
	Tasks   uint64 // commands to run here
	Bytes   uint64 // of input here
	Keys    uint64 // of input here
	Skipped uint64 // tasks left out because their output exists: JobResume
}

// Type implements Message.
func (*Ready) Type() Type { return TypeReady }

func (m *Ready) append(b []byte) []byte {
	b = appendU64(appendU64(b, m.Tasks), m.Bytes)
	return appendU64(appendU64(b, m.Keys), m.Skipped)
}

func (m *Ready) decode(d *decoder) {
	m.Tasks = d.u64("tasks")
	m.Bytes = d.u64("bytes")
	m.Keys = d.u64("keys")
	m.Skipped = d.u64("skipped")
}

// Progress tells how far a server is with its part of a job.
type Progress struct {
	Tasks    uint64 // ended well so far
	Failed   uint64 // ended badly, for good
	Running  uint64 // tasks running now
	BytesIn  uint64 // input of the tasks that ended
	BytesOut uint64 // output of the tasks that ended well
	Pushed   uint64 // bytes of it sent to peers
}

// Type implements Message.
func (*Progress) Type() Type { return TypeProgress }

func (m *Progress) append(b []byte) []byte {
	b = appendU64(appendU64(appendU64(b, m.Tasks), m.Failed), m.Running)
	b = appendU64(appendU64(b, m.BytesIn), m.BytesOut)
	return appendU64(b, m.Pushed)
}

func (m *Progress) decode(d *decoder) {
	m.Tasks = d.u64("tasks")
	m.Failed = d.u64("failed")
	m.Running = d.u64("running")
	m.BytesIn = d.u64("bytes in")
	m.BytesOut = d.u64("bytes out")
	m.Pushed = d.u64("bytes pushed")
}

// Done says that every task of this server has succeeded and every output of
// them is staged, here or at a peer.
type Done struct{ Progress }

// Type implements Message.
func (*Done) Type() Type { return TypeDone }

// Prepare asks for the promise to publish. The answer is PREPARED.
type Prepare struct {
	// Without lists the servers that have no part in the job any more: they were lost
	// before they had prepared it, and JobKeepGoing is set. Nobody waits for their
	// verdicts.
	Without []uint32
}

// Type implements Message.
func (*Prepare) Type() Type { return TypePrepare }

func (m *Prepare) append(b []byte) []byte {
	if len(m.Without) == 0 {
		return b // a field that may be missing
	}
	return appendServers(b, m.Without)
}

// appendServers appends a list of servers.
func appendServers(b []byte, list []uint32) []byte {
	b = appendU32(b, uint32(len(list)))
	for _, server := range list {
		b = appendU32(b, server)
	}
	return b
}

func (m *Prepare) decode(d *decoder) {
	if d.more() {
		m.Without = d.servers()
	}
}

// servers is the reverse of appendServers.
func (d *decoder) servers() (list []uint32) {
	n := d.u32("count")
	if d.err == nil && uint64(n) > uint64(len(d.b)/4) {
		d.err = Errorf(CodeBadRequest, "%d servers in %d bytes", n, len(d.b))
	}
	for i := uint32(0); i < n && d.err == nil; i++ {
		list = append(list, d.u32("server"))
	}
	return list
}

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

// Discard gives a job up. The answer is OK.
type Discard struct{ Why Error } // code 0 if the client does not say

// Type implements Message.
func (*Discard) Type() Type { return TypeDiscard }

func (m *Discard) append(b []byte) []byte { return m.Why.append(b) }
func (m *Discard) decode(d *decoder)      { m.Why.decode(d) }

// Suspend is Discard of a job whose staged output is kept: JobKeep. The answer is OK.
type Suspend struct{ Why Error } // code 0 if the client does not say

// Type implements Message.
func (*Suspend) Type() Type { return TypeSuspend }

func (m *Suspend) append(b []byte) []byte { return m.Why.append(b) }
func (m *Suspend) decode(d *decoder)      { m.Why.decode(d) }

// Settle asks a peer what became of a job, on behalf of a server whose client
// is gone. The answer is SETTLED. A server that has not prepared the job, or
// does not know it, promises with its answer never to commit it.
type Settle struct{ Job uint64 }

// Type implements Message.
func (*Settle) Type() Type { return TypeSettle }

func (m *Settle) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *Settle) decode(d *decoder)      { m.Job = d.u64("job") }

// Verdict is what a server knows of a job's outcome.
type Verdict byte

// The verdicts.
const (
	VerdictDiscarded Verdict = 1 // it has not committed and never will
	VerdictCommitted Verdict = 2 // it has committed
	VerdictPrepared  Verdict = 3 // it waits for its client
	VerdictOrphaned  Verdict = 4 // it is prepared, its client gone, and asks the others
)

// String returns the verdict's name, as PROTOCOL.md lists it.
func (v Verdict) String() string {
	return name(byte(v), "discarded", "committed", "prepared", "orphaned")
}

// Settled answers SETTLE.
type Settled struct{ Verdict Verdict }

// Type implements Message.
func (*Settled) Type() Type { return TypeSettled }

func (m *Settled) append(b []byte) []byte { return append(b, byte(m.Verdict)) }
func (m *Settled) decode(d *decoder)      { m.Verdict = Verdict(d.u8("verdict")) }

// Asset opens the upload of a file that goes along with a job, on the data
// channel between JOB and START: DATA frames follow, then TRAILER or ABORT.
// The answer is OK or ERROR.
type Asset struct {
	Size uint64 // bytes that follow
	Job  uint64
	Exec byte   // 1 if it is a program, else 0
	Name string // one path segment
}

// Type implements Message.
func (*Asset) Type() Type { return TypeAsset }

func (m *Asset) append(b []byte) []byte {
	return appendString(append(appendU64(appendU64(b, m.Size), m.Job), m.Exec), m.Name)
}

func (m *Asset) decode(d *decoder) {
	m.Size = d.u64("size")
	m.Job = d.u64("job")
	m.Exec = d.u8("exec")
	m.Name = d.str(MaxName, "name")
}
