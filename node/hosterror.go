package node

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// hostError returns the error to report if err is a fault of the host and not of one
// key, such as a full disk, and says what to do about it. It returns nil for all other
// errors. It is the only place that words these faults. The client adds the server.
func hostError(err error) *wire.Error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return wire.Errorf(wire.CodeNoSpace, "the disk is full")
	case errors.Is(err, unix.EDQUOT):
		return wire.Errorf(wire.CodeNoSpace, "the disk quota is used up")
	case errors.Is(err, unix.EROFS):
		return wire.Errorf(wire.CodeStorage, "the data directory is read-only (see dmesg, and mount it for writing)")
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return wire.Errorf(wire.CodeStorage, "out of file descriptors (start s4-server with a higher 'ulimit -n')")
	case errors.Is(err, unix.EIO):
		return wire.Errorf(wire.CodeStorage, "input/output error in the data directory (see dmesg: the disk may be failing)")
	}
	return nil
}

// errDirGone is reported when the data directory, or a part of it, is missing.
var errDirGone = wire.Errorf(wire.CodeStorage, "the data directory is gone, or a part of it (bring it back and restart s4-server)")

// dirGone returns an error if the directory that the server holds open is not the
// data directory any more, because that was removed, replaced or unmounted. Existing
// keys would then not be found, and new ones would be lost.
func (s *store) dirGone() error {
	var held, named unix.Stat_t
	if err := unix.Fstat(s.keys.fd(), &held); err != nil {
		return storeError(err, "")
	}
	switch err := unix.Stat(s.path, &named); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return wire.Errorf(wire.CodeStorage, "the data directory %s is gone (bring it back and restart s4-server)", s.path)
	case err != nil:
		return storeError(fmt.Errorf("data directory %s: %w", s.path, err), "")
	case held.Dev != named.Dev || held.Ino != named.Ino:
		return wire.Errorf(wire.CodeStorage, "another directory has taken the place of the data directory %s (bring it back and restart s4-server)", s.path)
	}
	return nil
}

// serverFileError returns the error to report for a failed operation on one of the
// server's own files. If the data directory is gone, it says so, because the errors
// of the file system are misleading then.
func (s *store) serverFileError(err error) error {
	if err == nil {
		return nil
	}
	if derr := s.dirGone(); derr != nil {
		return derr
	}
	return storeError(withoutPath(err), "")
}

// openKeyError returns the error to report for a key that cannot be opened. If the
// key is not found, it first makes sure that the data directory is there.
func (s *store) openKeyError(err error, name string) error {
	if errors.Is(err, unix.ENOENT) {
		err = cmp.Or(s.dirGone(), err)
	}
	return storeError(err, name)
}

// commitError returns the error to report for a key that cannot be published. A missing
// directory is then never a missing key: publish makes those that are needed. Some file
// systems, such as tmpfs, make a file in a directory that was removed, and fail only
// when the file gets its name.
func (s *store) commitError(err error, name string) error {
	if errors.Is(err, unix.ENOENT) {
		err = cmp.Or(s.dirGone(), error(errDirGone))
	}
	return storeError(err, name)
}
