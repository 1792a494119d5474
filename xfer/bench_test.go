package xfer

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// These document speed; nothing asserts it.
//
//	go test -run '^$' -bench . ./xfer

const benchSize = 256 << 20

// benchFile makes a file of benchSize bytes in memory.
func benchFile(b *testing.B) *os.File {
	b.Helper()
	f, err := os.CreateTemp(benchDir(), "s4-bench-")
	if err != nil {
		b.Fatal(err)
	}
	os.Remove(f.Name())
	b.Cleanup(func() { f.Close() })
	block := random(1 << 20)
	for range benchSize / len(block) {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

func benchDir() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return "" // os.TempDir
}

// transferBench measures send and a receiver that runs recv for every object.
func transferBench(b *testing.B, size int64, send func(a *Conn) error, recv func(c *Conn) error) {
	b.Helper()
	x, y := connPair(b, patient, patient)
	results := make(chan error)
	go func() {
		for {
			_, _, err := y.Read()
			if err == nil {
				err = recv(y)
			}
			results <- err
			if err != nil {
				return
			}
		}
	}()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := send(x); err != nil {
			b.Fatal(err)
		}
		if err := <-results; err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
	<-results
}

func toDiscard(c *Conn) error { _, _, err := c.Recv(io.Discard, nil); return err }

func BenchmarkSendFileToDiscard(b *testing.B) {
	f := benchFile(b)
	_, _ = f.Seek(0, io.SeekStart)
	_, sum, err := Hash(f)
	if err != nil {
		b.Fatal(err)
	}
	transferBench(b, benchSize, func(a *Conn) error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return a.SendFile(1, putHead, 0, f, benchSize, sum, PackNever, false, nil)
	}, toDiscard)
}

func BenchmarkSendStreamToDiscard(b *testing.B) {
	f := benchFile(b)
	transferBench(b, benchSize, func(a *Conn) error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: io.NewSectionReader(f, 0, benchSize), Size: benchSize}, nil)
		return err
	}, toDiscard)
}

// As a put goes: from a local file, hashed, to an unnamed file, hashed.
func BenchmarkSendStreamToFile(b *testing.B) {
	f := benchFile(b)
	dir, err := os.Open(benchDir())
	if err != nil {
		b.Skip(err)
	}
	defer dir.Close()
	transferBench(b, benchSize, func(a *Conn) error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: io.NewSectionReader(f, 0, benchSize), Size: benchSize}, nil)
		return err
	}, func(c *Conn) error {
		tmp, err := CreateTemp(int(dir.Fd()), 0o600)
		if err != nil {
			return err
		}
		defer tmp.Close()
		if err := tmp.Preallocate(benchSize); err != nil {
			return err
		}
		_, _, err = c.Recv(tmp.File, nil)
		return err
	})
}

func BenchmarkSendStreamLZ4(b *testing.B) {
	data := text(32 << 20)
	transferBench(b, int64(len(data)), func(a *Conn) error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: PackAlways}, nil)
		return err
	}, toDiscard)
}

// Small keys on one connection, a window in flight.
func BenchmarkPipelinePut4K(b *testing.B) {
	x, y := connPair(b, patient, patient)
	stop := serving(y)
	p := NewPipeline(x)
	data := string(text(4 << 10))
	failed := make(chan error, 1)
	b.SetBytes(4 << 10)
	b.ReportAllocs()
	for b.Loop() {
		r := put("ok", strings.NewReader(data), nil)
		r.Done = func(err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}
		p.Do(r)
	}
	p.Close() // fails those in flight, which is fine
	stop()
}

func BenchmarkFrameEncode(b *testing.B) {
	buf := make([]byte, 0, 4<<10)
	m := &wire.Trailer{Length: 1, Sum: 2}
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendFrame(buf[:0], 1, 0, m)
	}
}

func BenchmarkFrameDecode(b *testing.B) {
	frame := wire.AppendFrame(nil, 1, 0, &wire.Trailer{Length: 1, Sum: 2})
	b.ReportAllocs()
	for b.Loop() {
		h, err := wire.DecodeHeader(frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := wire.Decode(h.Type, frame[wire.HeaderSize:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	data := random(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, sum, _ := Hash(bytes.NewReader(data)); sum != xxhash.Sum64(data) {
			b.Fatal("wrong")
		}
	}
}
