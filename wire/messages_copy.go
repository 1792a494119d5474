package wire

// Copy asks the server that owns the key Src to make the key Dst of it, here or on the
// server that owns Dst. The answer is COPIED frames, of which the last has Last set; or
// ERROR.
type Copy struct {
	Src string
	Dst string
}

// Type implements Message.
func (*Copy) Type() Type { return TypeCopy }

func (m *Copy) append(b []byte) []byte { return appendString(appendString(b, m.Src), m.Dst) }

func (m *Copy) decode(d *decoder) {
	m.Src = d.str(MaxKey, "source")
	m.Dst = d.str(MaxKey, "destination")
}

// Copied tells how far a COPY is, and of which key it is a copy.
type Copied struct {
	Bytes uint64 // sent so far, or with Last the size of the key
	Mtime int64  // when the bytes were written, nanoseconds since 1970 UTC
	Sum   uint64 // xxh64 of the key, as stored
	Last  bool   // the key is complete: the answer ends here
}

// Type implements Message.
func (*Copied) Type() Type { return TypeCopied }

func (m *Copied) append(b []byte) []byte {
	return append(appendU64(appendU64(appendU64(b, m.Bytes), uint64(m.Mtime)), m.Sum), flag(m.Last))
}

func (m *Copied) decode(d *decoder) {
	m.Bytes = d.u64("bytes")
	m.Mtime = int64(d.u64("mtime"))
	m.Sum = d.u64("checksum")
	m.Last = d.u8("last") != 0
}
