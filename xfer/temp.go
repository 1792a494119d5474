package xfer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Temp is a file that has no name until it is whole. If the process dies, the kernel
// frees it (open(2), O_TMPFILE). On a file system without O_TMPFILE it has a
// temporary name, and a killed process leaves it behind.
type Temp struct {
	*File
	dir       int    // descriptor of the directory of name
	name      string // empty for an unnamed file, and once published
	published bool
}

// TempPrefix begins the names of temporary files where they need one.
const TempPrefix = ".s4-tmp-"

// CreateTemp makes a Temp on the file system of the directory open as dir, with
// the permissions perm less the umask. dir must stay open until Close.
func CreateTemp(dir int, perm uint32) (*Temp, error) {
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, perm)
	if err == nil {
		return &Temp{File: NewFile(fd, "unnamed file")}, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("cannot create a file: %w", err)
	}
	return createNamed(dir, perm)
}

func createNamed(dir int, perm uint32) (*Temp, error) {
	name := TempPrefix + rand.Text()
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, perm)
	if err != nil {
		return nil, fmt.Errorf("cannot create a file: %w", err)
	}
	return &Temp{File: NewFile(fd, name), dir: dir, name: name}, nil
}

// Preallocate reserves size bytes on disk, so that a full disk is an error now, and
// the file is laid out in one piece. It does nothing on file systems that cannot.
func (t *Temp) Preallocate(size int64) error {
	if size <= 0 {
		return nil
	}
	for {
		err := unix.Fallocate(int(t.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// Publish gives the file the name in the directory open as dir, in one atomic
// step that fails with EEXIST if the name is taken. It does not close t.
func (t *Temp) Publish(dir int, name string) error {
	if t.published {
		return os.ErrExist
	}
	err := t.link(dir, name)
	t.published = err == nil
	return err
}

func (t *Temp) link(dir int, name string) error {
	if t.name != "" {
		err := unix.Renameat2(t.dir, t.name, dir, name, unix.RENAME_NOREPLACE)
		if err == nil {
			t.name = ""
		}
		return err
	}
	// linkat(2): without CAP_DAC_READ_SEARCH an unnamed file is linked by its
	// name in /proc.
	proc := "/proc/self/fd/" + strconv.Itoa(int(t.Fd()))
	return unix.Linkat(unix.AT_FDCWD, proc, dir, name, unix.AT_SYMLINK_FOLLOW)
}

// Replace gives the file the name in the directory open as dir, atomically
// replacing what had it. It does not close t.
func (t *Temp) Replace(dir int, name string) error {
	err := t.Publish(dir, name)
	if t.published || !errors.Is(err, unix.EEXIST) {
		return err
	}
	if t.name == "" {
		// linkat cannot replace a file: take a temporary name first, and rename.
		own := TempPrefix + rand.Text()
		if err := t.link(dir, own); err != nil {
			return err
		}
		t.dir, t.name = dir, own
	}
	if err := unix.Renameat(t.dir, t.name, dir, name); err != nil {
		return err // Close removes the other name
	}
	t.name, t.published = "", true
	return nil
}

// Close closes the file. If it was not published, nothing of it remains.
func (t *Temp) Close() error {
	var err error
	if t.name != "" {
		if err = unix.Unlinkat(t.dir, t.name, 0); err != nil {
			err = fmt.Errorf("remove temporary file: %w", err)
		}
		t.name = ""
	}
	return errors.Join(err, t.File.Close())
}

// NamedTemp makes a Temp of a file that has a name in the directory open as
// dir already. Close removes it there unless it was published.
func NamedTemp(f *File, dir int, name string) *Temp {
	return &Temp{File: f, dir: dir, name: name}
}
