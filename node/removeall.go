package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// removeAll is os.RemoveAll that also removes directories that a command has made
// read-only. An empty directory, or none, takes one system call.
func removeAll(dir string) error {
	if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if unlock(dir) != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// unlock lets this process into a directory and all below it, as far as it may change
// their modes. What a command has left may still run, perhaps as another user: a symbolic
// link that takes a directory's place leads nowhere.
func unlock(dir string) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d == nil || !d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve}
		fd, err := unix.Openat2(root, rel, how)
		if err != nil {
			return nil // RemoveAll says what remains
		}
		defer unix.Close(fd)
		// fchmod(2) does not take a descriptor that was opened with O_PATH.
		_ = unix.Fchmodat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), 0o700, 0)
		return nil
	})
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
