package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// removeAll is os.RemoveAll that also removes directories that a command has made
// read-only. The command ran as this process's user, so this process may change their
// modes; or else this process is root, which needs no mode. An empty directory, or none,
// takes one system call.
func removeAll(dir string) error {
	if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) || os.Geteuid() == 0 {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // before it is read; RemoveAll says what remains
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// emptyDir removes all that is in a directory, if there is one.
func emptyDir(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range list {
		errs = append(errs, removeAll(filepath.Join(dir, e.Name())))
	}
	return withoutPath(errors.Join(errs...))
}
