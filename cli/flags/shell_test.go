package flags

import (
	"os/exec"
	"testing"
)

// A shell must read back what was quoted.
func TestShellQuote(t *testing.T) {
	for _, s := range []string{"/tmp/s4.conf", "a b", "it's", "''", "$HOME/`id`", "a\nb", `\`, "é", "*", "~", "a;b&c|d", ""} {
		out, err := exec.Command("bash", "-c", "S4_CONF_PATH="+ShellQuote(s)+`; printf %s "$S4_CONF_PATH"`).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q is quoted as %s and read as %q, %v", s, ShellQuote(s), out, err)
		}
	}
	if got := ShellQuote("/data/s4_1/s4.conf"); got != "/data/s4_1/s4.conf" {
		t.Errorf("a plain path is quoted: %s", got)
	}
}
