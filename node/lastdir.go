package node

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/xfer"
)

// lastDir keeps a directory of a tree open for the next file, which mostly goes there,
// too, and the one above it, for the next directory. It is used by one goroutine, which
// calls close, and only while no directory of the tree is renamed. The zero lastDir has
// none open.
type lastDir struct {
	name  string // of dir
	dir   *xfer.File
	above string // name of up
	up    tree
}

// open returns a descriptor of a directory of t, which is made if absent. It is
// lastDir's to close.
func (d *lastDir) open(t tree, name string) (fd int, err error) {
	if d.dir != nil && d.name == name {
		return int(d.dir.Fd()), nil
	}
	d.closeDir()
	parent, base := splitName(name)
	if parent == "" {
		fd, err = t.openDir(name, true)
	} else if fd, err = d.openIn(t, parent, base); errors.Is(err, unix.ENOENT) {
		d.close() // the one above was removed
		fd, err = t.openDir(name, true)
	}
	if err == nil {
		d.name, d.dir = name, xfer.NewFile(fd, name)
	}
	return fd, err
}

// openIn opens the directory base in parent, whose descriptor it keeps.
func (d *lastDir) openIn(t tree, parent, base string) (fd int, err error) {
	if d.up.root == nil || d.above != parent {
		d.close()
		if fd, err = t.openDir(parent, true); err != nil {
			return -1, err
		}
		d.above, d.up = parent, tree{xfer.NewFile(fd, parent)}
	}
	return d.up.openDir(base, true)
}

func (d *lastDir) closeDir() {
	if d.dir != nil {
		d.dir.Close()
		d.dir = nil
	}
}

func (d *lastDir) close() {
	d.closeDir()
	if d.up.root != nil {
		d.up.close()
		d.up = tree{}
	}
}
