package wire

// List asks for the keys with a prefix, or, with an empty prefix, for the
// buckets. Without FlagRecursive, keys below a directory are summed up as
// that directory. With FlagChecksums, entries have checksums. The answer is ENTRIES frames, sorted, then END; or ERROR.
type List struct{ Prefix string }

// Type implements Message.
func (*List) Type() Type { return TypeList }

func (m *List) append(b []byte) []byte { return appendString(b, m.Prefix) }
func (m *List) decode(d *decoder)      { m.Prefix = d.str(MaxKey, "prefix") }

// EntryKind says what a listed name is.
type EntryKind byte

// The kinds of entries.
const (
	EntryKey    EntryKind = 1
	EntryDir    EntryKind = 2 // a directory of keys; the name ends in a slash
	EntryBucket EntryKind = 3
)

// String returns the kind's name, as PROTOCOL.md lists it.
func (k EntryKind) String() string { return name(byte(k), "key", "directory", "bucket") }

// Entry is one listed name.
type Entry struct {
	Kind  EntryKind
	Size  uint64 // of a key; else 0
	Mtime int64  // of a key or bucket, nanoseconds since 1970 UTC; else 0
	Name  string // the whole key, directory or bucket, without s4://
	Sum   uint64 // of a key, with FlagChecksums: its xxh64 as stored; 0 if it has none
}

// EntrySize returns how many bytes e takes in an ENTRIES body, with checksums or without.
func (e *Entry) EntrySize(sums bool) int {
	n := 1 + 8 + 8 + 4 + len(e.Name)
	if sums {
		n += 8
	}
	return n
}

// MaxEntries is how many bytes of entries a server gathers in one frame.
const MaxEntries = 64 << 10

// Entries is a run of a listing.
type Entries struct{ List []Entry }

// Type implements Message.
func (*Entries) Type() Type { return TypeEntries }

func (m *Entries) append(b []byte) []byte {
	b = appendU32(b, uint32(len(m.List)))
	for i := range m.List {
		e := &m.List[i]
		b = append(b, byte(e.Kind))
		b = appendU64(appendU64(b, e.Size), uint64(e.Mtime))
		b = appendString(b, e.Name)
	}
	if !m.summed() {
		return b // fields that may be missing
	}
	b = appendU32(b, uint32(len(m.List)))
	for i := range m.List {
		b = appendU64(b, m.List[i].Sum)
	}
	return b
}

// summed reports whether an entry has a checksum.
func (m *Entries) summed() bool {
	for i := range m.List {
		if m.List[i].Sum != 0 {
			return true
		}
	}
	return false
}

func (m *Entries) decode(d *decoder) {
	n := d.u32("count")
	// Every entry takes 21 bytes or more, so the body bounds the count.
	if d.err == nil && uint64(n) > uint64(len(d.b)/21) {
		d.err = Errorf(CodeBadRequest, "%d entries in %d bytes", n, len(d.b))
	}
	if d.err != nil {
		return
	}
	m.List = make([]Entry, n)
	for i := range m.List {
		e := &m.List[i]
		e.Kind = EntryKind(d.u8("kind"))
		e.Size = d.u64("size")
		e.Mtime = int64(d.u64("mtime"))
		e.Name = d.str(MaxKey+1, "name")
	}
	if !d.more() {
		return
	}
	sums := d.u32("count")
	if d.err == nil && sums != 0 && sums != n {
		d.err = Errorf(CodeBadRequest, "%d checksums of %d entries", sums, n)
	}
	for i := range sums {
		if d.err != nil {
			return
		}
		m.List[i].Sum = d.u64("checksum")
	}
}

// End ends a listing.
type End struct{ Count uint64 } // entries sent

// Type implements Message.
func (*End) Type() Type { return TypeEnd }

func (m *End) append(b []byte) []byte { return appendU64(b, m.Count) }
func (m *End) decode(d *decoder)      { m.Count = d.u64("count") }

// Remove removes a key or, with FlagRecursive, every key with a prefix. The
// answer is REMOVED or ERROR.
type Remove struct{ Prefix string }

// Type implements Message.
func (*Remove) Type() Type { return TypeRemove }

func (m *Remove) append(b []byte) []byte { return appendString(b, m.Prefix) }
func (m *Remove) decode(d *decoder)      { m.Prefix = d.str(MaxKey, "prefix") }

// Removed tells how many keys a REMOVE removed; 0 if none matched.
type Removed struct{ Count uint64 }

// Type implements Message.
func (*Removed) Type() Type { return TypeRemoved }

func (m *Removed) append(b []byte) []byte { return appendU64(b, m.Count) }
func (m *Removed) decode(d *decoder)      { m.Count = d.u64("count") }

