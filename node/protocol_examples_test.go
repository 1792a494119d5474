package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/wire"
)

const (
	docNetcat       = "nc -N 127.0.0.1 4000"
	docNetcatSecret = "nc -N 127.0.0.1 4001" // the document's server with a secret
)

// TestProtocolExamples speaks every example of the document to a live server,
// in order.
func TestProtocolExamples(t *testing.T) {
	p, withSecret := startProto(t, 0), startProtoSecret(t)
	vars := make(docVars)
	spoken := 0
	for _, ex := range docExamples(t) {
		b, pipe, err := vars.stages(ex.command)
		if err != nil {
			t.Fatalf("PROTOCOL.md:%d: %v", ex.line, err)
		}
		if pipe == nil {
			continue
		}
		var text string
		for _, stage := range pipe {
			switch stage {
			case docNetcat:
				b = p.exchange(b)
				text = string(b)
				spoken++
			case docNetcatSecret:
				b = withSecret.exchange(b)
				text = string(b)
			case "xxd":
				text = docDump(protoSteady(b), docMask(ex.want))
			case "s4 frames":
				var out, errs bytes.Buffer
				if code := cli.Main(t.Context(), []string{"frames"}, bytes.NewReader(b), &out, &errs); code != 0 {
					t.Errorf("PROTOCOL.md:%d: s4 frames: exit %d: %s", ex.line, code, &errs)
				}
				text = out.String()
			default:
				t.Fatalf("PROTOCOL.md:%d: this test does not know %q", ex.line, stage)
			}
		}
		ex.compare(t, text)
	}
	if spoken < 20 {
		t.Errorf("only %d examples speak to the server", spoken)
	}
	p.wantServing()
}

// TestProtocolExamplesTyped runs every example as it is typed, with bash, nc
// and xxd, where these are installed. TestProtocolExamples needs none of them.
func TestProtocolExamplesTyped(t *testing.T) {
	for _, tool := range []string{"bash", "nc", "xxd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v (apt install netcat-openbsd xxd)", err)
		}
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", bin, "github.com/nathants/s4/cli/s4").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p, withSecret := startProto(t, 0), startProtoSecret(t)
	_, port, _ := net.SplitHostPort(p.addr)
	_, secretPort, _ := net.SplitHostPort(withSecret.addr)
	session := "" // the assignments so far
	for _, ex := range docExamples(t) {
		if docAssignment.MatchString(ex.command) {
			session += ex.command + "\n"
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), protoHang)
		typed := strings.ReplaceAll(ex.command, docNetcat, strings.Replace(docNetcat, "4000", port, 1))
		typed = strings.ReplaceAll(typed, docNetcatSecret, strings.Replace(docNetcatSecret, "4001", secretPort, 1))
		cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", session+typed)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("PROTOCOL.md:%d: %v\n%s", ex.line, err, out)
			continue
		}
		text := string(out)
		if strings.HasSuffix(ex.command, "| xxd") {
			b := docUndump(t, text)
			if own := docDump(b, nil); own != text {
				t.Errorf("PROTOCOL.md:%d: xxd prints\n%s\nwhere this test would print\n%s", ex.line, text, own)
			}
			text = docDump(protoSteady(b), docMask(ex.want))
		}
		ex.compare(t, text)
	}
}

// compare compares what an example printed with what the document shows. In
// text that is no dump, =.. stands for any value.
func (ex docExample) compare(t *testing.T, got string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	same := len(lines) == len(ex.want)
	for i := 0; same && i < len(lines); i++ {
		want := strings.TrimRight(ex.want[i], " ")
		if !strings.Contains(ex.command, "| xxd") {
			want = strings.ReplaceAll(regexp.QuoteMeta(want), `=\.\.`, `=\S+`)
			same = regexp.MustCompile("^" + want + "$").MatchString(lines[i])
		} else {
			same = want == strings.TrimRight(lines[i], " ")
		}
	}
	if !same {
		t.Errorf("PROTOCOL.md:%d:\n$ %s\n%s\nPROTOCOL.md says:\n%s", ex.line, ex.command, got, strings.Join(ex.want, "\n"))
	}
}

// docVars are the variables that examples have set.
type docVars map[string]string

var (
	docAssignment = regexp.MustCompile(`^([a-z]+)=`)
	docVariable   = regexp.MustCompile(`^\$([a-z]+)`)
)

