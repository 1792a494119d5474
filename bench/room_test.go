package bench

import (
	"strings"
	"testing"
)

// A directory that merely has the name of a memory file system is none.
func TestInMemory(t *testing.T) {
	if err := inMemory("/proc"); err == nil || !strings.Contains(err.Error(), "/proc is not one") {
		t.Errorf("/proc: %v", err)
	}
	if err := inMemory(t.TempDir() + "/absent"); err == nil {
		t.Error("what does not exist is in memory")
	}
}
