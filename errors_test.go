package s4_test

import (
	"syscall"
	"testing"

	"github.com/nathants/s4"
)

// The server is added to what happened in a way that it belongs to the whole sentence.
func TestErrorServer(t *testing.T) {
	for _, test := range []struct {
		e    s4.Error
		want string
	}{
		{s4.Error{Text: "oh"}, "map: oh"},
		{s4.Error{Text: "oh", Server: "h:1"}, "map: oh on h:1"},
		{s4.Error{Kind: s4.ErrExists, Server: "h:1"}, "map: exists on h:1 (keys are immutable: rm it first, or write another)"},
		{s4.Error{Text: "cannot connect", Err: syscall.EMFILE}, "map: cannot connect (raise 'ulimit -n')"},
		{s4.Error{Text: "command failed: exit 3", Server: "h:1"}, "map: command failed: exit 3 on h:1"},
		{s4.Error{Text: `the command printed "d", which is a directory`, Server: "h:1"}, `map: the command printed "d", which is a directory, on h:1`},
		{s4.Error{Text: `the command printed "d", which is a directory`}, `map: the command printed "d", which is a directory`},
	} {
		test.e.Op = "map"
		if got := test.e.Error(); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}
