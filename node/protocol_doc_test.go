package node_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// docTable is one table of the document.
type docTable struct {
	line    int
	heading string // the nearest above
	head    []string
	rows    [][]string
}

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
