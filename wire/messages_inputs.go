package wire

// Inputs is a part of the tasks of a job with JobManifest, which reads no keys, or of the
// keys that one with JobKeys reads. They follow JOB on the job's connection, before READY, as many as it takes. Each server
// gets its own tasks only, and with JobDetach the one server gets all. There is no
// answer but that to JOB. Outside of a job they are dropped: they may be on their way
// when the job is refused.
type Inputs struct {
	Last bool // no more follow
	List []Input
}

// Input is one task of a manifest, or one key, of which it has the path below indir and
// nothing else. They come in the order of their names, as bytes, over
// all frames, so that none can come twice.
type Input struct {
	Size   uint64 // bytes that it stands for: of READY and PROGRESS
	Name   string // of its output below the job's outdir
	Record string // its standard input, any bytes
}

// inputSize is the length in bytes of an Input with empty strings.
const inputSize = 8 + 2*4

// InputSize returns how many bytes t takes in an INPUTS body.
func (t *Input) InputSize() int { return inputSize + len(t.Name) + len(t.Record) }

// Type implements Message.
func (*Inputs) Type() Type { return TypeInputs }

func (m *Inputs) append(b []byte) []byte {
	b = appendU32(append(b, flag(m.Last)), uint32(len(m.List)))
	for i := range m.List {
		t := &m.List[i]
		b = appendString(appendString(appendU64(b, t.Size), t.Name), t.Record)
	}
	return b
}

func (m *Inputs) decode(d *decoder) {
	m.Last = d.u8("last") != 0
	n := d.u32("count")
	if d.err == nil && uint64(n) > uint64(len(d.b)/inputSize) {
		d.err = Errorf(CodeBadRequest, "%d tasks in %d bytes", n, len(d.b))
	}
	if d.err != nil || n == 0 {
		return
	}
	m.List = make([]Input, n)
	for i := range m.List {
		t := &m.List[i]
		t.Size = d.u64("size")
		t.Name = d.str(MaxKey, "name")
		t.Record = d.str(MaxRecord, "record")
	}
}

// Secrets are the variables of a job with JobSecrets, for the memory of servers only.
// They come on the job's connection, before START, also before the START that follows an
// ATTACH: a server that was started again has forgotten them. There is no answer.
type Secrets struct {
	Salt string // SaltSize random bytes, or empty: Text is not sealed
	Text string // see JoinVariables; sealed by Secret.Seal
}

// Type implements Message.
func (*Secrets) Type() Type { return TypeSecrets }

func (m *Secrets) append(b []byte) []byte { return appendString(appendString(b, m.Salt), m.Text) }

func (m *Secrets) decode(d *decoder) {
	m.Salt = d.str(SaltSize, "salt")
	m.Text = d.str(MaxSecrets+SealExtra, "text")
}

// AskSecrets asks a server for the SECRETS that it has got for a job, on behalf of one that
// takes the job over. The answer is SECRETS, or ERROR no-job if it has none.
type AskSecrets struct{ Job uint64 }

// Type implements Message.
func (*AskSecrets) Type() Type { return TypeAskSecrets }

func (m *AskSecrets) append(b []byte) []byte { return appendU64(b, m.Job) }
func (m *AskSecrets) decode(d *decoder)      { m.Job = d.u64("job") }

// String says nothing of the variables.
func (m *Secrets) String() string {
	if m.Salt == "" {
		return "secrets"
	}
	return "sealed secrets"
}

// GoString is String, for %#v.
func (m *Secrets) GoString() string { return m.String() }