// word expands the word that s begins with, in the little of bash's grammar
// that the examples use, and returns what follows it.
func (v docVars) word(s string) (word, rest string, err error) {
	for s != "" {
		switch m := docVariable.FindStringSubmatch(s); {
		case m != nil:
			word, s = word+v[m[1]], s[len(m[0]):]
		case strings.HasPrefix(s, "\\\n"):
			s = s[2:]
		case s[0] == '\'' || s[0] == '"':
			in, after, ok := strings.Cut(s[1:], s[:1])
			if !ok {
				return "", "", errors.New("no closing quote")
			}
			if s[0] == '"' {
				if in, _, err = v.word(in); err != nil {
					return "", "", err
				}
			}
			word, s = word+in, after
		case strings.ContainsRune(" \n|", rune(s[0])):
			return word, s, nil
		default:
			return "", "", fmt.Errorf("%q is more shell than this test knows", s)
		}
	}
	return word, "", nil
}

var docEscape = regexp.MustCompile(`(?s)\\(?:x[0-9a-fA-F]{1,2}|.)|%`)

// docPrintf returns what printf(1) prints for a format without directives.
func docPrintf(format string) ([]byte, error) {
	var bad error
	out := docEscape.ReplaceAllFunc([]byte(format), func(b []byte) []byte {
		switch {
		case string(b) == `\n`:
			return []byte("\n")
		case string(b) == `\r`:
			return []byte("\r")
		case len(b) > 2:
			n, _ := strconv.ParseUint(string(b[2:]), 16, 8)
			return []byte{byte(n)}
		}
		bad = fmt.Errorf("printf: %q", b)
		return nil
	})
	return out, bad
}

// stages returns the bytes that a command prints first and the programs that
// they are piped through, or nothing if it is an docAssignment, which it does.
func (v docVars) stages(command string) (in []byte, pipe []string, err error) {
	if m := docAssignment.FindStringSubmatch(command); m != nil {
		v[m[1]], _, err = v.word(command[len(m[0]):])
		return nil, nil, err
	}
	command, ok := strings.CutPrefix(command, "printf ")
	if !ok {
		return nil, nil, errors.New("neither an docAssignment nor printf")
	}
	format, rest, err := v.word(command)
	if err != nil {
		return nil, nil, err
	}
	for stage := range strings.SplitSeq(rest, "|") {
		if stage = strings.TrimSpace(stage); stage != "" {
			pipe = append(pipe, stage)
		}
	}
	in, err = docPrintf(format)
	return in, pipe, err
}

// protoSteady returns an answer without the frames that come when they come.
func protoSteady(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte(wire.Magic)) || len(b) < wire.PreambleSize {
		return b
	}
	out, b := slices.Clone(b[:wire.PreambleSize]), b[wire.PreambleSize:]
	for len(b) >= wire.HeaderSize {
		n := wire.HeaderSize + int(binary.BigEndian.Uint32(b))
		if n > len(b) {
			break
		}
		if typ := wire.Type(b[4]); typ != wire.TypePing && typ != wire.TypeProgress {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return append(out, b...)
}

// docHex returns the hexadecimal digits in a line of a dump, two a byte.
func docHex(line string) string {
	const from, to = len("00000000: "), len("00000000: 0000 0000 0000 0000 0000 0000 0000 0000")
	if len(line) < from {
		return ""
	}
	return strings.ReplaceAll(line[from:min(to, len(line))], " ", "")
}

// docMask returns the offsets of the bytes that the document shows as dots.
func docMask(dump []string) map[int]bool {
	mask := make(map[int]bool)
	for row, line := range dump {
		digits := docHex(line)
		for i := 0; i+1 < len(digits); i += 2 {
			if digits[i:i+2] == ".." {
				mask[row*16+i/2] = true
			}
		}
	}
	return mask
}

// docDump prints b as xxd does, but for the bytes at the masked offsets.
func docDump(b []byte, mask map[int]bool) string {
	var out strings.Builder
	for at := 0; at < len(b); at += 16 {
		var digits, text strings.Builder
		for i := at; i < min(at+16, len(b)); i++ {
			if i > at && i%2 == 0 {
				digits.WriteByte(' ')
			}
			switch {
			case mask[i]:
				digits.WriteString("..")
				text.WriteByte('.')
				continue
			case b[i] < ' ' || b[i] > '~':
				text.WriteByte('.')
			default:
				text.WriteByte(b[i])
			}
			fmt.Fprintf(&digits, "%02x", b[i])
		}
		fmt.Fprintf(&out, "%08x: %-39s  %s\n", at, &digits, &text)
	}
	return out.String()
}

// docUndump returns the bytes of a dump.
func docUndump(t *testing.T, text string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(text) {
		p, err := hex.DecodeString(docHex(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		b = append(b, p...)
	}
	return b
}
