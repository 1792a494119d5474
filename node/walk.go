package node

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// list calls each for every entry that a LIST of prefix finds, in order: see wire.List.
func (s *store) list(ctx context.Context, prefix string, recursive bool, each func(*wire.Entry) error) error {
	return s.listWith(ctx, prefix, &walker{recursive: recursive, each: each})
}

// listWith is list with the options of w.
func (s *store) listWith(ctx context.Context, prefix string, w *walker) error {
	if err := s.dirGone(); err != nil {
		return err
	}
	if prefix == "" {
		return s.listBuckets(ctx, w.each)
	}
	dir, part := splitPrefix(prefix)
	fd, err := s.keys.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return storeError(err, prefix)
	}
	defer unix.Close(fd)
	return storeError(w.walk(ctx, fd, dir+"/", part), prefix)
}

// splitPrefix splits a prefix into the directory that all matches are in and
// what their names there begin with.
func splitPrefix(prefix string) (dir, part string) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return prefix, ""
	}
	return prefix[:i], prefix[i+1:]
}

// walker lists the keys in and below a directory.
type walker struct {
	recursive bool // every key, not only those in the directory and the directories in it
	sums      bool // with their checksums
	each      func(*wire.Entry) error
}

// walk lists the directory open as fd, whose name with its slash is base, and whose
// names begin with part. It holds the names of one directory at a time and level in
// memory, and a descriptor per level.
func (w *walker) walk(ctx context.Context, fd int, base, part string) error {
	names, err := readDir(fd, part)
	if err != nil {
		return err
	}
	var e wire.Entry
	for _, d := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !d.dir {
			var st unix.Stat_t
			err := unix.Fstatat(fd, d.name, &st, unix.AT_SYMLINK_NOFOLLOW)
			if errors.Is(err, unix.ENOENT) {
				continue // removed meanwhile
			}
			if err != nil {
				return err
			}
			if !isRegular(&st) {
				continue // a directory has taken its place
			}
			e = wire.Entry{Kind: wire.EntryKey, Size: uint64(st.Size), Mtime: st.Mtim.Nano(), Name: base + d.name}
			if w.sums {
				e.Sum = sumOf(fd, d.name)
			}
			if err := w.each(&e); err != nil {
				return err
			}
			continue
		}
		sub, err := openSub(fd, d.name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue // removed meanwhile; ENOTDIR: and a key is in its place
		}
		if err != nil {
			return err
		}
		if w.recursive {
			err = w.walk(ctx, sub, base+d.name+"/", "")
		} else if hasKey(sub) {
			e = wire.Entry{Kind: wire.EntryDir, Name: base + d.name + "/"}
			err = w.each(&e)
		}
		unix.Close(sub)
		if err != nil {
			return err
		}
	}
	return nil
}

// sumOf returns the stored checksum of a file in the directory open as fd, or 0 if it
// has none that can be read.
func sumOf(fd int, name string) uint64 {
	f, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(f)
	sum, _ := getSum(f)
	return sum
}

// keysIn returns how many keys stand in a directory, not below a further one.
func (s *store) keysIn(dir string) (n uint64, err error) {
	fd, err := s.keys.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return 0, nil
	}
	if err != nil {
		return 0, storeError(err, dir)
	}
	defer unix.Close(fd)
	list, err := readDir(fd, "")
	for _, d := range list {
		if !d.dir {
			n++
		}
	}
	return n, storeError(err, dir)
}

// hasKey reports whether there is a key below the directory. Usually the first name
// that it reads is one.
func hasKey(fd int) bool {
	names, err := readDir(fd, "")
	if err != nil {
		return false
	}
	for _, d := range names {
		if !d.dir {
			return true
		}
	}
	for _, d := range names {
		sub, err := openSub(fd, d.name)
		if err != nil {
			continue
		}
		found := hasKey(sub)
		unix.Close(sub)
		if found {
			return true
		}
	}
	return false
}

func (s *store) listBuckets(ctx context.Context, each func(*wire.Entry) error) error {
	fd, err := s.keys.open("", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return storeError(err, "")
	}
	defer unix.Close(fd)
	names, err := readDir(fd, "")
	if err != nil {
		return storeError(err, "")
	}
	for _, d := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !d.dir || d.name[0] == '_' {
			continue
		}
		sub, err := openSub(fd, d.name)
		if err != nil {
			continue
		}
		found, born := hasKey(sub), birth(sub)
		unix.Close(sub)
		if !found {
			continue
		}
		if err := each(&wire.Entry{Kind: wire.EntryBucket, Mtime: born, Name: d.name}); err != nil {
			return err
		}
	}
	return nil
}

// birth returns when the directory open as fd was made, in nanoseconds since
// 1970, or when it last changed where the file system keeps no birth times.
func birth(fd int) int64 {
	var st unix.Statx_t
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME|unix.STATX_MTIME, &st) != nil {
		return 0
	}
	t := st.Mtime
	if st.Mask&unix.STATX_BTIME != 0 {
		t = st.Btime
	}
	return t.Sec*1e9 + int64(t.Nsec)
}

// recount counts keys and bytes, for HEALTH, once at the start.
func (s *store) recount() error {
	return s.listBuckets(context.Background(), func(b *wire.Entry) error {
		return s.list(context.Background(), b.Name+"/", true, func(e *wire.Entry) error {
			s.count.Add(1)
			s.bytes.Add(int64(e.Size))
			return nil
		})
	})
}
