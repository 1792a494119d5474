package wire

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodePreambleErrors(t *testing.T) {
	good := goldenPreambles[0].bytes
	with := func(at int, c byte) string { return good[:at] + string([]byte{c}) + good[at+1:] }
	for _, c := range []struct {
		name, in string
		code     Code
	}{
		{"empty", "", CodeBadRequest},
		{"one byte short", good[:31], CodeBadRequest},
		{"one byte more", good + "\x00", CodeBadRequest},
		{"http", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r", CodeBadRequest},
		{"a refusal", "s4-error internal: xxxxxxxxxxxxx", CodeBadRequest},
		{"magic 0", with(0, 'S'), CodeBadRequest},
		{"magic 3", with(3, 'q'), CodeBadRequest},
		{"lowest over highest", with(5, 2), CodeBadRequest},
		{"channel 0", with(6, 0), CodeBadRequest},
		{"channel D", with(6, 'D'), CodeBadRequest},
		{"auth 1", with(7, 1), CodeBadRequest},
		{"extra bytes", with(29, 1), CodeBadRequest},
		{"reserved", with(31, 1), CodeBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodePreamble([]byte(c.in))
			wantCode(t, err, c.code)
		})
	}
}

// Decoding a preamble of another version is no error: the caller reports it. The bytes
// that follow the versions may have another meaning in that version, and are ignored.
func TestDecodePreambleOtherVersion(t *testing.T) {
	for _, c := range []struct {
		min, max byte
		speaks   bool
		words    string
	}{{0, 0, false, "0"}, {2, 2, false, "2"}, {2, 255, false, "2 to 255"}, {1, 1, true, "1"}, {0, 1, true, "0 to 1"}, {1, 9, true, "1 to 9"}} {
		channel := byte(9)
		if c.speaks {
			channel = 'c'
		}
		b := []byte("s4wp" + string([]byte{c.max, c.min, channel}) + "\x00" + strings.Repeat("\x00", 8) + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00\x00\x00\x02" + "\x00\x00\x00\x00")
		p, err := DecodePreamble(b)
		want := Preamble{Version: c.max, MinVersion: c.min, Channel: Channel(channel), Fingerprint: 0x0102030405060708, Index: 2}
		if err != nil || p != want || p.Speaks() != c.speaks || p.Versions() != c.words {
			t.Errorf("versions %d to %d: %+v, %v, speaks %v, %s", c.min, c.max, p, err, p.Speaks(), p.Versions())
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, p := range pinnedCodes {
		e := ParseRefusal(string(AppendRefusal(nil, p.c, "why: not")))
		if e.Code != p.c || e.Text != "why: not" {
			t.Errorf("%s became %+v", p.c, e)
		}
	}
	for _, n := range []int{0, 1, 980, 1000, MaxRefusal, 1 << 20} {
		line := AppendRefusal([]byte("x"), CodeInternal, strings.Repeat("r", n))[1:]
		if len(line) > MaxRefusal || !bytes.HasSuffix(line, []byte("\n")) {
			t.Errorf("reason of %d bytes: a line of %d bytes", n, len(line))
		}
	}
	// A cut does not leave half a character, wherever it falls.
	for n := range 4 {
		line := AppendRefusal(nil, CodeInternal, strings.Repeat("x", n)+strings.Repeat("\u20ac", MaxRefusal))
		if !utf8.Valid(line) || len(line) > MaxRefusal || len(line) < MaxRefusal-3 {
			t.Errorf("a line of %d bytes, valid UTF-8: %v", len(line), utf8.Valid(line))
		}
	}
	if line := AppendRefusal(nil, CodeInternal, "a\nb\n"); bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Errorf("a reason with newlines makes more than a line: %q", line)
	}
	for _, c := range []struct {
		line string
		want Error
	}{
		{"", Error{Code: CodeBadRequest}},
		{"HTTP/1.1 400 Bad Request\r\n", Error{Code: CodeBadRequest}},
		{"s4-error", Error{Code: CodeBadRequest}},
		{"s4-error ", Error{Code: CodeInternal, Text: ""}},
		{"s4-error exists", Error{Code: CodeExists}},
		{"s4-error brand-new: reason", Error{Code: CodeInternal, Text: "reason"}},
		{"s4-error timeout: \r\n", Error{Code: CodeTimeout}},
	} {
		e := ParseRefusal(c.line)
		if c.want.Code == CodeBadRequest && e.Text != "" {
			e.Text = "" // any words
		}
		if *e != c.want {
			t.Errorf("%q became %+v", c.line, e)
		}
	}
}
