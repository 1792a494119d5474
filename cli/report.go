package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nathants/s4"
)

// report prints the line for an error of a verb, and after it the end of a
// failed command's standard error as it came.
func (a *app) report(verb string, err error) {
	var e *s4.Error
	if !errors.As(err, &e) {
		a.print(verb, a.subject, a.advise(err.Error()))
		return
	}
	key := e.Key
	if key == "" {
		key = a.subject
	}
	reason := e.Reason()
	if a.mayRecurse && isBucketOrDir(key) && e.Kind == s4.ErrBadKey && (verb == "cp" || verb == "mv" || verb == "rm") {
		reason = e.Text + "; -r means all below (keys are s4://bucket/path/name)"
	}
	if a.json {
		a.object(errorObject{Verb: verb, Key: text(key), Code: e.KindName(), Message: text(a.advise(reason)),
			Server: e.Server, Exit: e.Exit, Signal: e.Signal, Stderr: text(e.Stderr), Kept: a.kept})
		return
	}
	reason = a.advise(reason)
	a.print(verb, key, reason)
	if tail := lastLines(e.Stderr, 10); tail != "" {
		fmt.Fprint(a.stderr, tail)
		if !strings.HasSuffix(tail, "\n") {
			fmt.Fprintln(a.stderr)
		}
	}
}

// isBucketOrDir reports whether a name is that of a bucket or, with a slash, of a directory.
func isBucketOrDir(name string) bool {
	bucket, below, _ := strings.Cut(strings.TrimPrefix(name, s4.Scheme), "/")
	return bucket != "" && (below == "" || strings.HasSuffix(below, "/")) && !strings.Contains(below, "//")
}

// errorObject is an error as --json prints it, on standard error.
type errorObject struct {
	Verb    string `json:"verb"`
	Key     text   `json:"key,omitempty"`
	Code    string `json:"code,omitempty"`
	Message text   `json:"error"`
	Server  string `json:"server,omitempty"`
	Exit    int    `json:"exit,omitempty"`
	Signal  int    `json:"signal,omitempty"`
	Stderr  text   `json:"stderr,omitempty"`
	Kept    string `json:"kept,omitempty"` // the id of a job that s4 jobs resume takes up
}

// text is a string for --json that may hold any bytes, such as the name of a local
// file. Bytes that are not UTF-8 are written as \xff. In such a string backslashes are
// doubled, so that no two names look alike.
type text string

// MarshalText is what encoding/json calls.
func (t text) MarshalText() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return []byte(t), nil
	}
	return []byte(escapeBytes(strings.ReplaceAll(string(t), `\`, `\\`))), nil
}

// escapeBytes writes bytes that are not UTF-8 as \xff.
func escapeBytes(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// advise adds what to do about the job to the reason for an error, which may end with
// other advice.
func (a *app) advise(reason string) string {
	switch {
	case a.advice == "":
		return reason
	case strings.HasSuffix(reason, ")"):
		return strings.TrimSuffix(reason, ")") + "; " + a.advice + ")"
	}
	return reason + " (" + a.advice + ")"
}

func (a *app) object(v any) {
	enc := json.NewEncoder(a.stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // there is nowhere else to report an error
}

// print prints one line: s4: VERB KEY: what.
func (a *app) print(verb, key, what string) {
	if a.json {
		a.object(errorObject{Verb: verb, Key: text(key), Message: text(what), Kept: a.kept})
		return
	}
	line := "s4: "
	if verb != "s4" {
		line = "s4: " + verb
		if key != "" {
			line += " " + oneLine(key)
		}
		line += ": "
	}
	fmt.Fprintln(a.stderr, line+oneLine(what))
}

// note prints a line for people, unless --quiet or --json is set.
func (a *app) note(format string, args ...any) {
	if !a.quiet && !a.json {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// line prints one listing line, or v with --json. Its error is one of stdout.
func (a *app) line(plain string, v any) error {
	if a.json {
		enc := json.NewEncoder(a.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	_, err := fmt.Fprintln(a.stdout, plain)
	return err
}

// oneLine makes s safe to print in one line on a terminal.
func oneLine(s string) string {
	return printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", " "))
}

// printable escapes control characters, which a terminal would obey.
func printable(s string) string {
	var b strings.Builder
	for _, r := range escapeBytes(s) {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// lastLines returns the last n lines of s.
func lastLines(s string, n int) string {
	end := len(strings.TrimSuffix(s, "\n"))
	for i := end - 1; i >= 0; i-- {
		if s[i] == '\n' {
			if n--; n == 0 {
				return s[i+1:]
			}
		}
	}
	return s
}
