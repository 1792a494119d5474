package cli

import (
	"strings"
	"testing"
)

func TestHeadLines(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"head -2 k":             "head -n 2 k",
		"head k -20":            "head k -n 20",
		"head -n -2 k":          "head -n -2 k",
		"head -c 5 k -- -3":     "head -c 5 k -- -3",
		"head --conf -2 -1 -x5": "head --conf -2 -n 1 -x5",
	} {
		if got := strings.Join(headLines(strings.Fields(args)), " "); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}
