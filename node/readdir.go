package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// dirent is one name in a directory.
type dirent struct {
	name string
	dir  bool
}

// compare puts names in the order of their keys: a directory sorts as if its slash
// were part of the name.
func (a dirent) compare(b dirent) int {
	n := min(len(a.name), len(b.name))
	if c := strings.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return int(a.at(n)) - int(b.at(n))
}

// at returns the byte at i of the name with its slash, 0 past the end; keys
// have no zero bytes.
func (a dirent) at(i int) byte {
	switch {
	case i < len(a.name):
		return a.name[i]
	case i == len(a.name) && a.dir:
		return '/'
	}
	return 0
}

var direntBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// readDir returns the regular files and directories of the directory open
// (not with O_PATH) as fd whose names begin with prefix, in key order. It leaves out
// everything else, such as symbolic links.
func readDir(fd int, prefix string) ([]dirent, error) {
	var list []dirent
	buf := direntBuffers.Get().(*[32 << 10]byte) // on the stack it would have to grow for it
	defer direntBuffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ENOENT) {
			break // the directory was removed meanwhile: it is empty
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			// struct linux_dirent64, getdents(2): ino 8, off 8, reclen 2,
			// type 1, name, zero.
			reclen := binary.NativeEndian.Uint16(b[16:])
			typ, name := b[18], b[19:reclen]
			b = b[reclen:]
			name = name[:bytes.IndexByte(name, 0)]
			if string(name) == "." || string(name) == ".." || !strings.HasPrefix(string(name), prefix) {
				continue
			}
			if typ == unix.DT_UNKNOWN {
				typ = typeOf(fd, string(name))
			}
			if typ == unix.DT_REG || typ == unix.DT_DIR {
				list = append(list, dirent{string(name), typ == unix.DT_DIR})
			}
		}
	}
	slices.SortFunc(list, dirent.compare)
	return list, nil
}

// typeOf returns the type of name, on file systems where getdents does not tell it.
func typeOf(dir int, name string) byte {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return unix.DT_UNKNOWN
	}
	switch {
	case isRegular(&st):
		return unix.DT_REG
	case isDir(&st):
		return unix.DT_DIR
	}
	return unix.DT_UNKNOWN
}

// openSub opens the directory name in dir for reading, no link followed.
func openSub(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
