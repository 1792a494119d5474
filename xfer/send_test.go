package xfer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// sizes stand at every boundary of chunks and frames.
var sizes = []int{
	0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1,
	wire.MaxData - 1, wire.MaxData, wire.MaxData + 1, 3*wire.MaxData + 7,
}

// TestSendFileIsZeroCopy proves that the bytes of a file go from page cache to
// socket in the kernel, also if they might be packed, as both ends are here: all
// of them are counted where sendfile(2) returns them, none where a buffer is sent. Only
// a small file is read.
// It is not to be skipped: s4 runs on Linux and Linux has sendfile.
func TestSendFileIsZeroCopy(t *testing.T) {
	t.Parallel()
	a, b := connPair(t, patient, patient)
	var total, small int64
	for i, size := range append(sizes, smallFile, smallFile+1) {
		data := random(size)
		f := fileOf(t, data)
		head := &wire.Object{Size: uint64(size), Sum: xxhash.Sum64(data)}
		wait := receiving(b)
		if err := a.SendFile(uint16(i), head, wire.FlagStream, f, int64(size), head.Sum, PackAuto, false, nil); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		r := wait()
		wantObject(t, r, data)
		if r.h.Tag != uint16(i) || r.h.Flags != wire.FlagStream || !reflect.DeepEqual(r.head, head) {
			t.Errorf("%d bytes: head %+v, %+v", size, r.h, r.head)
		}
		total += int64(size)
		if size <= smallFile {
			small += int64(size)
		}
		if sent, copied := a.stats.Sendfile.Load(), a.stats.Copied.Load(); sent != total-small || copied != small {
			t.Fatalf("%d bytes: %d bytes sent by sendfile and %d copied, want %d and %d", size, sent, copied, total-small, small)
		}
		if got := b.stats.Received.Load(); got != total {
			t.Errorf("%d bytes: %d bytes received in total, want %d", size, got, total)
		}
		if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != int64(size) {
			t.Errorf("%d bytes: the file's offset is %d, %v", size, at, err)
		}
	}
}

// SendFile starts at the file's offset and stops at size, whatever follows.
func TestSendFilePart(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := random(3000)
	f := fileOf(t, data)
	if _, err := f.Seek(1000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	wait := receiving(b)
	if err := a.SendFile(1, putHead, 0, f, 1500, xxhash.Sum64(data[1000:2500]), PackNever, false, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data[1000:2500])
}

func TestSendStream(t *testing.T) {
	t.Parallel()
	for _, pack := range []Packing{PackNever, PackAlways} {
		for _, kind := range []struct {
			name string
			make func(int) []byte
		}{{"random", random}, {"text", text}} {
			t.Run(fmt.Sprintf("packing=%v/%s", pack, kind.name), func(t *testing.T) {
				a, b := connPair(t, patient, patient)
				var total int64
				for i, size := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7, wire.MaxData + 1} {
					data := kind.make(size)
					for _, known := range []int64{int64(size), -1} {
						if known < 0 && size > wire.MaxData {
							continue // frames are of chunks either way
						}
						wait := receiving(b)
						n, sum, err := a.SendStream(uint16(i), putHead, wire.FlagLZ4, Source{R: bytes.NewReader(data), Size: known, Pack: pack}, nil)
						if err != nil || n != int64(size) || sum != xxhash.Sum64(data) {
							t.Fatalf("%d bytes, known %d: sent %d with sum %016x, %v", size, known, n, sum, err)
						}
						r := wait()
						wantObject(t, r, data)
						if r.h.Tag != uint16(i) || r.h.Flags != wire.FlagLZ4 || !reflect.DeepEqual(r.head, putHead) {
							t.Errorf("%d bytes: head %+v, %+v", size, r.h, r.head)
						}
						total += int64(size)
					}
				}
				if sent, copied, got := a.stats.Sendfile.Load(), a.stats.Copied.Load(), b.stats.Received.Load(); sent != 0 || copied != total || got != total {
					t.Errorf("sendfile %d, copied %d, received %d, want 0 and twice %d", sent, copied, got, total)
				}
			})
		}
	}
}

