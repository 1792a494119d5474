package node

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// trouble words an error that is of the server's host and of no key, with what to do
// about it, or returns nil. It is the one place that does; the client adds on which
// server it is.
func trouble(err error) *wire.Error {
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

// errGone is the error of a data directory of which a part is missing.
var errGone = wire.Errorf(wire.CodeStorage, "the data directory is gone, or a part of it (bring it back and restart s4-server)")

// gone reports why what the server holds open is not the data directory any more,
// or nil: it was removed, replaced or unmounted. Names in it would not be found,
// and what is written to it, nobody would find.
func (s *store) gone() error {
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

// lost is the error of a failure with a file of the server's own: that the data
// directory is gone, if it is, whatever the file system makes of that.
func (s *store) lost(err error) error {
	if err == nil {
		return nil
	}
	if gone := s.gone(); gone != nil {
		return gone
	}
	return storeError(withoutPath(err), "")
}

// missing is the error of a key that cannot be opened: that it is not there, or
// why none is.
func (s *store) missing(err error, name string) error {
	if errors.Is(err, unix.ENOENT) {
		err = cmp.Or(s.gone(), err)
	}
	return storeError(err, name)
}
