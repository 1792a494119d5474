// Package scripts_test runs the deployment scripts as a user would: against
// real sshd processes, one for each host of a cluster, and real servers.
package scripts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is the directory of the s4 and s4-server under test, and root the module.
var bin, root string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	var err error
	if root, err = filepath.Abs(".."); err != nil {
		return 0, err
	}
	if bin, err = os.MkdirTemp("", "s4-scripts-bin"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	// The user's own cluster and ssh settings must not play a part.
	os.Unsetenv("S4_CONF_PATH")
	os.Unsetenv("S4_SSH_OPTS")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", bin+"/", "./cli/s4", "./cli/s4-server")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}