// A known size bounds what is read: the reader may have more, and is left
// where the object ends.
func TestSendStreamStopsAtSize(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := random(2*ChunkSize + 10)
	for _, size := range []int{0, 1, ChunkSize, ChunkSize + 1} {
		r := bytes.NewReader(data)
		wait := receiving(b)
		if _, _, err := a.SendStream(1, putHead, 0, Source{R: r, Size: int64(size)}, nil); err != nil {
			t.Fatal(err)
		}
		wantObject(t, wait(), data[:size])
		if r.Len() != len(data)-size {
			t.Errorf("%d bytes: %d bytes are left in the reader, want %d", size, r.Len(), len(data)-size)
		}
	}
}

// Readers may behave in all the ways that io.Reader allows.
func TestSendStreamReaders(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := random(3*1000 + 7)
	for name, r := range map[string]io.Reader{
		"one byte":     iotest.OneByteReader(bytes.NewReader(data)),
		"half":         iotest.HalfReader(bytes.NewReader(data)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		wait := receiving(b)
		if _, _, err := a.SendStream(1, putHead, 0, Source{R: r, Size: -1}, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantObject(t, wait(), data)
	}
}

// The trailer says Source.Sum if there is one, and SendStream still returns
// what it read.
func TestSendStreamStoredSum(t *testing.T) {
	a, b := connPair(t, patient, patient)
	data := text(1000)
	for _, pack := range []Packing{PackNever, PackAlways} {
		good := xxhash.Sum64(data)
		wait := receiving(b)
		if _, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: 1000, Pack: pack, Sum: &good}, nil); err != nil {
			t.Fatal(err)
		}
		wantObject(t, wait(), data)

		bad := good ^ 1<<63
		wait = receiving(b)
		_, sum, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: 1000, Pack: pack, Sum: &bad}, nil)
		if err != nil || sum != good {
			t.Fatalf("sum %016x, %v", sum, err)
		}
		wantCode(t, wait().err, wire.CodeChecksum)
		wantUsable(t, a, b)
	}
}

// Compressible data takes fewer bytes on the wire. Other data takes no more than it
// would without packing.
func TestLZ4OnTheWire(t *testing.T) {
	const size = 4*ChunkSize + 5
	wireBytes := func(data []byte, pack Packing, file bool) int64 {
		var n atomic.Int64
		ca, cb := proxyPair(t, func(_ int64, p []byte) int { n.Add(int64(len(p))); return len(p) }, nil)
		a, b := newConn(t, ca, patient), newConn(t, cb, patient)
		wait := receiving(b)
		var err error
		if file {
			err = a.SendFile(1, putHead, 0, fileOf(t, data), size, xxhash.Sum64(data), pack, false, nil)
		} else {
			_, _, err = a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: pack}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantObject(t, wait(), data) // after which the proxy has passed all
		return n.Load()
	}
	for _, file := range []bool{false, true} {
		plain := wireBytes(random(size), PackNever, file)
		if got := wireBytes(random(size), PackAlways, file); file && got > plain+4*wire.HeaderSize || !file && got > plain {
			t.Errorf("incompressible, from a file %v: %d bytes with lz4, %d without", file, got, plain)
		}
		if got := wireBytes(text(size), PackAlways, file); got > plain/2 {
			t.Errorf("compressible, from a file %v: %d bytes with lz4, %d without", file, got, plain)
		}
		if got := wireBytes(text(size), PackAuto, file); got < size {
			t.Errorf("compressible, from a file %v: %d bytes of %d on one host", file, got, size)
		}
	}
}

