package wire

// Phase is what a server's part of a job waits for, as ATTACHED tells it.
type Phase byte

// The phases.
const (
	PhaseReady     Phase = 1 // START; it has never begun
	PhaseHalted    Phase = 2 // START, which runs the tasks that are missing
	PhaseRunning   Phase = 3 // its tasks, then it sends DONE
	PhaseDone      Phase = 4 // PREPARE
	PhasePrepared  Phase = 5 // COMMIT
	PhaseCommitted Phase = 6 // nothing
)

// String returns the phase's name, as PROTOCOL.md lists it.
func (p Phase) String() string {
	return name(byte(p), "ready", "halted", "running", "done", "prepared", "committed")
}

// Attach makes this control connection that of a job which has lost its own, or
// was suspended. The answer is ATTACHED, or ERROR: exists if the job has another
// client, canceled if it is suspended, unavailable or shutting-down if it is worth to
// try again, no-job if it is not known or over. The job goes on from the phase that
// ATTACHED tells.
//
// A server grants it if Term is higher than the job's, and Driver is that of the
// job's client, or the job has no client. A suspended job takes Again. From then on
// nothing counts that comes on the connection the job had before. The term of JOB
// is 1. A client that tries again takes the next one, and so does one that takes over;
// one that resumes a suspended job takes the first of the next generation, which the
// others never reach: see NextGeneration.
type Attach struct {
	Job     uint64
	Term    uint64
	Driver  uint64    // random, one for each client of the job
	Seen    uint64    // tasks in the TASKS frames that this client had from the server
	Again   bool      // also if it is suspended; tasks that failed for good run again
	Options JobOption // in place of those of JOB, as is all that follows
	Retries uint32
	Timeout uint64
	Wait    uint64
}

// NextGeneration returns the first term above all that clients can have tried which
// know of none but term.
func NextGeneration(term uint64) uint64 { return (term>>32 + 1) << 32 }

// Change returns the job with what ATTACH replaces.
func (m *Attach) Change(j Job) Job {
	j.Options = m.Options&^jobNature | j.Options&jobNature
	j.Retries, j.Timeout, j.Wait = m.Retries, m.Timeout, m.Wait
	return j
}

// Type implements Message.
func (*Attach) Type() Type { return TypeAttach }

func (m *Attach) append(b []byte) []byte {
	b = appendU64(appendU64(appendU64(appendU64(b, m.Job), m.Term), m.Driver), m.Seen)
	b = appendU32(appendU32(append(b, flag(m.Again)), uint32(m.Options)), m.Retries)
	return appendU64(appendU64(b, m.Timeout), m.Wait)
}

func (m *Attach) decode(d *decoder) {
	m.Job = d.u64("job")
	m.Term = d.u64("term")
	m.Driver = d.u64("driver")
	m.Seen = d.u64("tasks seen")
	m.Again = d.u8("again") != 0
	m.Options = d.jobOptions()
	m.Retries = d.u32("retries")
	m.Timeout = d.u64("timeout")
	m.Wait = d.u64("wait")
}

// jobOptions decodes the options of a job.
func (d *decoder) jobOptions() JobOption {
	o := JobOption(d.u32("options"))
	if o&^jobOptions != 0 && d.err == nil {
		d.err = Errorf(CodeUnsupported, "options %#x are not known here", uint32(o&^jobOptions))
	}
	return o
}

// Attached answers ATTACH.
type Attached struct {
	Phase    Phase
	Ready    Ready
	Progress Progress
	Keys     uint64 // staged or published here
	Bytes    uint64 // in them
	Seen     uint64 // tasks that the client has seen or will not be told of, to count from
}

// Type implements Message.
func (*Attached) Type() Type { return TypeAttached }

func (m *Attached) append(b []byte) []byte {
	b = m.Progress.append(m.Ready.append(append(b, byte(m.Phase))))
	return appendU64(appendU64(appendU64(b, m.Keys), m.Bytes), m.Seen)
}

func (m *Attached) decode(d *decoder) {
	m.Phase = Phase(d.u8("phase"))
	m.Ready.decode(d)
	m.Progress.decode(d)
	m.Keys = d.u64("keys")
	m.Bytes = d.u64("bytes")
	m.Seen = d.u64("tasks seen")
}

// Reset tells a peer that a server runs some of a shuffle's tasks again: what they
// have pushed is removed, and pushes of an epoch before are refused from then on.
// The answer is OK.
type Reset struct {
	Job    uint64
	Source uint32   // the server that runs them
	Epoch  uint64   // of its run of tasks: the term that it runs them for
	Dirs   []string // whose files go: OUTDIR/<the input's relative path>
}

// Type implements Message.
func (*Reset) Type() Type { return TypeReset }

func (m *Reset) append(b []byte) []byte {
	b = appendU64(appendU32(appendU64(b, m.Job), m.Source), m.Epoch)
	return appendDirs(b, m.Dirs)
}

func (m *Reset) decode(d *decoder) {
	m.Job = d.u64("job")
	m.Source = d.u32("source")
	m.Epoch = d.u64("epoch")
	m.Dirs = d.dirs()
}
