package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What programs and people know rows by, and what they are judged by, changes on
// purpose only, and is unique.
func TestRows(t *testing.T) {
	var b strings.Builder
	seen := make(map[string]bool)
	for _, w := range workloads(Options{Size: defaultSize, Servers: defaultServers, All: true}) {
		for _, r := range w.Rows {
			name := w.Name + "/" + r.Name
			fmt.Fprintf(&b, "%s: %s: %v\n", name, r.Work, r.Targets)
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		for _, c := range w.Curves {
			fmt.Fprintf(&b, "%s: %s\n", w.Name, c.Name)
		}
	}
	want, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("rows are\n%s\nwant\n%s", b.String(), want)
	}
}
