package s4

import (
	"testing"

	"github.com/nathants/s4/wire"
)

// A server counts as the slowest only if it is clearly behind the others.
func TestSlowest(t *testing.T) {
	type part struct{ tasks, done, failed uint64 }
	for _, test := range []struct {
		name    string
		parts   []part
		slowest int
		left    int64
	}{
		{"at the start all have all to do", []part{{7, 0, 0}, {9, 0, 0}, {1, 0, 0}}, -1, 0},
		{"one behind", []part{{10, 9, 0}, {10, 2, 0}, {10, 8, 1}}, 1, 8},
		{"one that fails is none behind", []part{{10, 0, 9}, {10, 2, 0}}, 1, 8},
		{"two behind", []part{{10, 9, 0}, {10, 2, 0}, {10, 2, 0}}, -1, 0},
		{"a little behind", []part{{10, 5, 0}, {10, 4, 0}}, -1, 0},
		{"the last task of all", []part{{100, 100, 0}, {100, 99, 0}, {0, 0, 0}}, 1, 1},
		{"all done", []part{{1, 1, 0}, {2, 2, 0}}, -1, 0},
		{"only one has tasks", []part{{0, 0, 0}, {5, 1, 0}}, -1, 0},
		{"one server", []part{{5, 1, 0}}, -1, 0},
	} {
		var parts []jobPart
		for _, p := range test.parts {
			parts = append(parts, jobPart{ready: wire.Ready{Tasks: p.tasks}, progress: wire.Progress{Tasks: p.done, Failed: p.failed}})
		}
		if got := sumParts(parts); got.Slowest != test.slowest || got.Left != test.left {
			t.Errorf("%s: server %d with %d left, want %d with %d", test.name, got.Slowest, got.Left, test.slowest, test.left)
		}
	}
}
