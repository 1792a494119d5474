package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	prefix := filepath.Join(t.TempDir(), "a prefix")
	run(t, nil, script("install.sh"), "--prefix", prefix).want(t, 0, "is not on PATH", prefix+"/bin/s4-server")
	env := []string{"PATH=" + prefix + "/bin:" + os.Getenv("PATH")}
	r := run(t, env, script("install.sh"), "--prefix="+prefix).want(t, 0)
	if strings.Contains(r.out, "is not on PATH") {
		t.Errorf("prefix is on PATH, yet:\n%s", r.out)
	}
	for _, name := range []string{"s4", "s4-server"} {
		run(t, nil, filepath.Join(prefix, "bin", name), "--help").want(t, 0)
	}
	entries, err := os.ReadDir(filepath.Join(prefix, "bin"))
	if err != nil || len(entries) != 2 {
		t.Errorf("want s4 and s4-server, got %v, %v", entries, err)
	}
}
