package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// isError fails the test unless err is an *Error of one of the codes.
func isError(t *testing.T, err error, codes ...Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *Error: %v", err, err)
	}
	for _, c := range codes {
		if e.Code == c {
			return
		}
	}
	t.Fatalf("error %v is of none of the kinds %v", err, codes)
}

// encodes reports whether got, the encoding of m, begins the body that m was decoded
// from. A byte for true or false is true whatever it is but 0, and encoded as 1.
func encodes(m Message, got, body []byte) bool {
	at := -1 // of such a byte
	switch m := m.(type) {
	case *Inputs:
		at = 0
	case *Verify, *Verified:
		at = len(got) - 1
	case *Damaged:
		at = 4 + len(m.Key) + 8
	case *Attach:
		at = 4 * 8
	case *Cancel:
		at = 8
	case *HealthInfo:
		if m.Open {
			at = len(got) - 1
		}
	case *JobInfo:
		if !isShort(m) {
			n, _ := choice(m)
			at = len(got) - n - 1 - 8 - 4 - 4 - 4*len(m.Without)
		}
	}
	if 0 <= at && at < len(body) && body[at] > 1 {
		body = bytes.Clone(body)
		body[at] = 1
	}
	return bytes.HasPrefix(body, got)
}

func FuzzDecodePreamble(f *testing.F) {
	for _, g := range goldenPreambles {
		f.Add([]byte(g.bytes))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost"))
	f.Add([]byte("s4wp\x03\x02" + strings.Repeat("\x00", 26)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePreamble(b)
		if err != nil {
			isError(t, err, CodeBadRequest)
			return
		}
		if !p.Speaks() {
			return // nothing but its versions is known
		}
		if got := p.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x decodes as %+v, which encodes as %x", b, p, got)
		}
	})
}

// FuzzHandshake has whoever does not know the secret make up an answer or a proof: none
// is accepted, and nothing that comes is followed out of its bounds.
func FuzzHandshake(f *testing.F) {
	secret, err := NewSecret([]byte(vectorSecret))
	if err != nil {
		f.Fatal(err)
	}
	hello, answer, proof := vectorFlights(secret)
	f.Add(hello, answer, proof)
	f.Add(hello, answer[:len(answer)-1], proof)
	f.Add(hello[:PreambleSize], append(bytes.Clone(answer), 0), answer[len(answer)-ProofSize:])
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, h, a, p []byte) {
		for _, b := range [][]byte{h, a} {
			if len(b) < PreambleSize {
				continue
			}
			if pre, err := DecodePreamble(b[:PreambleSize]); err != nil {
				isError(t, err, CodeBadRequest)
			} else if pre.Speaks() && pre.Auth == AuthSecret && pre.Extra != ClientExtra && pre.Extra != ServerExtra {
				t.Fatalf("%x is accepted", b[:PreambleSize])
			}
		}
		same := bytes.Equal(h, hello) && bytes.Equal(a, answer)
		if secret.ServerProves(h, a) && !same {
			t.Fatalf("a made up answer is accepted: %x to %x", a, h)
		}
		if secret.ClientProves(h, a, p) && !(same && bytes.Equal(p, proof)) {
			t.Fatalf("a made up proof is accepted: %x for %x and %x", p, h, a)
		}
		if none := (Secret{}); none.ServerProves(h, a) || none.ClientProves(h, a, p) {
			t.Fatal("no secret proves something")
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.frame[:HeaderSize]))
	}
	f.Add([]byte("\xff\xff\xff\xff\x15\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00\x00\x15\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderSize {
			return // the caller's duty
		}
		h, err := DecodeHeader(b)
		if got := h.Append(nil); !bytes.Equal(got, b[:HeaderSize]) {
			t.Fatalf("%x decodes as %+v, which encodes as %x", b, h, got)
		}
		if err != nil {
			isError(t, err, CodeTooLarge)
			return
		}
		if h.Len > MaxData || (h.Type != TypeData && h.Type != TypeStderr && h.Len > MaxMessage) {
			t.Fatalf("a %s frame of %d bytes is accepted", h.Type, h.Len)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		f.Add(byte(g.m.Type()), []byte(g.frame[HeaderSize:]))
	}
	f.Add(byte(TypeData), []byte("raw"))
	f.Add(byte(TypeEntries), []byte("\xff\xff\xff\xff"))
	f.Add(byte(TypeTasks), []byte("\xff\xff\xff\xff"))
	f.Add(byte(TypeTasks), []byte("\x00\x00\x00\x02"+strings.Repeat("\x00", 2*taskSize-1)))
	f.Add(byte(TypeJob), []byte(strings.Repeat("\x00", 9)+"\xff\xff\xff\xff"+strings.Repeat("\x00", 28)))
	f.Add(byte(TypeGet), []byte("\xff\xff\xff\xffx"))
	f.Add(byte(TypeReset), []byte(strings.Repeat("\x00", 20)+"\xff\xff\xff\xff"))
	f.Add(byte(TypeInputs), []byte("\x02\x00\x00\x00\x01"+strings.Repeat("\x00", inputSize)))
	f.Add(byte(TypeInputs), []byte("\x00\xff\xff\xff\xff"))
	f.Add(byte(TypeInputs), []byte("\x00\x00\x00\x00\x01"+strings.Repeat("\x00", 12)+"\x00\x01\x00\x01"))
	f.Add(byte(TypeCancel), []byte(strings.Repeat("\x00", 8)+"\x02"))
	f.Add(byte(TypeAttach), []byte(strings.Repeat("\x00", 4*8)+"\xff"+strings.Repeat("\x00", 24)))
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		m, err := Decode(Type(typ), body)
		if err != nil {
			isError(t, err, CodeBadRequest, CodeTooLarge, CodeUnsupported)
			if m != nil {
				t.Fatalf("both a message, %+v, and an error, %v", m, err)
			}
			return
		}
		if m.Type() != Type(typ) {
			t.Fatalf("%s decodes as %s", Type(typ), m.Type())
		}
		// More may follow; and fields that may be missing are left out if 0.
		if got := m.append(nil); !encodes(m, got, body) {
			t.Fatalf("%x decodes as %+v, which encodes as %x", body, m, got)
		}
	})
}

