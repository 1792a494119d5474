package scripts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	dest := filepath.Join(t.TempDir(), "dest dir")
	prefix := filepath.Join(dest, "a prefix")
	env := []string{"DESTDIR=" + dest}
	run(t, env, script("install.sh"), "--prefix", "relative").want(t, 2, "absolute path")
	r := run(t, env, script("install.sh"), "--prefix", "/a prefix").want(t, 0, prefix+"/bin/s4-server")
	if strings.Contains(r.out, "note:") {
		t.Errorf("a package needs no advice:\n%s", r.out)
	}
	run(t, nil, script("install.sh"), "--prefix="+prefix).want(t, 0, "is not on PATH", "for zsh")
	for _, name := range []string{"s4", "s4-ui", "s4-s3", "s4-server"} {
		run(t, nil, filepath.Join(prefix, "bin", name), "--help").want(t, 0)
	}
	entries, err := os.ReadDir(filepath.Join(prefix, "bin"))
	if err != nil || len(entries) != 4 {
		t.Errorf("want s4, s4-ui, s4-s3 and s4-server, got %v, %v", entries, err)
	}
	installed(t, filepath.Join(prefix, "share"))
	manual, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"s4": true, "s4-server": false} {
		program, err := os.ReadFile(filepath.Join(prefix, "bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(program, manual) != want {
			t.Errorf("the manual is in %s: %v", name, !want)
		}
	}
}

// installed checks what must be in a share directory.
func installed(t *testing.T, share string) {
	t.Helper()
	for name, want := range map[string]string{
		"bash-completion/completions/s4":           "__start_s4",
		"bash-completion/completions/s4-server":    "__start_s4-server",
		"zsh/site-functions/_s4":                   "#compdef s4",
		"zsh/site-functions/_s4-server":            "#compdef s4-server",
		"fish/vendor_completions.d/s4.fish":        "complete -c s4 ",
		"fish/vendor_completions.d/s4-server.fish": "complete -c s4-server ",
		"man/man1/s4.1":                            "SH NAME",
		"man/man1/s4-cp.1":                         "S4-CP",
		"man/man1/s4-jobs-show.1":                  "S4-JOBS-SHOW",
		"man/man1/s4-server.1":                     "--keep-suspended",
		"man/man1/s4-partition.1":                  "\n  round-robin  one after",
	} {
		text, err := os.ReadFile(filepath.Join(share, name))
		if err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s: %v, has no %q", name, err, want)
		}
	}
}
