package xfer

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/pierrec/lz4/v4"

	"github.com/nathants/s4/wire"
)

// reference reads a stream of frames as PROTOCOL.md says, slowly and from
// memory. It returns the plain bytes and how long the stream is, if it is
// whole and right.
func reference(b []byte) (plain []byte, length int, ok bool) {
	at := 0
	for {
		if len(b)-at < wire.HeaderSize {
			return nil, 0, false
		}
		h, err := wire.DecodeHeader(b[at:])
		if err != nil || len(b)-at-wire.HeaderSize < int(h.Len) {
			return nil, 0, false
		}
		body := b[at+wire.HeaderSize:][:h.Len]
		at += wire.HeaderSize + int(h.Len)
		switch h.Type {
		case wire.TypePing:
		case wire.TypeData:
			if h.Flags&wire.FlagLZ4 == 0 {
				plain = append(plain, body...)
				break
			}
			if len(body) < 4 || len(body) > wire.MaxPacked {
				return nil, 0, false
			}
			size := binary.BigEndian.Uint32(body)
			if size > wire.MaxPacked {
				return nil, 0, false
			}
			p := make([]byte, size)
			n, err := lz4.UncompressBlock(body[4:], p)
			if err != nil || n != int(size) {
				return nil, 0, false
			}
			plain = append(plain, p...)
		case wire.TypeTrailer:
			if body, err = wire.OpenBody(h, body, false); err != nil {
				return nil, 0, false
			}
			if len(body) != 16 || binary.BigEndian.Uint64(body) != uint64(len(plain)) || binary.BigEndian.Uint64(body[8:]) != xxhash.Sum64(plain) {
				return nil, 0, false
			}
			return plain, at, true
		default:
			return nil, 0, false
		}
	}
}

// streams are whole streams and beginnings of them, as seeds.
func streams() (all [][]byte) {
	trailer := func(b, plain []byte) []byte {
		return wire.AppendFrame(b, 1, 0, &wire.Trailer{Length: uint64(len(plain)), Sum: xxhash.Sum64(plain)})
	}
	data := func(b, body []byte, flags byte) []byte {
		return append(wire.Header{Len: uint32(len(body)), Type: wire.TypeData, Flags: flags, Tag: 1}.Append(b), body...)
	}
	hello := []byte("hello")
	all = append(all,
		trailer(nil, nil),
		trailer(data(nil, hello, 0), hello),
		trailer(data(append(data(pingFrame[:8:8], hello[:2], 0), pingFrame...), hello[2:], 0), hello),
		append(trailer(nil, nil), "more"...),
		wire.AppendFrame(data(nil, hello, 0), 1, wire.FlagChecked, &wire.Trailer{Length: 5, Sum: xxhash.Sum64(hello)}),
		data(nil, hello, 0),
		wire.AppendFrame(data(nil, hello, 0), 1, 0, wire.Empty{T: wire.TypeAbort}),
		wire.AppendFrame(data(nil, hello, 0), 1, 0, wire.Errorf(wire.CodeStorage, "x")),
		wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: 5, Sum: 1}),
		[]byte("GET / HTTP/1.1\r\n\r\n"),
	)
	p := getPacker()
	defer putPacker(p)
	if body, ok := p.pack(text(1000)); ok {
		all = append(all, trailer(data(nil, body, wire.FlagLZ4), text(1000)), data(nil, body, wire.FlagLZ4))
	}
	return all
}

// FuzzRecv: whatever comes, Recv returns; and what it calls whole is what the
// stream says, to the byte, with the rest of the connection left unread.
func FuzzRecv(f *testing.F) {
	for _, s := range streams() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		ca, cb := tcpPair(t)
		// Two minutes of connections must not use up the ports: no TIME_WAIT.
		_ = ca.SetLinger(0)
		_ = cb.SetLinger(0)
		b := newConn(t, cb, 10*time.Second)
		wrote := async(func() error { _, err := ca.Write(in); _ = ca.CloseWrite(); return err })
		var got bytes.Buffer
		n, sum, err := b.Recv(&got, nil)
		plain, length, ok := reference(in)
		if (err == nil) != ok {
			t.Fatalf("%x: Recv says %v, the reference %v", in, err, ok)
		}
		if err == nil {
			if n != int64(got.Len()) || sum != xxhash.Sum64(got.Bytes()) || !bytes.Equal(got.Bytes(), plain) || b.Broken() {
				t.Fatalf("%x: %d bytes %x, sum %016x, want %x", in, n, got.Bytes(), sum, plain)
			}
			rest, rerr := io.ReadAll(cb)
			rest = append(bytes.Clone(b.in), rest...)
			if rerr != nil || !bytes.Equal(rest, in[length:]) {
				t.Fatalf("%x: %x is left, %v, want %x", in, rest, rerr, in[length:])
			}
		}
		b.Close()
		_ = wrote()
		ca.Close()
	})
}

// FuzzUnpack: a block unpacks to the length it promises, and to the same bytes
// whatever was in the buffer before, or is an error.
func FuzzUnpack(f *testing.F) {
	p := getPacker()
	for _, n := range []int{20, 1000, ChunkSize} {
		if body, ok := p.pack(text(n)); ok {
			f.Add(bytes.Clone(body))
		}
	}
	putPacker(p)
	f.Add([]byte("\x00\x00\x00\x01\x10x"))
	f.Add([]byte("\xff\xff\xff\xff\x10x"))
	f.Add([]byte("\x00\x00\x00\x09\x14x\xff\x00\x50abcde"))
	f.Add([]byte("\x00\x00\x00"))
	one, two := make([]byte, wire.MaxPacked+64), make([]byte, wire.MaxPacked+64)
	f.Fuzz(func(t *testing.T, body []byte) {
		for i := range one {
			one[i], two[i] = 0x00, 0xaa
		}
		a, err := unpack(body, one[:wire.MaxPacked])
		b, err2 := unpack(body, two[:wire.MaxPacked])
		if (err == nil) != (err2 == nil) || !bytes.Equal(a, b) {
			t.Fatalf("%x unpacks to %x, %v or %x, %v", body, a, err, b, err2)
		}
		if err != nil {
			if a != nil {
				t.Fatalf("%x: bytes and an error, %v", body, err)
			}
			return
		}
		size := binary.BigEndian.Uint32(body)
		if len(a) != int(size) || size > wire.MaxPacked {
			t.Fatalf("%x: %d bytes, promised %d", body, len(a), size)
		}
		for _, c := range one[size:] {
			if c != 0 {
				t.Fatalf("%x: written past the %d bytes it promises", body, size)
			}
		}
		// What packs again unpacks to the same.
		p := getPacker()
		defer putPacker(p)
		if size > 0 && size <= ChunkSize {
			if packed, ok := p.pack(a); ok {
				again, err := unpack(packed, two[:wire.MaxPacked])
				if err != nil || !bytes.Equal(again, a) {
					t.Fatalf("%x packs to %x: %v", a, packed, err)
				}
			}
		}
	})
}
