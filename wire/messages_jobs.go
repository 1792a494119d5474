package wire

// Jobs asks for the jobs a server runs and has run, newest first, or for one
// of them. The answer is JOBINFO frames, then END; or ERROR.
type Jobs struct{ Job uint64 } // 0 for all

// Type implements Message.
func (*Jobs) Type() Type { return TypeJobs }

func (m *Jobs) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *Jobs) decode(d *decoder)      { m.Job = d.u64("job") }

// JobState is how far a server's part of a job is.
type JobState byte

// The states of a job. Committed, failed and canceled are final.
const (
	JobRunning   JobState = 1
	JobPrepared  JobState = 2 // all is staged; COMMIT decides
	JobOrphaned  JobState = 3 // prepared, the client gone; the servers settle it
	JobCommitted JobState = 4
	JobFailed    JobState = 5
	JobCanceled  JobState = 6
	JobSuspended JobState = 7 // it failed or was given up, and what is staged is kept for an ATTACH
	JobWaiting   JobState = 8 // the server was started again, and waits for an ATTACH
)

// String returns the state's name, as PROTOCOL.md lists it.
func (s JobState) String() string {
	return name(byte(s), "running", "prepared", "orphaned", "committed", "failed", "canceled", "suspended", "waiting")
}

// JobInfo is what a server knows of its part of a job.
type JobInfo struct {
	Job      Job
	State    JobState
	Started  int64 // nanoseconds since 1970 UTC
	Ended    int64 // or 0
	Ready    Ready
	Progress Progress
	Keys     uint64 // staged or published here
	Bytes    uint64 // in them
	Why      Error  // it failed, was canceled or suspended; else code 0

	Term     uint64   // see Attach; 0 of a job that does not outlive its connection
	Attached bool     // it has a client
	Missing  uint64   // tasks of lost servers, of which this server knows as the driver
	Without  []uint32 // of the PREPARE that was answered, see Prepare
}

// Type implements Message.
func (*JobInfo) Type() Type { return TypeJobInfo }

func (m *JobInfo) append(b []byte) []byte {
	b = append(m.Job.appendFixed(b), byte(m.State))
	b = appendU64(appendU64(b, uint64(m.Started)), uint64(m.Ended))
	b = m.Progress.append(m.Ready.append(b))
	b = m.Why.append(appendU64(appendU64(b, m.Keys), m.Bytes))
	if m.Term == 0 && m.Job.Batch == 0 && !m.Job.chooses() {
		return b // fields that may be missing
	}
	b = appendU64(appendU64(appendU64(b, m.Job.Wait), m.Job.Driver), m.Term)
	b = appendU32(appendU64(append(b, flag(m.Attached)), m.Missing), m.Job.Batch)
	return m.Job.appendChoice(appendServers(b, m.Without))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func (m *JobInfo) decode(d *decoder) {
	m.Job.decodeFixed(d)
	m.State = JobState(d.u8("state"))
	m.Started = int64(d.u64("started"))
	m.Ended = int64(d.u64("ended"))
	m.Ready.decode(d)
	m.Progress.decode(d)
	m.Keys = d.u64("keys")
	m.Bytes = d.u64("bytes")
	m.Why.decode(d)
	if d.more() {
		m.Job.Wait = d.u64("wait")
		m.Job.Driver = d.u64("driver")
		m.Term = d.u64("term")
		m.Attached = d.u8("attached") != 0
		m.Missing = d.u64("missing")
		m.Job.Batch = d.u32("batch")
		m.Without = d.servers()
		m.Job.decodeChoice(d)
	}
}

// JobTasks asks for the tasks of a job that have ended, in the order they did,
// and after them those that run. The answer is TASKS frames, then END; or ERROR.
type JobTasks struct{ Job uint64 }

// Type implements Message.
func (*JobTasks) Type() Type { return TypeJobTasks }

func (m *JobTasks) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *JobTasks) decode(d *decoder)      { m.Job = d.u64("job") }

// TaskState is how one run of a task ended.
type TaskState byte

// The states of a task.
const (
	TaskDone    TaskState = 1
	TaskFailed  TaskState = 2
	TaskRetried TaskState = 3 // it failed and was run again
	TaskRunning TaskState = 4 // it runs, or its output is on its way: only in the answer to JOBTASKS
	TaskStopped TaskState = 5 // it was stopped when the job was, or the server
)

// String returns the state's name, as PROTOCOL.md lists it.
func (s TaskState) String() string {
	return name(byte(s), "done", "failed", "retried", "running", "stopped")
}

// Runner is what ran the command of a task.
type Runner byte

