package wire

// Verify asks a server to compare its keys with a prefix with their stored checksums.
// The answer is DAMAGED frames, one for each key that differs or has none, and VERIFIED frames, of
// which the last has Last set; or ERROR.
type Verify struct {
	Prefix string // empty for all keys
	Rate   uint64 // how much to read, in bytes a second; 0 for as much as it can
	Remove bool   // the keys that are damaged

	RemoveNoChecksum bool // files that have no checksum
	Glob             bool // Prefix is a pattern of keys
}

// Type implements Message.
func (*Verify) Type() Type { return TypeVerify }

func (m *Verify) append(b []byte) []byte {
	b = append(appendU64(appendString(b, m.Prefix), m.Rate), flag(m.Remove))
	if m.RemoveNoChecksum || m.Glob { // fields that may be missing
		b = append(b, flag(m.RemoveNoChecksum), flag(m.Glob))
	}
	return b
}

func (m *Verify) decode(d *decoder) {
	m.Prefix = d.str(MaxKey, "prefix")
	m.Rate = d.u64("rate")
	m.Remove = d.u8("remove") != 0
	if d.more() {
		m.RemoveNoChecksum = d.u8("remove no checksum") != 0
		m.Glob = d.u8("glob") != 0
	}
}

// Damaged names a key whose bytes are not those that were written, or of which nobody can
// tell.
type Damaged struct {
	Key     string
	Size    uint64 // bytes of its file
	Removed bool
	Text    string // what was found, for people

	NoChecksum bool   // the file has no checksum
	Failed     string // why the key was not removed, though it was to be; else empty
}

// Type implements Message.
func (*Damaged) Type() Type { return TypeDamaged }

func (m *Damaged) append(b []byte) []byte {
	b = append(appendU64(appendString(b, m.Key), m.Size), flag(m.Removed))
	b = appendString(b, cutText(m.Text, MaxErrorText))
	if m.NoChecksum || m.Failed != "" { // fields that may be missing
		b = appendString(append(b, flag(m.NoChecksum)), cutText(m.Failed, MaxErrorText))
	}
	return b
}

func (m *Damaged) decode(d *decoder) {
	m.Key = d.str(MaxKey, "key")
	m.Size = d.u64("size")
	m.Removed = d.u8("removed") != 0
	m.Text = d.str(MaxErrorText, "text")
	if d.more() {
		m.NoChecksum = d.u8("no checksum") != 0
		m.Failed = d.str(MaxErrorText, "failed")
	}
}

// Verified tells how far a VERIFY is.
type Verified struct {
	Keys    uint64 // that were looked at, the damaged ones with them
	Bytes   uint64 // in them
	Damaged uint64 // without those that have no checksum
	Last    bool   // the answer ends here
}

// Type implements Message.
func (*Verified) Type() Type { return TypeVerified }

func (m *Verified) append(b []byte) []byte {
	return append(appendU64(appendU64(appendU64(b, m.Keys), m.Bytes), m.Damaged), flag(m.Last))
}

func (m *Verified) decode(d *decoder) {
	m.Keys = d.u64("keys")
	m.Bytes = d.u64("bytes")
	m.Damaged = d.u64("damaged")
	m.Last = d.u8("last") != 0
}
