package node_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/wire"
)

// TestProtocolVectors prints every frame of the document's vectors and compares.
// Each encodes as it stands there, and no message is without one.
func TestProtocolVectors(t *testing.T) {
	text, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```vectors\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("PROTOCOL.md has no vectors")
	}
	shown := make(map[wire.Type]bool)
	var digits string
	for line := range strings.Lines(string(block[1])) {
		line = strings.TrimSuffix(line, "\n")
		want, said := strings.CutPrefix(line, "  ")
		if !said {
			digits += line
			continue
		}
		frame, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", digits, err)
		}
		digits = ""
		var out, errs bytes.Buffer
		if code := cli.Main(t.Context(), []string{"frames"}, bytes.NewReader(frame), &out, &errs); code != 0 {
			t.Errorf("%x: %s", frame, &errs)
			continue
		}
		if _, got, _ := strings.Cut(out.String(), " "); strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%x:\n%s\nPROTOCOL.md says\n%s", frame, got, want)
		}
		h, err := wire.DecodeHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		body, err := wire.OpenBody(h, frame[wire.HeaderSize:], false)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Decode(h.Type, body)
		if err != nil {
			t.Fatal(err)
		}
		if again := wire.AppendFrame(nil, h.Tag, h.Flags, m); !bytes.Equal(again, frame) {
			t.Errorf("%x encodes as %x", frame, again)
		}
		shown[h.Type] = true
	}
	for n := range 256 {
		if typ := wire.Type(n); wire.New(typ) != nil && !shown[typ] {
			t.Errorf("no vector of %s", typ)
		}
	}
}
