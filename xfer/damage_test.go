package xfer

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// senders are the three ways to send data as one object, head included. They
// return what the stream takes on the wire.
var senders = []struct {
	name string
	send func(t *testing.T, a *Conn, data []byte)
}{
	{"sendfile", func(t *testing.T, a *Conn, data []byte) {
		_ = a.SendFile(1, putHead, 0, fileOf(t, data), int64(len(data)), xxhash.Sum64(data), PackNever, false, nil)
	}},
	{"stream", func(t *testing.T, a *Conn, data []byte) {
		_, _, _ = a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1}, nil)
	}},
	{"lz4", func(t *testing.T, a *Conn, data []byte) {
		_, _, _ = a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: PackAlways}, nil)
	}},
}

// transmit sends data through a proxy that inverts the bits of mask at byte
// offset at, and returns what came out and the plain bytes of the stream.
func transmit(t *testing.T, send func(*testing.T, *Conn, []byte), data []byte, at int64, mask byte) (received, []byte) {
	var mu sync.Mutex
	passed := bytes.NewBuffer(make([]byte, 0, 2*len(data)))
	ca, cb := proxyPair(t, func(off int64, p []byte) int {
		mu.Lock()
		defer mu.Unlock()
		passed.Write(p)
		if i := at - off; i >= 0 && i < int64(len(p)) {
			p[i] ^= mask
		}
		return len(p)
	}, nil)
	a, b := newConn(t, ca, patient), newConn(t, cb, patient)
	wait := receiving(b)
	send(t, a, data)
	_ = a.CloseWrite() // a length that now promises too much must not hang
	r := wait()
	b.Close()
	a.Close()
	mu.Lock()
	defer mu.Unlock()
	return r, passed.Bytes()
}

// A bit that is flipped on the way never makes the receiver accept other bytes. It is
// an error, or has no effect if it hit a field that does not describe the bytes, such
// as a tag.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	data := append(random(ChunkSize), text(1000)...) // with lz4, a plain frame and a packed one
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r, stream := transmit(t, s.send, data, -1, 0)
			wantObject(t, r, data)
			// Every byte of every header but the head, and of the trailer;
			// samples of the data.
			type flip struct {
				at   int
				mask byte
				must bool // be an error
			}
			var flips []flip
			frames, packed := 0, 0
			at := len(wire.AppendFrame(nil, 1, 0, putHead))
			for at < len(stream) {
				h, err := wire.DecodeHeader(stream[at:])
				if err != nil {
					t.Fatal(err)
				}
				for i := range wire.HeaderSize {
					for bit := range 8 {
						benign := i >= 6 || i == 5 && (h.Type != wire.TypeData || bit != 0)
						flips = append(flips, flip{at + i, 1 << bit, !benign})
					}
				}
				at += wire.HeaderSize
				step := 1
				if h.Type == wire.TypeData {
					frames++
					if h.Flags&wire.FlagLZ4 != 0 {
						packed++
					}
					step = max(1, int(h.Len)/7-1)
				}
				for i := 0; i < int(h.Len); i += step {
					flips = append(flips, flip{at + i, 1 << (i % 8), true})
				}
				flips = append(flips, flip{at + int(h.Len) - 1, 0x80, true})
				at += int(h.Len)
			}
			if s.name != "sendfile" && frames < 2 || s.name == "lz4" && packed != 1 {
				t.Fatalf("%d frames of data, %d of them packed", frames, packed)
			}
			for _, f := range flips {
				r, _ := transmit(t, s.send, data, int64(f.at), f.mask)
				if r.err == nil {
					wantObject(t, r, data)
					if f.must {
						t.Errorf("byte %d of %d, bit %#02x: no error", f.at, len(stream), f.mask)
					}
					continue
				}
				var e *wire.Error
				if !errors.As(r.err, &e) && !errors.Is(r.err, io.ErrUnexpectedEOF) {
					t.Errorf("byte %d of %d, bit %#02x: %v", f.at, len(stream), f.mask, r.err)
				}
			}
		})
	}
}

// A flip in the data alone is a checksum error, and leaves the connection usable.
func TestFlippedDataLeavesConnUsable(t *testing.T) {
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			data := text(ChunkSize)
			ca, cb := proxyPair(t, func(off int64, p []byte) int {
				if at := 500 - off; at >= 0 && at < int64(len(p)) {
					p[at] ^= 4
				}
				return len(p)
			}, nil)
			a, b := newConn(t, ca, patient), newConn(t, cb, patient)
			wait := receiving(b)
			s.send(t, a, data)
			wantCode(t, wait().err, wire.CodeChecksum)
			wantUsable(t, a, b)
		})
	}
}

