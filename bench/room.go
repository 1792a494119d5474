package bench

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// memoryFS is where a memory file system is mounted on most hosts.
const memoryFS = "/dev/shm"

// slack is left free on the file system, and of memory if it is one of memory:
// for logs, and for the programs.
const slack = 256 << 20

// free returns how many bytes of files dir can take.
func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", dir, err)
	}
	n := int64(st.Bavail) * st.Bsize
	if uint32(st.Type) == unix.TMPFS_MAGIC {
		if mem, err := procBytes("/proc/meminfo", "MemAvailable"); err == nil {
			n = min(n, mem)
		}
	}
	return max(0, n-slack), nil
}

// inMemory reports why dir is not on a memory file system, or nil.
func inMemory(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if uint32(st.Type) != unix.TMPFS_MAGIC {
		return fmt.Errorf("%s is not one", dir)
	}
	return nil
}

// usable reports why a cluster cannot live in dir, or nil.
func usable(dir string) error {
	path := filepath.Join(dir, fmt.Sprintf(".s4-bench-%d", os.Getpid()))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(path)
	if err := unix.Setxattr(path, "user.s4.bench", []byte{1}, 0); err != nil {
		return fmt.Errorf("it has no user extended attributes: %w", err)
	}
	return nil
}

// chooseDir returns the default of --dir: a memory file system with room for
// need bytes, else the temporary directory; and why not the former.
func chooseDir(need int64) (string, *LeftOut) {
	err := inMemory(memoryFS)
	if err == nil {
		err = usable(memoryFS)
	}
	if err == nil {
		var have int64
		if have, err = free(memoryFS); err == nil && have >= need {
			return memoryFS, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s has no room for %s", memoryFS, aboutSize(need))
	}
	return os.TempDir(), &LeftOut{What: "a memory file system", Why: err.Error()}
}
