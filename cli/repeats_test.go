package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/nathants/s4"
)

// A cause of many errors is printed a few times and then counted; the errors of single keys
// are all printed.
func TestRepeats(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stderr: &out}
	var r repeats
	for i := range 10 {
		a.subject = fmt.Sprintf("s4://b/%d", i)
		r.report(a, "cp", &s4.Error{Op: "put", Server: "h:1", Kind: s4.ErrUnavailable, Text: "connection refused"})
		r.report(a, "cp", &fs.PathError{Op: "open", Path: a.subject, Err: syscall.EMFILE})
		r.report(a, "cp", &s4.Error{Op: "put", Kind: s4.ErrBadKey, Text: "contains white space"})
		r.report(a, "cp", errors.New("not a file"))
	}
	r.rest(a, "cp")
	r.rest(a, "cp") // has nothing left
	for text, want := range map[string]int{"connection refused on h:1 (": 4, "too many open files": 4, "white space": 10, "not a file": 10,
		"s4: cp: 7 more: connection refused on h:1 (is s4-server running": 1, "s4: cp: 7 more: too many open files\n": 1} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%d times %q, want %d:\n%s", got, text, want, out.String())
		}
	}
	out.Reset()
	a.json = true
	for range 10 {
		r.report(a, "cp", syscall.EMFILE)
	}
	if r.rest(a, "cp"); strings.Count(out.String(), "\n") != 10 {
		t.Errorf("with --json: %s", out.String())
	}
}
