package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// What a task has staged may be damaged before it is published, the longer the job is
// suspended the more likely.

// resumedMark, in the directory of a job, says that it was suspended once. From then on
// what is staged is read before it counts, also after another restart: the server may
// have been killed while it did so.
const resumedMark = "resumed"

func (p *stage) markResumed() error {
	return os.WriteFile(filepath.Join(p.path, resumedMark), nil, 0o600)
}

func (p *stage) wasSuspended() bool {
	_, err := os.Lstat(filepath.Join(p.path, resumedMark))
	return err == nil
}

// findDamaged reads all that is staged. Of each directory with files that are damaged it
// returns one of these.
func (p *stage) findDamaged(ctx context.Context) (map[string]string, error) {
	fd, err := p.tree.open("", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, storeError(err, "")
	}
	defer unix.Close(fd)
	bad := make(map[string]string)
	err = walk(ctx, fd, "", "", true, func(e *wire.Entry) error {
		ok, err := p.isWhole(ctx, e.Name, e.Size, true)
		if err == nil && !ok {
			dir, _ := splitName(e.Name)
			bad[dir] = e.Name
		}
		return err
	})
	return bad, err
}

// isWhole reports whether a staged file has the size that it was staged with, and with
// read set whether it has the bytes.
func (p *stage) isWhole(ctx context.Context, name string, size uint64, read bool) (bool, error) {
	f, st, err := openRegular(p.tree, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, storeError(err, name)
	}
	defer f.Close()
	if !read || uint64(st.Size) != size {
		return uint64(st.Size) == size, nil
	}
	sum, err := getSum(int(f.Fd()))
	if err == nil {
		err = verifyFile(ctx, int(f.Fd()), st.Size, sum)
	}
	if errors.Is(err, wire.CodeChecksum) {
		return false, nil
	}
	return err == nil, err
}
