package exec

import (
	"bytes"
	"testing"
)

// FuzzTail writes data in pieces whose lengths pieces gives, and compares with
// the end of data.
func FuzzTail(f *testing.F) {
	f.Add(uint8(0), []byte("abc"), []byte{1})
	f.Add(uint8(4), []byte("abcdefghij"), []byte{3, 3, 4})
	f.Add(uint8(4), []byte("abcdefghij"), []byte{4, 1, 0, 5})
	f.Add(uint8(10), []byte("abcdefghij"), []byte{10})
	f.Add(uint8(200), []byte("abcdefghij"), []byte{})
	f.Fuzz(func(t *testing.T, keep uint8, data, pieces []byte) {
		tl := tail{max: int(keep)}
		rest := data
		write := func(n int) {
			if got, err := tl.Write(rest[:n]); got != n || err != nil {
				t.Fatalf("Write: %d, %v; want %d", got, err, n)
			}
			rest = rest[n:]
			done := data[:len(data)-len(rest)]
			want := done[max(0, len(done)-int(keep)):]
			if got := tl.Bytes(); !bytes.Equal(got, want) || tl.total != int64(len(done)) {
				t.Fatalf("got %q of %d, want %q of %d", got, tl.total, want, len(done))
			}
		}
		for _, n := range pieces {
			write(min(int(n), len(rest)))
		}
		write(len(rest))
	})
}

func TestTailMemory(t *testing.T) {
	tl := tail{max: 1 << 40}
	tl.Write([]byte("a few bytes"))
	if cap(tl.ring) > 1<<10 {
		t.Errorf("%d bytes taken", cap(tl.ring))
	}
	if (&tail{}).Bytes() != nil {
		t.Error("empty is not nil")
	}
}
