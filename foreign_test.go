package s4_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestForeignModule builds and runs a program of another module that imports this
// one by its path.
func TestForeignModule(t *testing.T) {
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, data := t.TempDir(), t.TempDir()
	for from, to := range map[string]string{"testdata/foreign/main.go.txt": "main.go", "go.sum": "go.sum"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mod := "module example.com/old\n\ngo 1.26.0\n\nrequire github.com/nathants/s4 v0.0.0\n\nreplace github.com/nathants/s4 => " + repo + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "S4_CONF_PATH="+filepath.Join(data, "s4.conf"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run("go", "build", "-ldflags=-s -w", "-o", "old", ".")
	run("go", "vet", ".")
	servers := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir+"/", "./cli/s4-server")
	if out, err := servers.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	startServers(t, data)
	if got, want := run(filepath.Join(dir, "old")), "a\nb\n 2 6 old true true true\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
