package xfer

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/nathants/s4/wire"
)

// A Stream yields what was sent, in pieces of any size, plain and packed, and then
// the connection goes on.
func TestStream(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, 3*ChunkSize + 5} {
		for _, pack := range []Packing{PackNever, PackAlways} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r },
				"half":  iotest.HalfReader,
			} {
				data := text(n)
				sent := async(func() error {
					_, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: int64(n), Pack: pack}, nil)
					return err
				})
				if _, _, err := b.Read(); err != nil {
					t.Fatal(err)
				}
				s := b.Stream()
				got, err := io.ReadAll(wrap(s))
				if err != nil || !bytes.Equal(got, data) || !s.Ended() {
					t.Errorf("%d bytes, %v, %s: got %d, %v, ended %v", n, pack, name, len(got), err, s.Ended())
				}
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("after the end: %d, %v", n, err)
				}
				s.Close()
				if err := sent(); err != nil {
					t.Error(err)
				}
				wantUsable(t, a, b)
			}
		}
	}
}

// A Stream that is not whole ends with an error that is never io.EOF.
func TestStreamFails(t *testing.T) {
	data := "\x00\x00\x00\x01\x15\x00\x00\x01x"
	for name, c := range map[string]struct {
		frames string
		code   wire.Code // 0: a lost connection
		usable bool
	}{
		"cut":          {data, 0, false},
		"cut in DATA":  {data[:len(data)-1], 0, false},
		"other sum":    {data + string(wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: 1})), wire.CodeChecksum, true},
		"other length": {string(wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: 1})), wire.CodeChecksum, true},
		"given up":     {data + string(wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeAbort})), wire.CodeCanceled, true},
		"an error":     {data + string(wire.AppendFrame(nil, 1, 0, wire.Errorf(wire.CodeNoSpace, "full"))), wire.CodeNoSpace, true},
		"a stranger":   {data + string(wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeOK})), wire.CodeBadRequest, false},
		"bad lz4":      {"\x00\x00\x00\x05\x15\x01\x00\x01\x00\x00\x00\x09x", wire.CodeChecksum, false},
		"long lz4":     {"\x00\x04\x00\x01\x15\x01\x00\x01", wire.CodeTooLarge, false},
	} {
		ca, cb := tcpPair(t)
		b := newConn(t, cb, patient)
		if _, err := io.WriteString(ca, c.frames); err != nil {
			t.Fatal(err)
		}
		_ = ca.CloseWrite()
		s := b.Stream()
		_, err := io.ReadAll(s)
		if c.code == 0 {
			if err != io.ErrUnexpectedEOF {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			wantCode(t, err, c.code)
		}
		if err == nil || s.Ended() != c.usable {
			t.Errorf("%s: %v, ended %v", name, err, s.Ended())
		}
		s.Close()
	}
}
