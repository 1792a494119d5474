package node

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4/wire"
)

// TestProtocolStates compares the table of states and events in PROTOCOL.md with the
// state machine.
func TestProtocolStates(t *testing.T) {
	text, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[string]wire.JobState)
	for s := wire.JobRunning; s <= wire.JobWaiting; s++ {
		states[s.String()] = s
	}
	_, table, ok := strings.Cut(string(text), "\n| Event |")
	if !ok {
		t.Fatal("PROTOCOL.md has no table of events")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split("| Event |"+table, "\n")
	cells := func(row string) []string {
		list := strings.Split(strings.Trim(row, "|"), "|")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list
	}
	from := cells(rows[0])[2:] // the first columns are the event and what it is
	open := []string{"running", "prepared", "orphaned", "waiting", "suspended"}
	if !slices.Equal(from, open) {
		t.Errorf("the columns are %q, want %q", from, open)
	}
	if len(rows) != 2+int(jobAttached)+1 {
		t.Fatalf("%d rows, want one of each event", len(rows)-2)
	}
	for i, row := range rows[2:] {
		e, row := event(i), cells(row)
		if row[0] != e.String() {
			t.Errorf("row %d is %q, want %q", i, row[0], e)
			continue
		}
		for k, to := range row[2:] {
			was := states[from[k]]
			want, kept := was, was
			if to != "" {
				name, star := strings.CutSuffix(to, "*")
				if want, ok = states[name]; !ok {
					t.Errorf("%s, %s: no state %q", e, was, name)
				}
				if kept = want; star {
					kept = wire.JobSuspended
				}
			}
			if got := next(was, e, false); got != want {
				t.Errorf("%s, %s: %s, PROTOCOL.md has %s", was, e, got, want)
			}
			if got := next(was, e, true); got != kept {
				t.Errorf("kept, %s, %s: %s, PROTOCOL.md has %s", was, e, got, kept)
			}
		}
	}
}
