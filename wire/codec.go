package wire

import "encoding/binary"

// Integers are big-endian; a string is its length in 4 bytes, then its bytes.

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendU16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }
func appendU32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func appendU64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// decoder takes fields off the front of a body. After the first error it
// returns zero values, so that callers check once, at the end.
type decoder struct {
	b   []byte
	err *Error
}

func (d *decoder) take(n int, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b) {
		d.err = Errorf(CodeBadRequest, "body ends inside its %s", what)
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8(what string) byte {
	if v := d.take(1, what); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u16(what string) uint16 {
	if v := d.take(2, what); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32(what string) uint32 {
	if v := d.take(4, what); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64(what string) uint64 {
	if v := d.take(8, what); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// str reads a string of at most max bytes.
func (d *decoder) str(max int, what string) string {
	n := d.u32(what)
	if d.err != nil {
		return ""
	}
	if uint64(n) > uint64(max) {
		d.err = Errorf(CodeTooLarge, "%s of %d bytes, at most %d", what, n, max)
		return ""
	}
	return string(d.take(int(n), what))
}

// more reports whether there is anything left: fields that were added to a
// message later may be missing.
func (d *decoder) more() bool { return d.err == nil && len(d.b) > 0 }
