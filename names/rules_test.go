package names

import (
	"errors"
	"testing"

	"github.com/nathants/s4/wire"
)

// FuzzParseRules makes up rules. Those that are accepted are written as they were read, and
// match any path without failing.
func FuzzParseRules(f *testing.F) {
	f.Add("+*.txt\x00-tmp/\x00", "a/tmp/x.txt")
	f.Add("-a/**/b\x00+/x\x00", "a/c/b")
	f.Add("+\x00", "")
	f.Add("+a", "a")
	f.Add("*a\x00", "a")
	f.Fuzz(func(t *testing.T, text, path string) {
		rs, err := ParseRules(text)
		if err != nil {
			if !errors.Is(err, wire.CodeBadKey) || rs != nil {
				t.Fatalf("%q: %v, %v", text, rs, err)
			}
			return
		}
		if got := rs.String(); got != text {
			t.Fatalf("%q is written as %q", text, got)
		}
		again, err := ParseRules(rs.String())
		if err != nil || again.Match(path) != rs.Match(path) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