func FuzzParseRefusal(f *testing.F) {
	f.Add("s4-error wrong-cluster: two files\n")
	f.Add("s4-error exists")
	f.Add("s4-error code-77: x: y\r\n")
	f.Add("HTTP/1.1 400 Bad Request\r\n")
	f.Add("s4-error internal: " + strings.Repeat("\u20ac", 400))
	f.Fuzz(func(t *testing.T, line string) {
		e := ParseRefusal(line)
		if e == nil || e.Error() == "" {
			t.Fatalf("%q parses as %v", line, e)
		}
		if !strings.HasPrefix(line, RefusalPrefix) && e.Code != CodeBadRequest {
			t.Fatalf("%q, no refusal, parses as %v", line, e)
		}
		// What was parsed is refused in one line of legal length, and parses
		// as the same again, as far as it fits.
		again := string(AppendRefusal(nil, e.Code, e.Text))
		if len(again) > MaxRefusal || strings.IndexByte(again, '\n') != len(again)-1 {
			t.Fatalf("%q is refused as %q", line, again)
		}
		e2 := ParseRefusal(again)
		want := strings.TrimRight(strings.ReplaceAll(e.Text, "\n", " "), "\r")
		whole := len(RefusalPrefix)+len(e.Code.String())+2+len(e.Text) < MaxRefusal
		if e2.Code != e.Code || (whole && e2.Text != want) {
			t.Fatalf("%q parses as %+v, and that, sent as %q, as %+v", line, e, again, e2)
		}
	})
}

// The layout costs no memory: frames are built in the caller's buffer.
func TestEncodeAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4<<10)
	m := &Put{Size: 1, Key: "b/k"}
	if n := testing.AllocsPerRun(100, func() { buf = AppendFrame(buf[:0], 1, 0, m) }); n != 0 {
		t.Errorf("AppendFrame: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = Header{Type: TypeData}.Append(buf[:0]) }); n != 0 {
		t.Errorf("Header.Append: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeHeader(buf) }); n != 0 {
		t.Errorf("DecodeHeader: %v allocations", n)
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	buf := make([]byte, 0, 4<<10)
	m := &Put{Size: 1, Key: "bucket/dir/name.txt"}
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendFrame(buf[:0], 1, 0, m)
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	frame := AppendFrame(nil, 1, 0, &Put{Size: 1, Key: "bucket/dir/name.txt"})
	b.ReportAllocs()
	for b.Loop() {
		h, err := DecodeHeader(frame)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Decode(h.Type, frame[HeaderSize:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEntries(b *testing.B) {
	e := &Entries{}
	for size := 4; size < MaxEntries; {
		e.List = append(e.List, Entry{EntryKey, 1, 2, "bucket/dir/name.txt", 0})
		size += e.List[0].EntrySize(false)
	}
	body := e.append(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(TypeEntries, body); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzOpenBody checks that only a body with the right checksum is opened, and
// that what AppendFrame made is.
func FuzzOpenBody(f *testing.F) {
	f.Add(byte(TypeOK), byte(FlagChecked), uint16(1), []byte("\x00\x00\x00\x00"))
	f.Add(byte(TypeGet), byte(FlagChecked), uint16(7), AppendFrame(nil, 7, FlagChecked, &Get{Key: "b/k"})[HeaderSize:])
	for _, g := range golden {
		f.Add(byte(g.m.Type()), byte(FlagChecked), g.tag, AppendFrame(nil, g.tag, FlagChecked, g.m)[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, typ, flags byte, tag uint16, body []byte) {
		h := Header{Len: uint32(len(body)), Type: Type(typ), Flags: flags, Tag: tag}
		text, err := OpenBody(h, body, false)
		if err != nil || flags&FlagChecked == 0 {
			return
		}
		if len(text) != len(body)-4 {
			t.Fatalf("%d of %d bytes", len(text), len(body))
		}
		m, err := Decode(h.Type, text)
		if err != nil {
			return
		}
		got := AppendFrame(nil, tag, flags, m)
		if got = got[HeaderSize : len(got)-CheckSize]; !encodes(m, got, text) {
			t.Fatalf("%x encodes as %x", text, got)
		}
	})
}
