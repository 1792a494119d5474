package wire

import (
	"errors"
	"testing"
)

// TestChecked flips every bit of a frame with a checksum: none goes unnoticed.
func TestChecked(t *testing.T) {
	if got := AppendFrame(nil, 0xffff, 0xff, Empty{TypeCommit}); string(got) != "\x00\x00\x00\x04\x37\xff\xff\xff\xae\x0e\xea\x4b" {
		t.Errorf("golden frame became %x", got)
	}
	want := &Put{Size: 3, Key: "b/k"}
	good := AppendFrame(nil, 7, FlagChecked|FlagLZ4, want)
	for bit := -1; bit < 8*len(good); bit++ {
		b := append([]byte(nil), good...)
		if bit >= 0 {
			b[bit/8] ^= 1 << (bit % 8)
		}
		h, err := DecodeHeader(b)
		if err == nil {
			if int(h.Len) > len(b)-HeaderSize {
				continue // the reader waits for more, and gets other frames
			}
			var body []byte
			if body, err = OpenBody(h, b[HeaderSize:HeaderSize+int(h.Len)], true); err == nil {
				_, err = Decode(h.Type, body)
			}
		}
		if (err == nil) != (bit < 0) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
	if body, err := OpenBody(Header{Len: 2, Type: TypeGet}, []byte("ab"), false); string(body) != "ab" || err != nil {
		t.Errorf("a frame typed by hand: %q, %v", body, err)
	}
	_, err := OpenBody(Header{Len: 3, Type: TypeOK, Flags: FlagChecked}, make([]byte, 3), false)
	if e := new(Error); !errors.As(err, &e) || e.Code != CodeChecksum {
		t.Errorf("a body shorter than its checksum: %v", err)
	}
}
