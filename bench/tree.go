package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/xfer"
)

// TreeSum is what a directory must hold, in any order and spread over any
// number of directories.
type TreeSum struct {
	Files int64
	Bytes int64
	Hash  uint64 // sum of the xxh64 of each name with its content's
	Names uint64 // sum of the xxh64 of each name
}

// add counts in a file by its name within the tree.
func (s *TreeSum) add(name string, content Sum) {
	s.Files++
	s.Bytes += content.Size
	s.Names += xxhash.Sum64String(name)
	s.Hash += xxhash.Sum64(binary.BigEndian.AppendUint64([]byte(name), content.Hash))
}

// treeOfFile is a tree that is one file, which has no name within it.
func treeOfFile(content Sum) (s TreeSum) {
	s.add("", content)
	return s
}

// Tree is a directory of files that rows move.
type Tree struct {
	Dir string
	TreeSum
}

// filesPerDir is how many files a directory of a large tree has.
const filesPerDir = 1000

// treeName returns the name of the i-th file of n, and its directory.
func treeName(i, n int) (dir, name string) {
	if n > 5*filesPerDir {
		dir = fmt.Sprintf("d%04d", i/filesPerDir)
	}
	// They do not begin with a digit, which would place them by number.
	return dir, filepath.Join(dir, fmt.Sprintf("f%07d", i))
}

// Tree returns a tree of files of random bytes, made when it is first asked for
// in a workload.
func (e *Env) Tree(ctx context.Context, files, size int) (*Tree, error) {
	dir := filepath.Join(e.Dir, fmt.Sprintf("tree-%dx%d", files, size))
	return e.makeTree(dir, func(t *Tree) error {
		random := rand.NewChaCha8([32]byte{'s', '4'})
		buf := make([]byte, size)
		for i := range files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			sub, name := treeName(i, files)
			if i%filesPerDir == 0 {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
					return err
				}
			}
			_, _ = random.Read(buf) // never fails
			if err := os.WriteFile(filepath.Join(dir, name), buf, 0o600); err != nil {
				return err
			}
			t.add(name, Sum{int64(size), xxhash.Sum64(buf)})
		}
		return nil
	})
}

// makeTree returns the tree of a directory, filled when it is first asked for.
func (e *Env) makeTree(dir string, fill func(*Tree) error) (*Tree, error) {
	if t := e.trees[dir]; t != nil {
		return t, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	t := &Tree{Dir: dir}
	if err := fill(t); err != nil {
		return nil, fmt.Errorf("make the source files: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	if e.trees == nil {
		e.trees = make(map[string]*Tree)
	}
	e.trees[dir] = t
	return t, nil
}

// dropTree removes a tree before its workload ends.
func (e *Env) dropTree(t *Tree) error {
	delete(e.trees, t.Dir)
	return os.RemoveAll(t.Dir)
}

// treeRoom returns how many bytes a tree takes, at most: whole pages, and what
// a file system keeps of each file.
func treeRoom(files, size int) int64 {
	const page, inode = 4096, 2048
	return int64(files) * (int64(size+page-1)/page*page + inode)
}

// sumTree sums up the files below all of the directories together. One that
// does not exist has none, and one that is a file is that.
func sumTree(ctx context.Context, dirs ...string) (TreeSum, error) {
	var sum TreeSum
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				if path == dir && errors.Is(err, fs.ErrNotExist) {
					return filepath.SkipDir
				}
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case d.IsDir():
				return nil
			}
			content, err := sumFile(path)
			if err != nil {
				return err
			}
			sum.add(strings.TrimPrefix(strings.TrimPrefix(path, dir), "/"), content)
			return nil
		})
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// sumFile sums up one file.
func sumFile(path string) (Sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close()
	size, hash, err := xfer.Hash(f)
	if err != nil {
		return Sum{}, fmt.Errorf("%s: %w", path, err)
	}
	return Sum{size, hash}, nil
}

// checkTree compares all that is below the directories with the sum.
func checkTree(ctx context.Context, want TreeSum, dirs ...string) error {
	got, err := sumTree(ctx, dirs...)
	if err != nil {
		return err
	}
	return got.compare(want)
}

// compare returns an error that says how the sum differs from what it should be.
func (s TreeSum) compare(want TreeSum) error {
	if s == want {
		return nil
	}
	return fmt.Errorf("%d files with %d bytes, names %016x and content %016x, and there should be %d with %d, %016x and %016x",
		s.Files, s.Bytes, s.Names, s.Hash, want.Files, want.Bytes, want.Names, want.Hash)
}

// emptyDir makes a directory that is empty, as a Clean.
func emptyDir(path string) func(context.Context) error {
	return func(context.Context) error {
		return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700))
	}
}