// A small object goes out in one piece with its head: what a client gains by
// pipelining, system calls must not take back.
func TestSmallObjectIsOneSegment(t *testing.T) {
	ca, cb := tcpPair(t)
	a := newConn(t, ca, patient)
	data := []byte("hello")
	if _, _, err := a.SendStream(7, putHead, 0, Source{R: bytes.NewReader(data), Size: 5}, nil); err != nil {
		t.Fatal(err)
	}
	want := wire.AppendFrame(nil, 7, 0, putHead)
	want = append(wire.Header{Len: 5, Type: wire.TypeData, Tag: 7}.Append(want), data...)
	want = wire.AppendFrame(want, 7, 0, &wire.Trailer{Length: 5, Sum: xxhash.Sum64(data)})
	got := make([]byte, 4096)
	n, err := cb.Read(got)
	if err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("the first read gives\n%x, %v, want\n%x", got[:n], err, want)
	}
}

// The longest head there is fits before the first chunk.
func TestSendStreamLongestHead(t *testing.T) {
	a, b := connPair(t, patient, patient)
	key := string(bytes.Repeat([]byte("k"), wire.MaxKey))
	data := random(ChunkSize + 1)
	for _, head := range []wire.Message{&wire.Put{Key: key}, &wire.Push{Key: key}} {
		wait := receiving(b)
		if _, _, err := a.SendStream(1, head, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: PackAlways}, nil); err != nil {
			t.Fatal(err)
		}
		r := wait()
		wantObject(t, r, data)
		if !reflect.DeepEqual(r.head, head) {
			t.Error("another head came")
		}
	}
}

// Output of an eval: raw frames, of both types, in any mix.
func TestWriteDataReadBytes(t *testing.T) {
	a, b := connPair(t, patient, patient)
	big := random(wire.MaxData)
	type frame struct {
		t wire.Type
		p []byte
	}
	frames := []frame{
		{wire.TypeData, []byte("out")}, {wire.TypeStderr, []byte("err")}, {wire.TypeStderr, nil},
		{wire.TypeData, big}, {wire.TypeData, big[:ChunkSize]}, {wire.TypeStderr, big[:ChunkSize+1]},
	}
	sent := async(func() error {
		for i, f := range frames {
			if err := a.WriteData(uint16(i), f.t, f.p); err != nil {
				return err
			}
		}
		return a.Write(9, 0, &wire.Exit{Code: 3})
	})
	for i, f := range frames {
		h, err := b.ReadHeader()
		if err != nil || h.Type != f.t || h.Tag != uint16(i) {
			t.Fatalf("frame %d: %+v, %v", i, h, err)
		}
		var got bytes.Buffer
		if err := b.ReadBytes(h, &got); err != nil || !bytes.Equal(got.Bytes(), f.p) {
			t.Fatalf("frame %d: %d bytes, want %d, %v", i, got.Len(), len(f.p), err)
		}
	}
	if err := sent(); err != nil {
		t.Fatal(err)
	}
	if _, m, err := b.Read(); err != nil || m.(*wire.Exit).Code != 3 {
		t.Fatalf("%v, %v", m, err)
	}
}

// Many goroutines may write; frames stay whole, also beside a stream.
func TestWritersShareAConn(t *testing.T) {
	a, b := connPair(t, patient, patient)
	f := fileOf(t, random(2*wire.MaxData+9))
	const pings = 500
	sent := async(func() error {
		for range pings {
			if err := a.Write(0, 0, wire.Empty{T: wire.TypePing}); err != nil {
				return err
			}
		}
		return nil
	})
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	wait := receiving(b)
	if err := a.SendFile(1, putHead, 0, f, int64(len(data)), xxhash.Sum64(data), PackNever, false, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
	wait = receiving(b)
	if _, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1}, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), data)
	wait = receiving(b) // drains the rest of the pings
	if err := sent(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(nil), Size: 0}, nil); err != nil {
		t.Fatal(err)
	}
	wantObject(t, wait(), nil)
}