// Stat asks what a key is. The answer is OBJECT or ERROR.
type Stat struct{ Key string }

// Type implements Message.
func (*Stat) Type() Type { return TypeStat }

func (m *Stat) append(b []byte) []byte { return appendString(b, m.Key) }
func (m *Stat) decode(d *decoder)      { m.Key = d.str(MaxKey, "key") }

// MaxCount is how many directories one COUNT may ask about.
const MaxCount = 4096

// Count asks a server how many of its keys stand in each of some directories, and
// not below a further slash. The answer is COUNTS or ERROR.
type Count struct{ Dirs []string } // bucket/path, without a slash at the end

// Type implements Message.
func (*Count) Type() Type { return TypeCount }

func (m *Count) append(b []byte) []byte {
	return appendDirs(b, m.Dirs)
}

func (m *Count) decode(d *decoder) { m.Dirs = d.dirs() }

func appendDirs(b []byte, dirs []string) []byte {
	b = appendU32(b, uint32(len(dirs)))
	for _, dir := range dirs {
		b = appendString(b, dir)
	}
	return b
}

// dirs decodes a list of at most MaxCount directories.
func (d *decoder) dirs() []string {
	n := d.u32("count")
	// Every name takes 4 bytes or more, so the body bounds the count.
	if d.err == nil && (n > MaxCount || uint64(n) > uint64(len(d.b)/4)) {
		d.err = Errorf(CodeBadRequest, "%d directories in %d bytes, at most %d", n, len(d.b), MaxCount)
	}
	if d.err != nil {
		return nil
	}
	dirs := make([]string, n)
	for i := range dirs {
		dirs[i] = d.str(MaxKey, "directory")
	}
	return dirs
}

// Counts answers COUNT, in the order of the directories.
type Counts struct{ Keys []uint64 }

// Type implements Message.
func (*Counts) Type() Type { return TypeCounts }

func (m *Counts) append(b []byte) []byte {
	b = appendU32(b, uint32(len(m.Keys)))
	for _, n := range m.Keys {
		b = appendU64(b, n)
	}
	return b
}

func (m *Counts) decode(d *decoder) {
	n := d.u32("count")
	if d.err == nil && uint64(n) > uint64(len(d.b)/8) {
		d.err = Errorf(CodeBadRequest, "%d counts in %d bytes", n, len(d.b))
	}
	if d.err != nil {
		return
	}
	m.Keys = make([]uint64, n)
	for i := range m.Keys {
		m.Keys[i] = d.u64("keys")
	}
}

// HealthInfo answers HEALTH.
type HealthInfo struct {
	Release string // version of the server program
	Index   uint32 // of this server in the cluster
	Servers uint32 // in the cluster
	Uptime  uint64 // nanoseconds
	Keys    uint64
	Bytes   uint64 // in keys
	Free    uint64 // bytes free on the data file system
	Total   uint64 // size of the data file system in bytes

	Suspended     uint64 // bytes that suspended jobs have staged
	SuspendedJobs uint64 // how many there are
	Open          bool   // whoever can reach the server from another host may come in

	Load Load
}

// Type implements Message.
func (*HealthInfo) Type() Type { return TypeHealthInfo }

func (m *HealthInfo) append(b []byte) []byte {
	b = appendString(b, m.Release)
	b = appendU32(appendU32(b, m.Index), m.Servers)
	b = appendU64(appendU64(appendU64(b, m.Uptime), m.Keys), m.Bytes)
	b = appendU64(appendU64(b, m.Free), m.Total)
	loaded := m.Load != Load{}
	if m.Suspended == 0 && m.SuspendedJobs == 0 && !m.Open && !loaded {
		return b // fields that may be missing
	}
	b = appendU64(appendU64(b, m.Suspended), m.SuspendedJobs)
	if m.Open || loaded {
		b = append(b, flag(m.Open)) // which may be missing, too
	}
	if loaded {
		b = m.Load.append(b) // and this
	}
	return b
}

func (m *HealthInfo) decode(d *decoder) {
	m.Release = d.str(MaxKey, "release")
	m.Index = d.u32("index")
	m.Servers = d.u32("servers")
	m.Uptime = d.u64("uptime")
	m.Keys = d.u64("keys")
	m.Bytes = d.u64("bytes")
	m.Free = d.u64("free")
	m.Total = d.u64("total")
	if d.more() {
		m.Suspended = d.u64("suspended")
		m.SuspendedJobs = d.u64("suspended jobs")
	}
	if d.more() {
		m.Open = d.u8("open") != 0
	}
	if d.more() {
		m.Load.decode(d)
	}
}
