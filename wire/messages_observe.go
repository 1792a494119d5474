package wire

// Load is what a server does and has at one moment, the end of HEALTHINFO.
type Load struct {
	Slots        uint32 // how many tasks may run at once; 0 in a Load that was not sent
	Running      uint32 // tasks and evals that hold a slot
	Waiting      uint64 // tasks of running jobs that have not begun
	Transfers    uint32 // tasks that push output to other servers now
	MaxTransfers uint32 // how many may at once
	Received     uint64 // object bytes since the server was started
	Sent         uint64 // object bytes since the server was started
	Average      uint32 // of the machine's load over one minute, in hundredths: see proc_loadavg(5)
	Available    uint64 // bytes of the machine's memory that programs can have: MemAvailable in proc_meminfo(5)
	Memory       uint64 // bytes of memory that the machine has, 0 if it did not say
}

// loadSize is the length in bytes of an encoded Load.
const loadSize = 4 + 4 + 8 + 4 + 4 + 8 + 8 + 4 + 8 + 8

func (l *Load) append(b []byte) []byte {
	b = appendU64(appendU32(appendU32(b, l.Slots), l.Running), l.Waiting)
	b = appendU32(appendU32(b, l.Transfers), l.MaxTransfers)
	b = appendU64(appendU64(b, l.Received), l.Sent)
	return appendU64(appendU64(appendU32(b, l.Average), l.Available), l.Memory)
}

func (l *Load) decode(d *decoder) {
	l.Slots = d.u32("slots")
	l.Running = d.u32("running")
	l.Waiting = d.u64("waiting")
	l.Transfers = d.u32("transfers")
	l.MaxTransfers = d.u32("transfers at most")
	l.Received = d.u64("received")
	l.Sent = d.u64("sent")
	l.Average = d.u32("average")
	l.Available = d.u64("available")
	l.Memory = d.u64("memory")
}

// JobTraffic asks what a server has pushed to the others for a job. The answer is
// TRAFFIC or ERROR.
type JobTraffic struct{ Job uint64 }

// Type implements Message.
func (*JobTraffic) Type() Type { return TypeJobTraffic }

func (m *JobTraffic) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *JobTraffic) decode(d *decoder)      { m.Job = d.u64("job") }

// Pushed is what a server has pushed to one server for a job.
type Pushed struct {
	Server uint32 // index of the other, or its own for what stayed
	Files  uint64
	Bytes  uint64
}

// pushedSize is the length in bytes of an encoded Pushed.
const pushedSize = 4 + 8 + 8

// Traffic answers JOBTRAFFIC, by the index of the server. Servers that got nothing are
// left out.
type Traffic struct{ List []Pushed }

// Type implements Message.
func (*Traffic) Type() Type { return TypeTraffic }

func (m *Traffic) append(b []byte) []byte {
	b = appendU32(b, uint32(len(m.List)))
	for _, p := range m.List {
		b = appendU64(appendU64(appendU32(b, p.Server), p.Files), p.Bytes)
	}
	return b
}

func (m *Traffic) decode(d *decoder) {
	n := d.u32("count")
	if d.err == nil && uint64(n) > uint64(len(d.b)/pushedSize) { // the body bounds the count
		d.err = Errorf(CodeBadRequest, "%d servers in %d bytes", n, len(d.b))
	}
	if d.err != nil {
		return
	}
	m.List = make([]Pushed, n)
	for i := range m.List {
		p := &m.List[i]
		p.Server = d.u32("server")
		p.Files = d.u64("files")
		p.Bytes = d.u64("bytes")
	}
}

// Running asks for the tasks of a job that run now. The answer is TASKS frames, the task
// that has run longest first, then END; or ERROR.
type Running struct{ Job uint64 }

// Type implements Message.
func (*Running) Type() Type { return TypeRunning }

func (m *Running) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *Running) decode(d *decoder)      { m.Job = d.u64("job") }
