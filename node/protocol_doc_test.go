package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"s4"
	"s4/cli"
	"s4/wire"
)

func docRead(t *testing.T) (lines []string, tables []docTable) {
	t.Helper()
	text, err := os.ReadFile(protoDoc)
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(string(text), "\n")
	heading := ""
	in := false
	for i, line := range lines {
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimLeft(line, "# ")
		}
		if !strings.HasPrefix(line, "|") {
			in = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		switch {
		case !in:
			tables = append(tables, docTable{line: i + 1, heading: heading, head: cells})
			in = true
		case !strings.HasPrefix(line, "|---"):
			last := &tables[len(tables)-1]
			if len(cells) != len(last.head) {
				t.Errorf("PROTOCOL.md:%d: %d cells below %d", i+1, len(cells), len(last.head))
			}
			last.rows = append(last.rows, cells)
		}
	}
	return lines, tables
}

// docTables returns the tables with these columns, of which there must be
// some.
func docTables(t *testing.T, columns ...string) []docTable {
	t.Helper()
	_, all := docRead(t)
	var found []docTable
	for _, tab := range all {
		if slices.Equal(tab.head, columns) {
			found = append(found, tab)
		}
	}
	if len(found) == 0 {
		t.Fatalf("PROTOCOL.md has no table with the columns %q", columns)
	}
	return found
}

func TestProtocolTypes(t *testing.T) {
	listed := make(map[wire.Type]bool)
	for _, row := range docTables(t, "Number", "Name", "Channel", "Direction", "Body", "Meaning")[0].rows {
		n, err := strconv.ParseUint(row[0], 0, 8)
		if err != nil {
			t.Errorf("%q: %v", row, err)
			continue
		}
		typ := wire.Type(n)
		listed[typ] = true
		if typ.String() != row[1] {
			t.Errorf("PROTOCOL.md says %s is %s, package wire says %s", row[0], row[1], typ)
		}
		body := "message"
		switch wire.New(typ).(type) {
		case nil:
			body = "raw"
		case wire.Empty:
			body = "empty"
		}
		if row[4] != body {
			t.Errorf("PROTOCOL.md says the body of %s is %q, package wire says %q", typ, row[4], body)
		}
		limit := uint32(wire.MaxMessage)
		if body == "raw" {
			limit = wire.MaxData
		}
		for _, h := range []wire.Header{{Type: typ, Len: limit}, {Type: typ, Len: limit + 1}} {
			if _, err := wire.DecodeHeader(h.Append(nil)); (err == nil) != (h.Len == limit) {
				t.Errorf("%s with a body of %d bytes: %v", typ, h.Len, err)
			}
		}
	}
	for n := range 256 {
		typ := wire.Type(n)
		if known := !strings.HasPrefix(typ.String(), "TYPE-"); known != listed[typ] {
			t.Errorf("type %#02x, %s: known to package wire: %v, in PROTOCOL.md: %v", n, typ, known, listed[typ])
		}
	}
}

func TestProtocolCodes(t *testing.T) {
	listed := make(map[wire.Code]bool)
	for _, row := range docTables(t, "Number", "Name", "Meaning")[0].rows {
		n, err := strconv.ParseUint(row[0], 10, 16)
		if err != nil {
			t.Errorf("%q: %v", row, err)
			continue
		}
		code := wire.Code(n)
		listed[code] = true
		if code.String() != row[1] {
			t.Errorf("PROTOCOL.md says error %d is %s, package wire says %s", n, row[1], code)
		}
	}
	for n := range 1000 {
		code := wire.Code(n)
		if known := !strings.HasPrefix(code.String(), "code-"); known != listed[code] {
			t.Errorf("error %d, %s: known to package wire: %v, in PROTOCOL.md: %v", n, code, known, listed[code])
		}
	}
}

// TestProtocolConstants compares every exported constant of package wire that
// is no frame type and no error code, whatever it is called, with the document.
func TestProtocolConstants(t *testing.T) {
	listed := make(map[string]constant.Value)
	for _, row := range docTables(t, "Name", "Value", "Meaning")[0].rows {
		v := constant.MakeFromLiteral(row[1], token.INT, 0)
		if strings.HasPrefix(row[1], `"`) {
			v = constant.MakeFromLiteral(row[1], token.STRING, 0)
		}
		if v.Kind() == constant.Unknown {
			t.Errorf("%q is no value", row)
		}
		listed[row[0]] = v
	}
	pkg := docWire(t)
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || !c.Exported() {
			continue
		}
		switch c.Type().String() {
		case "wire.Type", "wire.Code":
			continue // in tables of their own
		}
		v := listed[name]
		delete(listed, name)
		if v == nil {
			t.Errorf("%s = %s is not in PROTOCOL.md", name, c.Val())
		} else if !constant.Compare(v, token.EQL, c.Val()) {
			t.Errorf("%s is %s, PROTOCOL.md says %s", name, c.Val(), v)
		}
	}
	for name := range listed {
		t.Errorf("PROTOCOL.md has a constant %s, package wire has not", name)
	}
}

