package node

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// object is a stored key, open for reading.
type object struct {
	*xfer.File
	size  int64
	mtime int64
	sum   uint64
}

func (o *object) head() *wire.Object {
	return &wire.Object{Size: uint64(o.size), Mtime: o.mtime, Sum: o.sum}
}

// get opens a key. The caller closes it.
func (s *store) get(name string) (*object, error) {
	f, st, err := openRegular(s.keys, name)
	if err != nil {
		return nil, s.openKeyError(err, name)
	}
	sum, err := getSum(int(f.Fd()))
	if err != nil {
		f.Close()
		return nil, storeError(err, name)
	}
	return &object{File: f, size: st.Size, mtime: st.Mtim.Nano(), sum: sum}, nil
}

// openRegular opens a regular file of t for reading, with O_NONBLOCK. Anything that is
// not a regular file, such as a directory or a pipe, is ENOENT: only regular files are
// keys.
func openRegular(t tree, name string) (*xfer.File, *unix.Stat_t, error) {
	// Without O_NONBLOCK, opening a pipe would wait for its writer.
	fd, err := t.open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.ENXIO) { // a socket or a device
			err = unix.ENOENT
		}
		return nil, nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && !isRegular(&st) {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	return xfer.NewFile(fd, name), &st, nil
}

// setBlocking makes f a command's standard input, which is expected to block.
func setBlocking(f *xfer.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_RDONLY)
	return os.NewSyscallError("fcntl", err)
}

// create returns an unnamed file for a key's bytes. The caller closes it.
func (s *store) create() (*xfer.Temp, error) {
	t, err := xfer.CreateTemp(s.tmp.fd(), 0o600)
	return t, s.serverFileError(err)
}

// checkAbsent returns an error if the key cannot be written because its name is
// taken. It spares a client sending the bytes in vain; commit is what decides.
func (s *store) checkAbsent(name string) error {
	err := nameTaken(s.keys, name)
	if errors.Is(err, unix.EISDIR) && emptyBelow(s.keys, name) {
		return nil // publish removes the empty directory
	}
	return storeError(err, name)
}

// hasDir reports whether there is a directory of that name.
func (s *store) hasDir(name string) bool {
	fd, err := s.keys.openDir(name, false)
	if err == nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.ENOENT)
}

// nameTaken returns nil if name can be created in t, or else EEXIST, EISDIR or
// ENOTDIR.
func nameTaken(t tree, name string) error {
	var st unix.Stat_t
	switch err := t.stat(name, &st); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case isDir(&st):
		return unix.EISDIR
	}
	return unix.EEXIST
}

// put publishes a file as a key: the bytes in tmp, their number, and their xxh64. It is
// the end of every upload.
func (s *store) put(tmp *xfer.Temp, name string, size int64, sum uint64) error {
	return s.add(name, size, func() error { return s.commit(tmp, s.keys, nil, name, sum) })
}

// add counts a new key of size bytes that commit gives its name.
func (s *store) add(name string, size int64, commit func() error) error {
	s.marks.RLock()
	defer s.marks.RUnlock()
	for _, p := range s.pending {
		if err := nameTaken(p.tree, name); err != nil {
			return storeError(err, name) // a job is about to publish it
		}
	}
	if err := commit(); err != nil {
		return s.commitError(err, name)
	}
	s.count.Add(1)
	s.bytes.Add(size)
	return nil
}

// commit gives a whole and verified file its name in a tree: the data directory, or a
// job's staged output. The order matters:
//
//   - What a command of another user has written is that user's, who could change it: the
//     server becomes its owner first of all.
//   - The checksum is set next, before anyone can open the file.
//   - The mode comes after it, because setting an attribute takes write permission.
//   - With fsync, bytes and attribute reach the disk before the name does, so that
//     power loss leaves a whole key or none.
//   - The link comes last. It is atomic, and fails if the name is taken: two writers
//     cannot both win, and no reader sees a part.
//
// last is as in tree.publish.
func (s *store) commit(tmp *xfer.Temp, t tree, last *lastDir, name string, sum uint64) error {
	fd := int(tmp.Fd())
	if err := s.confinement.takeBack(tmp); err != nil {
		return err
	}
	err := setSum(tmp.File, sum)
	if errors.Is(err, unix.EACCES) {
		// A task's file may be read-only already, as a copy of a key or a
		// link to one is.
		if err = unix.Fchmod(fd, 0o600); err == nil {
			err = setSum(tmp.File, sum)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Fchmod(fd, 0o444); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if s.fsync {
		if err := unix.Fsync(fd); err != nil {
			return os.NewSyscallError("fsync", err)
		}
	}
	return s.publish(t, last, name, tmp.Publish)
}

// publish is the last step of a commit: link gives the file its name in a directory. With
// fsync, the name is durable when publish returns.
func (s *store) publish(t tree, last *lastDir, name string, link func(dir int, base string) error) error {
	err := t.publish(name, last, link)
	if errors.Is(err, unix.EEXIST) {
		if why := nameTaken(t, name); why != nil {
			err = why // EISDIR, if a directory has the name
		}
	}
	if err == nil && s.fsync {
		err = s.syncDirs(t, name)
	}
	return err
}

// syncDirs makes a new name durable: its directory and those above, any of
// which may be new.
func (s *store) syncDirs(t tree, name string) error {
	for dir := name; dir != ""; {
		dir, _ = splitName(dir)
		fd, err := t.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
		if errors.Is(err, unix.ENOENT) {
			continue // removed meanwhile, and the key with it
		}
		if err != nil {
			return err
		}
		err = unix.Fsync(fd)
		unix.Close(fd)
		if err != nil {
			return os.NewSyscallError("fsync", err)
		}
	}
	return nil
}
