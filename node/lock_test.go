package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A lock that a dead server's child still holds is waited for; that of a server
// that runs is not.
func TestLockOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	hold := func(pid int) *os.File {
		t.Helper()
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, pid)
		return f
	}
	lock := func() error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return flock(f)
	}

	held := hold(os.Getpid())
	if err := lock(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d ", os.Getpid())) {
		t.Errorf("held by a process that runs: %v", err)
	}
	held.Close()

	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	held = hold(dead.Process.Pid)
	timer := time.AfterFunc(100*time.Millisecond, func() { held.Close() })
	defer timer.Stop()
	if err := lock(); err != nil {
		t.Errorf("held for a moment after a process that is gone: %v", err)
	}
}