// The runners.
const (
	RunnerBash Runner = 1
	RunnerExec Runner = 2 // the server started its programs itself: it needs no shell
)

// String returns the runner's name, as PROTOCOL.md lists it; "none" for 0, if the command
// did not run.
func (r Runner) String() string {
	if r == 0 {
		return "none"
	}
	return name(byte(r), "bash", "exec")
}

// Task is one run of a task's command.
type Task struct {
	State    TaskState
	Signal   byte   // what ended the command, or 0
	Code     Code   // why it failed, or 0
	Exit     int32  // exit code, -1 if a signal ended it
	Attempt  uint32 // from 1
	Start    int64  // nanoseconds since 1970 UTC
	Wall     uint64 // nanoseconds
	User     uint64 // CPU time, nanoseconds
	Sys      uint64 // CPU time, nanoseconds
	MaxRSS   uint64 // of the largest process, bytes
	BytesIn  uint64
	BytesOut uint64
	Keys     uint64 // that it wrote
	Key      string // its input; of a merge its output
	Error    string // why it failed, for people
	Stderr   string // the end of its standard error, any bytes
	Inputs   uint64 // fingerprint of its input as the run found it, see PROTOCOL.md; 0 if it did not look
	Runner   Runner // of its command; 0 if that did not run
}

// TaskSize returns how many bytes t takes in a TASKS body.
func (t *Task) TaskSize() int { return taskSize + len(t.Key) + len(t.Error) + len(t.Stderr) }

// taskSize is the length in bytes of a task with empty strings.
const taskSize = 1 + 1 + 2 + 4 + 4 + 8*8 + 3*4 + 8 + 1

// Tasks is a run of tasks.
type Tasks struct{ List []Task }

// Type implements Message.
func (*Tasks) Type() Type { return TypeTasks }

func (m *Tasks) append(b []byte) []byte {
	b = appendU32(b, uint32(len(m.List)))
	for i := range m.List {
		t := &m.List[i]
		b = append(b, byte(t.State), t.Signal, byte(t.Code>>8), byte(t.Code))
		b = appendU32(appendU32(b, uint32(t.Exit)), t.Attempt)
		b = appendU64(appendU64(b, uint64(t.Start)), t.Wall)
		b = appendU64(appendU64(appendU64(b, t.User), t.Sys), t.MaxRSS)
		b = appendU64(appendU64(b, t.BytesIn), t.BytesOut)
		b = appendString(appendU64(b, t.Keys), t.Key)
		b = appendString(appendString(b, cutText(t.Error, MaxErrorText)), cut(t.Stderr, MaxErrorText))
		b = append(appendU64(b, t.Inputs), byte(t.Runner))
	}
	return b
}

func (m *Tasks) decode(d *decoder) {
	n := d.u32("count")
	// Every task takes taskSize bytes or more, so the body bounds the count.
	if d.err == nil && uint64(n) > uint64(len(d.b)/taskSize) {
		d.err = Errorf(CodeBadRequest, "%d tasks in %d bytes", n, len(d.b))
	}
	if d.err != nil {
		return
	}
	m.List = make([]Task, n)
	for i := range m.List {
		t := &m.List[i]
		t.State = TaskState(d.u8("state"))
		t.Signal = d.u8("signal")
		t.Code = Code(d.u16("code"))
		t.Exit = int32(d.u32("exit code"))
		t.Attempt = d.u32("attempt")
		t.Start = int64(d.u64("start"))
		t.Wall = d.u64("wall")
		t.User = d.u64("user")
		t.Sys = d.u64("sys")
		t.MaxRSS = d.u64("max rss")
		t.BytesIn = d.u64("bytes in")
		t.BytesOut = d.u64("bytes out")
		t.Keys = d.u64("keys")
		t.Key = d.str(MaxKey, "key")
		t.Error = d.str(MaxErrorText, "error")
		t.Stderr = d.str(MaxErrorText, "stderr")
		t.Inputs = d.u64("inputs")
		t.Runner = Runner(d.u8("runner"))
	}
}

// Cancel stops a job, whoever started it. The answer is OK, or ERROR: the job
// is not known, or over, or beyond PREPARED. A job that is kept is suspended, unless
// Discard is set, which also removes a suspended one.
type Cancel struct {
	Job     uint64
	Discard bool
}

// Type implements Message.
func (*Cancel) Type() Type { return TypeCancel }

func (m *Cancel) append(b []byte) []byte {
	b = appendU64(b, m.Job)
	if !m.Discard {
		return b // a field that may be missing
	}
	return append(b, 1)
}

func (m *Cancel) decode(d *decoder) {
	m.Job = d.u64("job")
	if d.more() {
		m.Discard = d.u8("discard") != 0
	}
}