// docWire returns the declarations of package wire.
func docWire(t *testing.T) *types.Package {
	t.Helper()
	names, err := filepath.Glob("../wire/*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	// Its imports do not matter to its constants.
	conf := types.Config{Importer: docImports{}, IgnoreFuncBodies: true, Error: func(error) {}}
	pkg, _ := conf.Check("wire", fset, files, nil)
	return pkg
}

type docImports struct{}

func (docImports) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

// TestProtocolLayouts compares the layout tables with the decoder: the order,
// names and sizes of the fields, and the limits of the strings.
func TestProtocolLayouts(t *testing.T) {
	done := make(map[wire.Type]bool)
	tables := docTables(t, "Bytes", "Field", "At most", "Meaning")
	for _, tab := range tables {
		docExpand(t, &tab, tables)
		entry := (tab.heading == "ENTRIES" || tab.heading == "TASKS") && len(tab.rows) > 1
		for n := range 256 {
			typ := wire.Type(n)
			if !slices.Contains(docTypes(tab), typ.String()) {
				continue
			}
			done[typ] = true
			var front []byte
			if entry {
				front = []byte{0, 0, 0, 1} // the count
			}
			docLayout(t, typ, front, tab)
		}
	}
	for n := range 256 {
		typ := wire.Type(n)
		switch wire.New(typ).(type) {
		case nil, wire.Empty:
		default:
			if !done[typ] {
				t.Errorf("PROTOCOL.md has no layout of %s", typ)
			}
		}
	}
}

// docTypes returns the names of the frame types that a table is about.
func docTypes(tab docTable) []string { return strings.Split(tab.heading, " and ") }

// docExpand replaces rows like "all of JOB" by those of that table.
func docExpand(t *testing.T, tab *docTable, tables []docTable) {
	t.Helper()
	var rows [][]string
	for _, row := range tab.rows {
		name, ok := strings.CutPrefix(row[0], "all of ")
		if !ok {
			rows = append(rows, row)
			continue
		}
		i := slices.IndexFunc(tables, func(of docTable) bool { return slices.Contains(docTypes(of), name) })
		if i < 0 {
			t.Fatalf("%s: PROTOCOL.md has no table of %s", tab.heading, name)
		}
		rows = append(rows, tables[i].rows...)
	}
	tab.rows = rows
}

func docLayout(t *testing.T, typ wire.Type, front []byte, tab docTable) {
	t.Helper()
	size := len(front)
	fields := make([]int, len(tab.rows)) // their offsets
	for i, row := range tab.rows {
		fields[i] = size
		n, err := strconv.Atoi(strings.TrimSuffix(row[0], "+n"))
		if err != nil {
			t.Errorf("%s: %q: %v", typ, row, err)
		}
		size += n
	}
	body := append(slices.Clone(front), make([]byte, size-len(front))...)
	if _, err := wire.Decode(typ, body); err != nil {
		t.Errorf("%s of %d bytes, as PROTOCOL.md says: %v", typ, size, err)
		return
	}
	for i, row := range tab.rows {
		end := size
		if i+1 < len(fields) {
			end = fields[i+1]
		}
		_, err := wire.Decode(typ, body[:end-1])
		_, name, _ := strings.Cut(fmt.Sprint(err), "ends inside its ")
		if len(front) == 0 && (name == "" || !strings.HasSuffix(row[1], name)) {
			t.Errorf("%s: PROTOCOL.md has %q at offset %d, where the decoder says: %v", typ, row[1], fields[i], err)
		}
		long := slices.Clone(body)
		copy(long[fields[i]:], "\xff\xff\xff\xff")
		want := "bytes, at most " + row[2]
		if !strings.HasSuffix(row[0], "+n") {
			if row[2] != "" {
				t.Errorf("%s: %q is no string", typ, row)
			}
			continue
		}
		var we *wire.Error
		if _, err := wire.Decode(typ, long); !errors.As(err, &we) || we.Code != wire.CodeTooLarge || !strings.HasSuffix(we.Text, want) {
			t.Errorf("%s: PROTOCOL.md has %q, where the decoder says: %v", typ, row, err)
		}
	}
}

func TestProtocolSmallTables(t *testing.T) {
	code := func(s string) []string { return strings.Fields(strings.ReplaceAll(s, "`", " ")) }
	for _, row := range docTables(t, "Cluster", "Fingerprint")[0].rows {
		c, err := s4.ParseCluster(strings.NewReader(strings.Join(code(row[0]), "\n")), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%016x", c.Fingerprint()); got != row[1] {
			t.Errorf("fingerprint of %s is %s, PROTOCOL.md says %s", row[0], got, row[1])
		}
	}
	three := s4.Cluster{Servers: make([]s4.Server, 3)}
	for _, row := range docTables(t, "Key", "Index of 3 servers")[0].rows {
		if got := strconv.Itoa(three.Place(code(row[0])[0])); got != row[1] {
			t.Errorf("%s belongs to server %s of 3, PROTOCOL.md says %s", row[0], got, row[1])
		}
	}
	flags := map[string]byte{"LZ4": wire.FlagLZ4, "STREAM": wire.FlagStream, "RECURSIVE": wire.FlagRecursive, "CHECKED": wire.FlagChecked}
	for _, row := range docTables(t, "Flag", "On", "Meaning")[0].rows {
		number, name, _ := strings.Cut(row[0], " ")
		if want := fmt.Sprintf("0x%02x", flags[name]); number != want {
			t.Errorf("flag %s is %s, PROTOCOL.md says %s", name, want, number)
		}
	}
	for column, numbers := range map[string]map[string]uint64{
		"Option": {"keep-going": uint64(wire.JobKeepGoing), "resume": uint64(wire.JobResume), "report": uint64(wire.JobReport),
			"lz4": uint64(wire.JobLZ4), "detach": uint64(wire.JobDetach)},
		"Verdict": {"discarded": uint64(wire.VerdictDiscarded), "committed": uint64(wire.VerdictCommitted),
			"prepared": uint64(wire.VerdictPrepared), "orphaned": uint64(wire.VerdictOrphaned)},
		"State of a job": {"running": uint64(wire.JobRunning), "prepared": uint64(wire.JobPrepared), "orphaned": uint64(wire.JobOrphaned),
			"committed": uint64(wire.JobCommitted), "failed": uint64(wire.JobFailed), "canceled": uint64(wire.JobCanceled)},
		"State of a task": {"done": uint64(wire.TaskDone), "failed": uint64(wire.TaskFailed), "retried": uint64(wire.TaskRetried),
			"running": uint64(wire.TaskRunning)},
	} {
		first := "Number"
		if column == "Option" {
			first = "Bit"
		}
		rows := docTables(t, first, column, "Meaning")[0].rows
		for _, row := range rows {
			if want := strconv.FormatUint(numbers[row[1]], 10); row[0] != want {
				t.Errorf("%s %s is %s, PROTOCOL.md says %s", column, row[1], want, row[0])
			}
		}
		if len(rows) != len(numbers) {
			t.Errorf("PROTOCOL.md has %d rows of %s, want %d", len(rows), column, len(numbers))
		}
	}
	end := func(tab docTable) int {
		at := 0
		for _, row := range tab.rows {
			if row[0] != strconv.Itoa(at) {
				t.Errorf("line %d: %q stands at %d", tab.line, row, at)
			}
			n, _ := strconv.Atoi(row[1])
			at += n
		}
		return at
	}
	if n := end(docTables(t, "Offset", "Bytes", "From the client", "From the server")[0]); n != wire.PreambleSize {
		t.Errorf("PROTOCOL.md's preamble has %d bytes", n)
	}
	if n := end(docTables(t, "Offset", "Bytes", "Field")[0]); n != wire.HeaderSize {
		t.Errorf("PROTOCOL.md's frame header has %d bytes", n)
	}
}

// docExample is one command of the document with what it prints.
type docExample struct {
	line    int
	command string
	want    []string
}

// docExamples returns the commands of all console blocks, in order. A command
// goes on on the next line after a backslash or a bar.
func docExamples(t *testing.T) []docExample {
	t.Helper()
	lines, _ := docRead(t)
	var list []docExample
	in, more := false, false
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console"
			more = false
			continue
		case !in:
			continue
		case more:
			list[len(list)-1].command += "\n" + line
		case strings.HasPrefix(line, "$ "):
			list = append(list, docExample{line: i + 1, command: line[2:]})
		case len(list) == 0:
			t.Fatalf("PROTOCOL.md:%d: output before the first command", i+1)
		default:
			list[len(list)-1].want = append(list[len(list)-1].want, line)
			continue
		}
		more = strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "|")
	}
	return list
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

const docNetcat = "nc -N 127.0.0.1 4000"

// TestProtocolExamples speaks every example of the document to a live server,
// in order.
func TestProtocolExamples(t *testing.T) {
	p := startProto(t, 0)
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
	if out, err := exec.Command("go", "build", "-o", bin, "s4/cli/s4").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := startProto(t, 0)
	_, port, _ := net.SplitHostPort(p.addr)
	session := "" // the assignments so far
	for _, ex := range docExamples(t) {
		if docAssignment.MatchString(ex.command) {
			session += ex.command + "\n"
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), protoHang)
		typed := strings.ReplaceAll(ex.command, docNetcat, strings.Replace(docNetcat, "4000", port, 1))
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
