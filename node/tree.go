package node

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/xfer"
)

// tree is a directory below which names are resolved without ever leaving it:
// not by .., not by an absolute path, not by a symbolic link on the way
// (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS). Names are slash
// separated and relative; the empty name is the tree's root.
type tree struct{ root *xfer.File }

const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

func openTree(dir string) (tree, error) {
	fd, err := openFD(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return tree{}, err
	}
	return tree{xfer.NewFile(fd, dir)}, nil
}

func (t tree) fd() int { return int(t.root.Fd()) }

// open opens name, with O_CLOEXEC, and returns the descriptor.
func (t tree) open(name string, flags int) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(t.fd(), name, &how)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && try < maxRaces:
			// A rename elsewhere made the kernel unsure whether .. stays below.
			// Names here have no .., but the kernel may return this anyway.
		case errors.Is(err, unix.EXDEV) && try < maxRaces:
			// The file was moved out of the tree before the kernel's last check
			// (complete_walk in fs/namei.c), as when a job publishes its stage.
			// The name is free now, or has another file.
		default:
			return fd, err
		}
	}
}

// dirFlags open a directory for use as the base of *at calls.
const dirFlags = unix.O_PATH | unix.O_DIRECTORY

// openDir opens the directory name; with create it is made if absent, and so
// are its parents.
func (t tree) openDir(name string, create bool) (int, error) {
	for try := 0; ; try++ {
		fd, err := t.open(name, dirFlags)
		if !create || !errors.Is(err, unix.ENOENT) || name == "" || try > maxRaces {
			return fd, err
		}
		parent, base := splitName(name)
		if parent == "" {
			err = unix.Mkdirat(t.fd(), base, 0o755)
			if errors.Is(err, unix.ENOENT) {
				return -1, err // the tree itself was removed
			}
		} else {
			up, uerr := t.openDir(parent, true)
			if uerr != nil {
				return -1, uerr
			}
			err = unix.Mkdirat(up, base, 0o755)
			unix.Close(up)
		}
		// ENOENT: a remove has pruned the parent meanwhile; begin again.
		if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOENT) {
			return -1, err
		}
	}
}

// maxRaces is how often an operation begins again because another one made
// or removed a directory under it.
const maxRaces = 1000

// splitName splits off the last segment.
func splitName(name string) (dir, base string) {
	dir, base = path.Split(name)
	return strings.TrimSuffix(dir, "/"), base
}

// publish gives a new file its name in the tree, making directories; link
// does it in the directory that is passed. It begins again when a remove
// prunes the directory under it. last has the directory of the file before, or is nil.
func (t tree) publish(name string, last *lastDir, link func(dir int, base string) error) error {
	parent, base := splitName(name)
	for try := 0; ; try++ {
		var dir int
		var err error
		if last == nil {
			dir, err = t.openDir(parent, true)
		} else {
			dir, err = last.open(t, parent)
		}
		if err != nil {
			return err
		}
		err = link(dir, base)
		if errors.Is(err, unix.EEXIST) && removeEmpty(dir, base) == nil {
			err = unix.ENOENT // they were empty directories, left by a killed server
		}
		switch {
		case last == nil:
			unix.Close(dir)
		case errors.Is(err, unix.ENOENT):
			last.close()
		}
		if !errors.Is(err, unix.ENOENT) || try > maxRaces {
			return err
		}
	}
}

// removeEmpty removes the directory name in dir if there are only directories below it.
func removeEmpty(dir int, name string) error {
	err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	if !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	fd, err := openSub(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := readDir(fd, "")
	if err != nil {
		return err
	}
	for _, d := range names {
		if !d.dir {
			return unix.ENOTEMPTY
		}
		if err := removeEmpty(fd, d.name); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// stat returns the attributes of name, without following a link in its last segment.
func (t tree) stat(name string, st *unix.Stat_t) error {
	fd, err := t.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, st)
}

// prune removes name and its parents as far as they are empty directories.
func (t tree) prune(name string) {
	for name != "" {
		parent, base := splitName(name)
		dir, err := t.openDir(parent, false)
		if err == nil {
			err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
			unix.Close(dir)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
		name = parent
	}
}

func (t tree) close() error { return t.root.Close() }

func isDir(st *unix.Stat_t) bool     { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }
