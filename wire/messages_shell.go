package wire

// Shell asks for a shell on the key's server, or with FlagRun for a run of a job's
// command. The answer is OK, or ERROR. Then the client sends what is typed and the server
// what is on the screen, until the end, which is that of the connection:
//
//	client   SHELL      (DATA | WINDOW)*          TRAILER
//	server         OK   (DATA | STDERR | TAKEN)*           EXIT    or ERROR
//
// Either end sends PINGs.
type Shell struct {
	Key     string // $S4_KEY and $S4_FILE; empty for a shell without
	Job     uint64 // whose environment it has, of the task that Key names; 0 for none
	Term    string // $TERM of the terminal; empty for none
	Columns uint16 // of the terminal
	Rows    uint16
}

// Type implements Message.
func (*Shell) Type() Type { return TypeShell }

func (m *Shell) append(b []byte) []byte {
	b = appendString(appendU64(appendString(b, m.Key), m.Job), m.Term)
	return appendU16(appendU16(b, m.Columns), m.Rows)
}

func (m *Shell) decode(d *decoder) {
	m.Key = d.str(MaxKey, "key")
	m.Job = d.u64("job")
	m.Term = d.str(MaxName, "term")
	m.Columns = d.u16("columns")
	m.Rows = d.u16("rows")
}

// Window says that the size of a shell's terminal has changed, in characters.
type Window struct {
	Columns uint16
	Rows    uint16
}

// Type implements Message.
func (*Window) Type() Type { return TypeWindow }

func (m *Window) append(b []byte) []byte { return appendU16(appendU16(b, m.Columns), m.Rows) }

func (m *Window) decode(d *decoder) {
	m.Columns = d.u16("columns")
	m.Rows = d.u16("rows")
}

// Taken says how many bytes of a shell's input were read by it so far, or wait in its
// terminal or pipe. A client has sent at most MaxAhead more.
type Taken struct{ Bytes uint64 }

// Type implements Message.
func (*Taken) Type() Type { return TypeTaken }

func (m *Taken) append(b []byte) []byte { return appendU64(b, m.Bytes) }
func (m *Taken) decode(d *decoder)      { m.Bytes = d.u64("bytes") }
