package node

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/nathants/s4/wire"
)

// bootFile, in _s4, names the boot of the machine in which the store was opened last.
const bootFile = "boot"

// bootIDPath is where the kernel tells it: random(4).
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// noteBoot finds out whether the machine was started anew since the store was opened
// last. What was written shortly before that may be lost then, unless the store syncs.
func (s *store) noteBoot(idPath string) error {
	id, err := os.ReadFile(idPath)
	if err != nil {
		return nil // not told, as in some containers: a restart of those loses no writes
	}
	path := filepath.Join(s.path, sysDir, bootFile)
	before, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(before)) == strings.TrimSpace(string(id)) {
		return nil
	}
	s.rebooted = err == nil && !s.fsync
	return withoutPath(os.WriteFile(path, id, 0o600))
}

// survives reports whether the unfinished job of a killed server can go on. After a
// restart of the machine, what other servers had pushed may be lost without a trace.
func (s *store) survives(m *wire.Job) bool { return !s.rebooted || m.Verb != wire.VerbMapToN }
