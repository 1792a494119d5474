package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// golden holds one frame or more of every message type, byte by byte as
// PROTOCOL.md lays them out: header (length, type, flags, tag), then the body.
var golden = []struct {
	tag   uint16
	flags byte
	m     Message
	frame string
}{
	{0x0102, 0, &Error{Code: CodeTaskFailed, Key: "b/k", Text: "it\nfailed", Exit: -1, Signal: 9, Stderr: "\x00\xff%d"},
		"\x00\x00\x00\x23\x01\x00\x01\x02" +
			"\x00\x0d" + "\xff\xff\xff\xff" + "\x09" +
			"\x00\x00\x00\x03b/k" + "\x00\x00\x00\x09it\nfailed" + "\x00\x00\x00\x04\x00\xff%d"},
	{1, 0, &Error{Code: CodeInternal},
		"\x00\x00\x00\x13\x01\x00\x00\x01" + "\x00\x01" + "\x00\x00\x00\x00" + "\x00" +
			"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"},
	{7, 0, Empty{TypeOK}, "\x00\x00\x00\x00\x02\x00\x00\x07"},
	{0, 0, Empty{TypePing}, "\x00\x00\x00\x00\x03\x00\x00\x00"},
	{1, FlagLZ4, &Put{Size: SizeUnknown, Key: "bucket/a"},
		"\x00\x00\x00\x14\x10\x01\x00\x01" + "\xff\xff\xff\xff\xff\xff\xff\xff" + "\x00\x00\x00\x08bucket/a"},
	{2, 0, &Get{Key: "b/\u00e9"}, "\x00\x00\x00\x08\x11\x00\x00\x02" + "\x00\x00\x00\x04b/\xc3\xa9"},
	{3, 0, &Push{Size: 0x0102030405060708, Job: 0x1112131415161718, Key: "b/k"},
		"\x00\x00\x00\x17\x12\x00\x00\x03" + "\x01\x02\x03\x04\x05\x06\x07\x08" +
			"\x11\x12\x13\x14\x15\x16\x17\x18" + "\x00\x00\x00\x03b/k"},
	{4, 0, &Eval{Key: "b/k", Command: "wc -l"},
		"\x00\x00\x00\x10\x13\x00\x00\x04" + "\x00\x00\x00\x03b/k" + "\x00\x00\x00\x05wc -l"},
	{5, FlagStream, &Object{Size: 1, Mtime: -2, Sum: 0xef46db3751d8e999},
		"\x00\x00\x00\x18\x14\x02\x00\x05" + "\x00\x00\x00\x00\x00\x00\x00\x01" +
			"\xff\xff\xff\xff\xff\xff\xff\xfe" + "\xef\x46\xdb\x37\x51\xd8\xe9\x99"},
	{6, 0, &Trailer{Length: 0x0102030405060708, Sum: 0xef46db3751d8e999},
		"\x00\x00\x00\x10\x16\x00\x00\x06" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\xef\x46\xdb\x37\x51\xd8\xe9\x99"},
	{7, 0, Empty{TypeAbort}, "\x00\x00\x00\x00\x17\x00\x00\x07"},
	{8, 0, &Exit{Code: 3, Signal: 15, Stdout: Trailer{1, 2}, Stderr: Trailer{3, 4}},
		"\x00\x00\x00\x25\x19\x00\x00\x08" + "\x00\x00\x00\x03" + "\x0f" +
			"\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" +
			"\x00\x00\x00\x00\x00\x00\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x04"},
	{9, FlagRecursive, &List{Prefix: "b/"}, "\x00\x00\x00\x06\x20\x01\x00\x09" + "\x00\x00\x00\x02b/"},
	{10, 0, &List{}, "\x00\x00\x00\x04\x20\x00\x00\x0a" + "\x00\x00\x00\x00"},
	{11, 0, &Entries{[]Entry{{EntryKey, 5, 0x0102030405060708, "b/k"}, {EntryDir, 0, 0, "b/d/"}}},
		"\x00\x00\x00\x35\x21\x00\x00\x0b" + "\x00\x00\x00\x02" +
			"\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00\x00\x00\x03b/k" +
			"\x02" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x04b/d/"},
	{11, 0, &Entries{[]Entry{}}, "\x00\x00\x00\x04\x21\x00\x00\x0b" + "\x00\x00\x00\x00"},
	{12, 0, &End{Count: 258}, "\x00\x00\x00\x08\x22\x00\x00\x0c" + "\x00\x00\x00\x00\x00\x00\x01\x02"},
	{13, 0, &Remove{Prefix: "b/k"}, "\x00\x00\x00\x07\x23\x00\x00\x0d" + "\x00\x00\x00\x03b/k"},
	{14, 0, &Removed{Count: 1}, "\x00\x00\x00\x08\x24\x00\x00\x0e" + "\x00\x00\x00\x00\x00\x00\x00\x01"},
	{15, 0, &Stat{Key: "b/k"}, "\x00\x00\x00\x07\x25\x00\x00\x0f" + "\x00\x00\x00\x03b/k"},
	{16, 0, Empty{TypeHealth}, "\x00\x00\x00\x00\x26\x00\x00\x10"},
	{17, 0, &HealthInfo{Release: "v1", Index: 2, Servers: 3, Uptime: 4, Keys: 5, Bytes: 6, Free: 7, Total: 8},
		"\x00\x00\x00\x36\x27\x00\x00\x11" + "\x00\x00\x00\x02v1" + "\x00\x00\x00\x02" + "\x00\x00\x00\x03" +
			"\x00\x00\x00\x00\x00\x00\x00\x04" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x00\x00\x00\x00\x00\x00\x06" +
			"\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x08"},
	{18, 0, &Job{ID: 0x1112131415161718, Verb: VerbMapToN, Indir: "b/in/", Outdir: "b/out/", Command: "split"},
		"\x00\x00\x00\x25\x30\x00\x00\x12" + "\x11\x12\x13\x14\x15\x16\x17\x18" + "\x02" +
			"\x00\x00\x00\x05b/in/" + "\x00\x00\x00\x06b/out/" + "\x00\x00\x00\x05split"},
	{19, 0, &Ready{Tasks: 1, Bytes: 2}, "\x00\x00\x00\x10\x31\x00\x00\x13" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02"},
	{20, 0, Empty{TypeStart}, "\x00\x00\x00\x00\x32\x00\x00\x14"},
	{21, 0, &Progress{Tasks: 1, BytesIn: 2, BytesOut: 3, Pushed: 4},
		"\x00\x00\x00\x20\x33\x00\x00\x15" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" +
			"\x00\x00\x00\x00\x00\x00\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x04"},
	{22, 0, &Done{Progress{Tasks: 5, BytesIn: 6, BytesOut: 7, Pushed: 8}},
		"\x00\x00\x00\x20\x34\x00\x00\x16" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x00\x00\x00\x00\x00\x00\x06" +
			"\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x08"},
	{23, 0, Empty{TypePrepare}, "\x00\x00\x00\x00\x35\x00\x00\x17"},
	{24, 0, Empty{TypePrepared}, "\x00\x00\x00\x00\x36\x00\x00\x18"},
	{25, 0, Empty{TypeCommit}, "\x00\x00\x00\x00\x37\x00\x00\x19"},
	{26, 0, &Committed{Keys: 9, Bytes: 10}, "\x00\x00\x00\x10\x38\x00\x00\x1a" + "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x00\x00\x00\x00\x00\x00\x00\x0a"},
	{0xffff, 0x7f, Empty{TypeDiscard}, "\x00\x00\x00\x00\x39\x7f\xff\xff"},
}

// eachGolden runs f for every golden frame, with its decoded header and body.
func eachGolden(t *testing.T, f func(t *testing.T, i int, h Header, body []byte)) {
	for i, g := range golden {
		t.Run(fmt.Sprintf("%02d-%s", i, g.m.Type()), func(t *testing.T) {
			h, err := DecodeHeader([]byte(g.frame))
			if err != nil {
				t.Fatal(err)
			}
			f(t, i, h, []byte(g.frame[HeaderSize:]))
		})
	}
}

func TestGoldenEncode(t *testing.T) {
	eachGolden(t, func(t *testing.T, i int, _ Header, _ []byte) {
		g := golden[i]
		if got := AppendFrame([]byte("before"), g.tag, g.flags, g.m); string(got) != "before"+g.frame {
			t.Errorf("encoded as\n%x, golden is\n%x", got[len("before"):], g.frame)
		}
	})
}

func TestGoldenDecode(t *testing.T) {
	eachGolden(t, func(t *testing.T, i int, h Header, body []byte) {
		g := golden[i]
		if want := (Header{Len: uint32(len(body)), Type: g.m.Type(), Flags: g.flags, Tag: g.tag}); h != want {
			t.Errorf("header %+v, want %+v", h, want)
		}
		if got := h.Append(nil); string(got) != g.frame[:HeaderSize] {
			t.Errorf("header encoded as %x", got)
		}
		m, err := Decode(h.Type, body)
		if err != nil {
			t.Fatal(err)
		}
		clear(body) // the message must not refer to it
		if !reflect.DeepEqual(m, g.m) {
			t.Errorf("decoded as %+v, want %+v", m, g.m)
		}
	})
}

func TestGoldenIsComplete(t *testing.T) {
	have := make(map[Type]bool)
	for _, g := range golden {
		have[g.m.Type()] = true
	}
	for _, p := range pinnedTypes {
		if New(p.t) != nil && !have[p.t] {
			t.Errorf("no golden bytes of %s", p.t)
		}
	}
}

var goldenPreambles = []struct {
	name  string
	p     Preamble
	bytes string
}{
	{"client", Preamble{Version, ChannelData, AuthNone, 0x0102030405060708, AnyServer},
		"s4wp" + "\x01" + "d" + "\x00\x00" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\xff\xff\xff\xff"},
	{"server", Preamble{Version, ChannelControl, AuthNone, 0xf1f2f3f4f5f6f7f8, 2},
		"s4wp" + "\x01" + "c" + "\x00\x00" + "\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" + "\x00\x00\x00\x02"},
}

func TestGoldenPreamble(t *testing.T) {
	for _, g := range goldenPreambles {
		if got := g.p.Append([]byte("x")); string(got) != "x"+g.bytes || len(g.bytes) != PreambleSize {
			t.Errorf("%s: encoded as %x", g.name, got)
		}
		if p, err := DecodePreamble([]byte(g.bytes)); err != nil || p != g.p {
			t.Errorf("%s: decoded as %+v, %v", g.name, p, err)
		}
	}
}

func TestGoldenRefusal(t *testing.T) {
	const line = "s4-error wrong-cluster: the client's cluster file differs: see --conf\n"
	got := AppendRefusal([]byte("x"), CodeWrongCluster, "the client's cluster file differs: see --conf")
	if string(got) != "x"+line {
		t.Errorf("encoded as %q", got)
	}
	for _, end := range []string{"", "\n", "\r\n"} {
		e := ParseRefusal(string(bytes.TrimSuffix([]byte(line), []byte("\n"))) + end)
		if want := (Error{Code: CodeWrongCluster, Text: "the client's cluster file differs: see --conf"}); *e != want {
			t.Errorf("decoded as %+v", e)
		}
	}
}
