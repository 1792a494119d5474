package node

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// remove removes one key, and the directories it leaves empty.
func (s *store) remove(name string) error {
	parent, base := splitName(name)
	dir, err := s.keys.openDir(parent, false)
	if errors.Is(err, unix.ENOTDIR) {
		err = unix.ENOENT
	}
	if err != nil {
		return s.openKeyError(err, name)
	}
	err = s.unlink(dir, base)
	unix.Close(dir)
	if err != nil {
		return storeError(err, name)
	}
	s.keys.prune(parent)
	return nil
}

// unlink removes one file of the directory open as dir and counts it.
func (s *store) unlink(dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if !isRegular(&st) {
		return unix.ENOENT // a directory is no key
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return err
	}
	s.count.Add(-1)
	s.bytes.Add(-st.Size)
	return nil
}

// removePrefix removes every key whose name begins with prefix and returns how
// many. It goes on after a failure and returns the first.
func (s *store) removePrefix(ctx context.Context, prefix string) (int64, error) {
	if err := s.forgetFinished(prefix); err != nil {
		return 0, storeError(s.serverFileError(err), prefix)
	}
	dir, part := splitPrefix(prefix)
	fd, err := s.keys.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return 0, nil
	}
	if err != nil {
		return 0, storeError(err, prefix)
	}
	n, err := s.removeBelow(ctx, fd, part)
	unix.Close(fd)
	s.keys.prune(dir)
	if err == nil {
		err = s.forgetFinished(prefix) // of a shuffle that was published meanwhile
	}
	return n, storeError(err, prefix)
}

func (s *store) removeBelow(ctx context.Context, fd int, part string) (n int64, first error) {
	names, err := readDir(fd, part)
	if err != nil {
		return 0, err
	}
	for _, d := range names {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		if !d.dir {
			switch err := s.unlink(fd, d.name); {
			case err == nil:
				n++
			case !errors.Is(err, unix.ENOENT) && first == nil:
				first = err
			}
			continue
		}
		sub, err := openSub(fd, d.name)
		if err != nil {
			if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) && first == nil {
				first = err
			}
			continue
		}
		m, err := s.removeBelow(ctx, sub, "")
		unix.Close(sub)
		n += m
		if err != nil && first == nil {
			first = err
		}
		// Fails if a put has added a key meanwhile.
		_ = unix.Unlinkat(fd, d.name, unix.AT_REMOVEDIR)
	}
	return n, first
}
