package xfer

import (
	"bytes"
	"io"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// objectAllocs is what a transfer of any size may allocate at both ends together:
// messages, a timer, closures. 32 MiB is 128 chunks, so one allocation a chunk
// is far above.
const objectAllocs = 64

// transferAllocs returns how many objects both ends allocate for one
// transfer.
func transferAllocs(t *testing.T, send func(a *Conn) error) float64 {
	a, b := connPair(t, patient, patient)
	results := make(chan error)
	go func() {
		for {
			_, _, err := b.Read()
			if err == nil {
				_, _, err = b.Recv(io.Discard, nil)
			}
			results <- err
			if err != nil {
				return
			}
		}
	}()
	n := testing.AllocsPerRun(3, func() {
		if err := send(a); err != nil {
			t.Fatal(err)
		}
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	})
	a.Close()
	<-results
	return n
}

// SendFile and Recv allocate nothing by chunk or frame.
func TestSendFileAllocates(t *testing.T) {
	data := random(4 * wire.MaxData)
	f := fileOf(t, data)
	sum := xxhash.Sum64(data)
	n := transferAllocs(t, func(a *Conn) error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return a.SendFile(1, putHead, 0, f, int64(len(data)), sum, PackNever, false, nil)
	})
	t.Logf("%v allocations", n)
	if n > objectAllocs {
		t.Errorf("%v allocations for %d bytes", n, len(data))
	}
}

// Nor does Hash.
func TestHashAllocates(t *testing.T) {
	data := random(2 * wire.MaxData)
	if n := testing.AllocsPerRun(3, func() { _, _, _ = Hash(bytes.NewReader(data)) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

// sendStreamAllocs is what SendStream of data allocates at both ends.
func sendStreamAllocs(t *testing.T, data []byte, pack Packing) float64 {
	return transferAllocs(t, func(a *Conn) error {
		_, _, err := a.SendStream(1, putHead, 0, Source{R: bytes.NewReader(data), Size: -1, Pack: pack}, nil)
		return err
	})
}

// Nor does SendStream.
func TestSendStreamAllocates(t *testing.T) {
	for _, pack := range []Packing{PackNever, PackAlways} {
		if n := sendStreamAllocs(t, text(2*wire.MaxData), pack); n > objectAllocs {
			t.Errorf("packing %v: %v allocations for 32 MiB", pack, n)
		}
	}
}
