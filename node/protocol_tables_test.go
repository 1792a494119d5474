package node_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

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
	lists := map[string]int{"ENTRIES": 0, "TASKS": 0, "COUNT": 0, "COUNTS": 0, "PREPARE": 0, "RESET": 8 + 4 + 8, "INPUTS": 1} // bytes before the count
	tables := docTables(t, "Bytes", "Field", "At most", "Meaning")
	for _, tab := range tables {
		docExpand(t, &tab, tables)
		before, entry := lists[tab.heading]
		entry = entry && !slices.ContainsFunc(tab.rows, func(row []string) bool { return row[1] == "count" })
		for n := range 256 {
			typ := wire.Type(n)
			if !slices.Contains(docTypes(tab), typ.String()) {
				continue
			}
			done[typ] = true
			var front []byte
			if entry {
				front = append(make([]byte, before), 0, 0, 0, 1) // the count
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

// docExpand replaces rows like "all of JOB" by those of that table, but for what may be
// missing at its end.
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
		for _, row := range tables[i].rows {
			if !strings.Contains(row[3], "missing") {
				rows = append(rows, row)
			}
		}
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
		whole := end-1 == fields[i] && strings.Contains(row[3], "may be missing") // nothing of it is there
		if len(front) == 0 && !whole && (name == "" || !strings.HasSuffix(row[1], name)) {
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
	flags := map[string]byte{"LZ4": wire.FlagLZ4, "PACKALL": wire.FlagPackAll, "STREAM": wire.FlagStream, "NOVERIFY": wire.FlagNoVerify, "BASH": wire.FlagBash, "RECURSIVE": wire.FlagRecursive, "CHECKSUMS": wire.FlagChecksums, "PATH": wire.FlagPath, "CHECKED": wire.FlagChecked}
	for _, row := range docTables(t, "Flag", "On", "Meaning")[0].rows {
		number, name, _ := strings.Cut(row[0], " ")
		if want := fmt.Sprintf("0x%02x", flags[name]); number != want {
			t.Errorf("flag %s is %s, PROTOCOL.md says %s", name, want, number)
		}
	}
	for column, numbers := range map[string]map[string]uint64{
		"Option": {"keep-going": uint64(wire.JobKeepGoing), "resume": uint64(wire.JobResume), "report": uint64(wire.JobReport),
			"lz4": uint64(wire.JobLZ4), "detach": uint64(wire.JobDetach), "pack-all": uint64(wire.JobPackAll), "no-verify": uint64(wire.JobNoVerify),
			"keep": uint64(wire.JobKeep), "driven": uint64(wire.JobDriven), "bash": uint64(wire.JobBash), "manifest": uint64(wire.JobManifest), "secrets": uint64(wire.JobSecrets), "keys": uint64(wire.JobKeys), "no-glob": uint64(wire.JobNoGlob)},
		"Verdict": {"discarded": uint64(wire.VerdictDiscarded), "committed": uint64(wire.VerdictCommitted),
			"prepared": uint64(wire.VerdictPrepared), "orphaned": uint64(wire.VerdictOrphaned)},
		"State of a job": {"running": uint64(wire.JobRunning), "prepared": uint64(wire.JobPrepared), "orphaned": uint64(wire.JobOrphaned),
			"committed": uint64(wire.JobCommitted), "failed": uint64(wire.JobFailed), "canceled": uint64(wire.JobCanceled),
			"suspended": uint64(wire.JobSuspended), "waiting": uint64(wire.JobWaiting)},
		"Phase": {"ready": uint64(wire.PhaseReady), "halted": uint64(wire.PhaseHalted), "running": uint64(wire.PhaseRunning),
			"done": uint64(wire.PhaseDone), "prepared": uint64(wire.PhasePrepared), "committed": uint64(wire.PhaseCommitted)},
		"State of a task": {"done": uint64(wire.TaskDone), "failed": uint64(wire.TaskFailed), "retried": uint64(wire.TaskRetried),
			"running": uint64(wire.TaskRunning), "stopped": uint64(wire.TaskStopped)},
		"Runner": {"bash": uint64(wire.RunnerBash), "exec": uint64(wire.RunnerExec)},
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
