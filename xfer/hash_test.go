package xfer

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

func TestHash(t *testing.T) {
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7} {
		data := random(n)
		total, sum, err := Hash(bytes.NewReader(data))
		if err != nil || total != int64(n) || sum != xxhash.Sum64(data) {
			t.Errorf("%d bytes: %d, %016x, %v", n, total, sum, err)
		}
		total, sum, err = Hash(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data))))
		if err != nil || total != int64(n) || sum != xxhash.Sum64(data) {
			t.Errorf("%d bytes in halves: %d, %016x, %v", n, total, sum, err)
		}
	}
	// The reference value of the empty input (xxHash specification).
	if _, sum, _ := Hash(strings.NewReader("")); sum != 0xef46db3751d8e999 {
		t.Errorf("of nothing: %016x", sum)
	}
	if total, _, err := Hash(failing(random(5), errTest)); err != errTest || total != 5 {
		t.Errorf("%d, %v", total, err)
	}
}

func TestCopy(t *testing.T) {
	calls := 0
	err := Copy(endless{}, func(p []byte) error {
		if len(p) != ChunkSize {
			t.Errorf("%d bytes at once", len(p))
		}
		if calls++; calls == 3 {
			return errTest
		}
		return nil
	})
	if err != errTest || calls != 3 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestPack(t *testing.T) {
	p := getPacker()
	defer putPacker(p)
	plain := make([]byte, wire.MaxPacked)
	for _, n := range []int{0, 1, 4, 5, 64, 1000, ChunkSize - 1, ChunkSize} {
		if body, ok := p.pack(random(n)); ok {
			t.Errorf("%d random bytes shrink to %d", n, len(body))
		}
		body, ok := p.pack(text(n))
		if n >= 1000 && !ok {
			t.Errorf("%d bytes of text do not shrink", n)
		}
		if !ok {
			continue
		}
		got, err := unpack(body, plain)
		if err != nil || len(body) > n || !bytes.Equal(got, text(n)) {
			t.Errorf("%d bytes, packed to %d: %d bytes, %v", n, len(body), len(got), err)
		}
	}
}

func TestErrorsUnwrap(t *testing.T) {
	for _, err := range []error{&SourceError{errTest}, &SinkError{errTest}} {
		if !errors.Is(err, errTest) || err.Error() != errTest.Error() {
			t.Errorf("%T: %v", err, err)
		}
	}
}
