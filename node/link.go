package node

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// A copy of a key on its own server is a second name of its file, a hard link. Keys are
// immutable, so that nobody can tell it from a file of its own: the checksum is the
// file's, and a reader or a remove of the one name does nothing to the other. A reflink
// (FICLONE) would share the bytes just so, takes six system calls more, and ext4 and
// tmpfs have none (bench/NOTES.md, Copy). Two things follow:
//
//   - The time of the copy is that of its source. Copies on other servers have it, too, so
//     that it does not depend on where a key belongs.
//   - What damages the one file is found in all of its names. A copy is not compared with
//     its checksum: it would be as damaged as its source, and has the same checksum to
//     tell.

// link makes name a key that has the file of the key src, open as o. It reports false if
// the file takes no other name, because it has as many as the file system allows, or is
// not this user's (link(2): EMLINK, EPERM).
func (s *store) link(o *object, src, name string) (ok bool, err error) {
	ok = true
	if s.fsync { // it may be from before the server was started with --fsync
		if err := unix.Fsync(int(o.Fd())); err != nil {
			return ok, storeError(os.NewSyscallError("fsync", err), name)
		}
	}
	err = s.add(name, o.size, func() error {
		return s.publish(s.keys, nil, name, func(dir int, base string) error {
			// As an unnamed file is linked: what was opened, whatever has its name by now.
			err := unix.Linkat(unix.AT_FDCWD, procPath(o.File), dir, base, unix.AT_SYMLINK_FOLLOW)
			switch {
			case errors.Is(err, unix.EMLINK), errors.Is(err, unix.EPERM):
				ok = false
			case errors.Is(err, unix.ENOENT) && isUnlinked(o.File):
				return &wire.Error{Code: wire.CodeNotFound, Key: src, Text: "no such key"}
			}
			return err
		})
	})
	return ok, err
}

// procPath returns a name of an open file.
func procPath(f *xfer.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// isUnlinked reports whether a file has lost its last name.
func isUnlinked(f *xfer.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
}

// duplicate is link with a file of its own, whose bytes are compared with the checksum.
func (s *store) duplicate(ctx context.Context, o *object, src, name string) error {
	tmp, err := s.create()
	if err != nil {
		return err
	}
	defer tmp.Close()
	err = tmp.Preallocate(o.size)
	if err == nil {
		err = xfer.Copy(&contents{ctx: ctx, fd: int(o.Fd()), size: o.size}, func(p []byte) error {
			_, err := tmp.Write(p)
			return err
		})
	}
	if err == nil {
		err = setMtime(tmp, o.mtime)
	}
	if err != nil {
		return err
	}
	if err := verifyFile(ctx, int(tmp.Fd()), o.size, o.sum); err != nil {
		return storeError(err, src)
	}
	return s.put(tmp, name, o.size, o.sum)
}

// setMtime sets when the bytes of a file were written, in nanoseconds since 1970.
func setMtime(tmp *xfer.Temp, mtime int64) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, procPath(tmp.File), times, 0))
}
