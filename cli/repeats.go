package cli

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/nathants/s4"
)

// Of a cause of many errors, such as a server that is down, so many are printed, and the
// others only counted. More causes than are told apart have each of their errors printed.
const (
	maxRepeats = 3
	maxCauses  = 100
)

// repeats counts the errors of many keys that have one cause. The zero value is ready to
// use.
type repeats struct {
	count map[string]int
	order []string
}

// isEnough takes note of an error, and reports whether enough with its cause were printed.
func (r *repeats) isEnough(err error) bool {
	cause := causeOf(err)
	if cause == "" {
		return false
	}
	n, known := r.count[cause]
	if !known && len(r.order) == maxCauses {
		return false
	}
	if !known {
		if r.count == nil {
			r.count = make(map[string]int)
		}
		r.order = append(r.order, cause)
	}
	r.count[cause] = n + 1
	return n >= maxRepeats
}

// report prints an error of a verb, unless it is one too many. With --json all are printed.
func (r *repeats) report(a *app, verb string, err error) {
	if a.json || !r.isEnough(err) {
		a.report(verb, err)
	}
}

// rest prints how many errors were not printed.
func (r *repeats) rest(a *app, verb string) {
	for _, cause := range r.order {
		if n := r.count[cause] - maxRepeats; n > 0 && !a.json {
			a.print(verb, "", fmt.Sprintf("%d more: %s", n, cause))
		}
	}
	r.count, r.order = nil, nil
}

// causeOf returns what happened to a server or to this machine, and so to every key, or ""
// for an error of one key.
func causeOf(err error) string {
	for _, no := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, no) {
			return no.Error()
		}
	}
	var e *s4.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Kind {
	case s4.ErrUnavailable, s4.ErrTimeout, s4.ErrNoSpace, s4.ErrWrongCluster, s4.ErrVersion, s4.ErrUnauthenticated:
		return e.Reason()
	case s4.ErrStorage: // of a server: its disk, or its descriptors
		if e.Server != "" {
			return e.Reason()
		}
	}
	return ""
}
