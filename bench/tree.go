package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/xfer"
)

// Sum is what a file must be.
type Sum struct {
	Size int64
	Hash uint64 // xxh64
}

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

// treeSpec says which files a tree has. Those of the same spec are always the same.
type treeSpec struct {
	name  string // tells the spec from all others
	files int    // how many, or 0 for no tree
	size  int    // bytes of a file, about
	file  func(i int) string
	write func(w io.Writer, i int) error // w is buffered
}

// filesPerDir is how many files a directory of a large tree has.
const filesPerDir = 1000

// randomFiles are files of random bytes. Their names do not begin with a digit, which
// would place them by number.
func randomFiles(files, size int) treeSpec {
	return treeSpec{
		name:  fmt.Sprintf("tree-%dx%d", files, size),
		files: files,
		size:  size,
		file: func(i int) string {
			name := fmt.Sprintf("f%07d", i)
			if files > 5*filesPerDir {
				name = fmt.Sprintf("d%04d/%s", i/filesPerDir, name)
			}
			return name
		},
		write: func(w io.Writer, i int) error { return writeRandom(w, i, int64(size)) },
	}
}

// writeRandom writes random bytes, which differ from file to file.
func writeRandom(w io.Writer, file int, size int64) error {
	seed := [32]byte{'s', '4'}
	binary.BigEndian.PutUint64(seed[8:], uint64(file))
	_, err := io.CopyN(w, rand.NewChaCha8(seed), size)
	return err
}

// makeTree makes the tree below the directory dir.
func makeTree(ctx context.Context, dir string, spec treeSpec) (*Tree, error) {
	t := &Tree{Dir: filepath.Join(dir, spec.name)}
	buf := bufio.NewWriterSize(nil, xfer.ChunkSize)
	for i := range spec.files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		path := filepath.Join(t.Dir, spec.file(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := makeFile(path, 0, buf, func(w io.Writer) error { return spec.write(w, i) }); err != nil {
			return nil, err
		}
	}
	var err error
	t.TreeSum, err = sumTree(ctx, t.Dir)
	return t, err
}

// Source is a file that rows move.
type Source struct {
	Path string
	Sum
}

// makeSource makes a file of random bytes: no file system compresses it, and no
// page of it is shared. It is laid out as a key is, as yardsticks send this file
// where s4 sends a key.
func makeSource(path string, size int64) (*Source, error) {
	buf := bufio.NewWriterSize(nil, xfer.ChunkSize)
	if err := makeFile(path, size, buf, func(w io.Writer) error { return writeRandom(w, 0, size) }); err != nil {
		return nil, err
	}
	sum, err := sumFile(path)
	return &Source{path, sum}, err
}

// makeFile makes a file, with room for size bytes, that is written by way of buf.
func makeFile(path string, size int64, buf *bufio.Writer, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf.Reset(f)
	err = (&xfer.Temp{File: xfer.NewFile(int(f.Fd()), path)}).Preallocate(size) // which does not close it
	if err == nil {
		err = write(buf)
	}
	if err == nil {
		err = buf.Flush()
	}
	return errors.Join(err, f.Close())
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
			sum.add(strings.TrimPrefix(strings.TrimPrefix(path, dir), "/"), content)
			return err
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
	if err != nil || got == want {
		return err
	}
	return fmt.Errorf("%d files with %d bytes, names %016x and content %016x, and there should be %d with %d, %016x and %016x",
		got.Files, got.Bytes, got.Names, got.Hash, want.Files, want.Bytes, want.Names, want.Hash)
}

// emptyDir makes a directory that is empty.
func emptyDir(path string) error {
	return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700))
}
