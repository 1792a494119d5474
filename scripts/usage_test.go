package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSyntax(t *testing.T) {
	var scripts []string
	for _, pattern := range []string{"*.sh", "examples/*.sh", "examples/*/*.sh"} {
		found, err := filepath.Glob(script(pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no scripts %s: %v", pattern, err)
		}
		scripts = append(scripts, found...)
	}
	for _, path := range scripts {
		if r := run(t, nil, "bash", "-n", path); r.code != 0 || r.errOut != "" {
			t.Errorf("bash -n %s: exit code %d, %s", path, r.code, r.errOut)
		}
	}
}

func TestHelpAndUsage(t *testing.T) {
	for _, name := range []string{"install.sh", "new_cluster.sh", "stop_cluster.sh", "demo.sh"} {
		for _, flag := range []string{"-h", "--help"} {
			r := run(t, nil, script(name), flag).want(t, 0, "Usage: scripts/"+name)
			if r.errOut != "" {
				t.Errorf("%s %s: stderr: %s", name, flag, r.errOut)
			}
		}
		run(t, nil, script(name), "--no-such-option").want(t, 2, name+": ")
	}
}

func TestBadHosts(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--port"},
		{"--port", "70000", "a"},
		{"--port", "0", "a"},
		{"-oProxyCommand=date"},
		{"a@-oProxyCommand=date"},
		{"a:b"},
		{"a:"},
		{"a:0"},
		{"a/0"},
		{"a/"},
		{"a/70000"},
		{"a/b:"},
		{"a b"},
		{"$(date)"},
		{"fd00::1"},
		{"[fd00::1"},
		{"a", "a"},
		{"a:1", "a:2"},
		{"a/4001", "--port", "4001", "a"},
		{"--dir", "", "a"},
	} {
		for _, name := range []string{"new_cluster.sh", "stop_cluster.sh"} {
			r := run(t, nil, script(name), args...).want(t, 2, name+": ")
			if strings.Count(r.errOut, "\n") != 1 {
				t.Errorf("%s %q: want one line, got:\n%s", name, args, r.errOut)
			}
		}
	}
}

// in_memory.sh leaves nothing behind, and ends as its command does.
func TestInMemory(t *testing.T) {
	r := run(t, nil, script("in_memory.sh"), "bash", "-c", `f=$(mktemp); echo "$f"; case $f in /dev/shm/*) ;; *) rm "$f" ;; esac; exit 7`).want(t, 7)
	file := strings.TrimSpace(r.out)
	if _, err := os.Stat(file); !filepath.IsAbs(file) || !os.IsNotExist(err) {
		t.Errorf("%q: %v", file, err)
	}
	run(t, nil, script("in_memory.sh")).want(t, 2, "in_memory.sh: ")
	run(t, nil, script("in_memory.sh"), "--help").want(t, 0, "usage: scripts/in_memory.sh")
}