// A connection that ends inside a stream is an error wherever it ends.
func TestTruncatedStream(t *testing.T) {
	data := text(3000)
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			_, stream := transmit(t, s.send, data, -1, 0)
			for cut := 0; cut < len(stream); cut += max(1, len(stream)/60) {
				ca, cb := tcpPair(t)
				b := newConn(t, cb, patient)
				if _, err := ca.Write(stream[:cut]); err != nil {
					t.Fatal(err)
				}
				ca.Close()
				r := receive(b)
				want := io.ErrUnexpectedEOF
				if cut == 0 {
					want = io.EOF
				}
				if !errors.Is(r.err, want) || !b.Broken() {
					t.Errorf("after %d of %d bytes: %v, broken %v", cut, len(stream), r.err, b.Broken())
				}
				b.Close()
			}
		})
	}
}

// TestWrongStoredSum: the file is not what its stored checksum says.
func TestWrongStoredSum(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for _, size := range []int{0, 1, ChunkSize + 1} {
		data := random(size)
		wait := receiving(b)
		if err := a.SendFile(1, putHead, 0, fileOf(t, data), int64(size), xxhash.Sum64(data)^1, PackNever, false, nil); err != nil {
			t.Fatal(err)
		}
		wantCode(t, wait().err, wire.CodeChecksum)
		wantUsable(t, a, b)
	}
}

// TestWrongLength: the trailer counts other bytes than came.
func TestWrongLength(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := []byte("data")
	for _, length := range []uint64{0, 3, 5, 1 << 63, 1<<64 - 1} {
		wait := receiving(b)
		for _, err := range []error{
			a.Write(1, 0, putHead),
			a.WriteData(1, wire.TypeData, data),
			a.Write(1, 0, &wire.Trailer{Length: length, Sum: xxhash.Sum64(data)}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, wait().err, wire.CodeChecksum)
		wantUsable(t, a, b)
	}
}

// Frames that do not belong into a stream end it, and the connection.
func TestStrangersInAStream(t *testing.T) {
	head := string(wire.AppendFrame(nil, 1, 0, putHead))
	data := "\x00\x00\x00\x01\x15\x00\x00\x01x"
	for name, c := range map[string]struct {
		frame string
		code  wire.Code
	}{
		"an unknown type":            {"\x00\x00\x00\x00\x77\x00\x00\x01", wire.CodeBadRequest},
		"a request":                  {head, wire.CodeBadRequest},
		"standard error":             {"\x00\x00\x00\x01\x18\x00\x00\x01x", wire.CodeBadRequest},
		"OK":                         {"\x00\x00\x00\x00\x02\x00\x00\x01", wire.CodeBadRequest},
		"a DATA frame over MaxData":  {"\x01\x00\x00\x01\x15\x00\x00\x01", wire.CodeTooLarge},
		"an lz4 frame too long":      {"\x00\x04\x00\x01\x15\x01\x00\x01", wire.CodeTooLarge},
		"a trailer too short":        {"\x00\x00\x00\x01\x16\x00\x00\x01x", wire.CodeBadRequest},
		"a PING with a body":         {"\x00\x00\x00\x01\x03\x00\x00\x01x", wire.CodeBadRequest},
		"an ERROR that is none":      {"\x00\x00\x00\x01\x01\x00\x00\x01x", wire.CodeBadRequest},
		"a message over its maximum": {"\x00\x04\x00\x01\x16\x00\x00\x01", wire.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []string{"", data} {
				ca, cb := tcpPair(t)
				b := newConn(t, cb, patient)
				if _, err := io.WriteString(ca, head+before+c.frame); err != nil {
					t.Fatal(err)
				}
				r := receive(b)
				wantCode(t, r.err, c.code)
				if !b.Broken() {
					t.Error("not broken")
				}
			}
		})
	}
}

// An lz4 frame with nonsense in it fails the object, and not the connection.
func TestBadLZ4Frames(t *testing.T) {
	a, b := connPair(t, patient, patient)
	for name, c := range map[string]struct {
		body string
		code wire.Code
	}{
		"empty":            {"", wire.CodeBadRequest},
		"three bytes":      {"\x00\x00\x00", wire.CodeBadRequest},
		"no block":         {"\x00\x00\x00\x01", wire.CodeChecksum},
		"4 GiB":            {"\xff\xff\xff\xff\x10x", wire.CodeTooLarge},
		"MaxPacked+1":      {"\x00\x04\x00\x01\x10x", wire.CodeTooLarge},
		"too little":       {"\x00\x00\x00\x02\x10x", wire.CodeChecksum},
		"too much":         {"\x00\x00\x00\x01\x20xy", wire.CodeChecksum},
		"an offset before": {"\x00\x00\x00\x09\x14x\xff\x00\x50abcde", wire.CodeChecksum},
	} {
		t.Run(name, func(t *testing.T) {
			wait := receiving(b)
			frames := wire.AppendFrame(nil, 1, 0, putHead)
			frames = append(wire.Header{Len: uint32(len(c.body)), Type: wire.TypeData, Flags: wire.FlagLZ4}.Append(frames), c.body...)
			frames = wire.AppendFrame(frames, 1, 0, &wire.Trailer{Length: 1, Sum: xxhash.Sum64String("x")})
			if err := a.WriteRaw(frames); err != nil {
				t.Fatal(err)
			}
			wantCode(t, wait().err, c.code)
			wantUsable(t, a, b)
		})
	}
}
