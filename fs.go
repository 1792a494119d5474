package s4

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// FS returns the keys below a bucket or directory of keys as a read-only file system,
// for packages that take an fs.FS, such as text/template and net/http. dir is
// s4://bucket or s4://bucket/path. All operations use ctx.
//
// Every operation sees the keys of its time. A directory exists while there is a key
// below it, and has no modification time. If a key and a directory have the same name,
// the file system has only the key. Errors are *fs.PathError with an *Error inside, and
// are fs.ErrNotExist if there is no such key. An open file is a *Reader with a Stat
// method, so that it is an io.Seeker, and checked when it is read to its end. ReadDir
// reads a directory as a whole.
func (c *Client) FS(ctx context.Context, dir string) fs.FS {
	return &keyFS{c: c, ctx: ctx, dir: strings.TrimSuffix(dir, "/")}
}

// keyFS implements fs.FS.
type keyFS struct {
	c   *Client
	ctx context.Context
	dir string // with its scheme, without a slash at its end
}

var (
	_ fs.ReadDirFS = (*keyFS)(nil)
	_ fs.StatFS    = (*keyFS)(nil)
)

// key returns the key or directory of keys that has the name.
func (f *keyFS) key(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return f.dir, nil
	}
	return f.dir + "/" + name, nil
}

// pathError returns err as a *fs.PathError. A name that is not allowed for keys is one
// that does not exist.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrBadKey) {
		err = noSuchName{err}
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// noSuchName makes the error for a name that is not allowed an fs.ErrNotExist.
type noSuchName struct{ error }

func (e noSuchName) Unwrap() error { return e.error }

func (e noSuchName) Is(target error) bool { return target == fs.ErrNotExist }

// Open opens a key or a directory.
func (f *keyFS) Open(name string) (fs.File, error) {
	key, err := f.key("open", name)
	if err != nil {
		return nil, err
	}
	if name != "." {
		r, err := f.c.Open(f.ctx, key)
		if err == nil {
			return &file{r, fileInfo{name: path.Base(name), size: r.Object().Size, modified: r.Object().Modified}}, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, pathError("open", name, err)
		}
	}
	if err := f.isDir(key); err != nil {
		return nil, pathError("open", name, err)
	}
	return &dirFile{fs: f, name: name}, nil
}

// Stat returns the size and time of a key, or that name is a directory.
func (f *keyFS) Stat(name string) (fs.FileInfo, error) {
	key, err := f.key("stat", name)
	if err != nil {
		return nil, err
	}
	if name != "." {
		o, err := f.c.Stat(f.ctx, key)
		if err == nil {
			return fileInfo{name: path.Base(name), size: o.Size, modified: o.Modified}, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, pathError("stat", name, err)
		}
	}
	if err := f.isDir(key); err != nil {
		return nil, pathError("stat", name, err)
	}
	return fileInfo{name: path.Base(name), dir: true}, nil
}

// isDir returns nil if there is a key below dir.
func (f *keyFS) isDir(dir string) error {
	for _, err := range f.c.List(f.ctx, dir+"/", false) {
		return err
	}
	return &Error{Op: "ls", Key: dir + "/", Kind: ErrNotFound, Text: "no key below it"}
}

// ReadDir returns what is in a directory, sorted by name.
func (f *keyFS) ReadDir(name string) ([]fs.DirEntry, error) {
	key, err := f.key("readdir", name)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	for e, err := range f.c.List(f.ctx, key+"/", false) {
		if err != nil {
			return nil, pathError("readdir", name, err)
		}
		list = append(list, fileInfo{name: path.Base(e.Name), dir: e.Dir, size: e.Size, modified: e.Modified})
	}
	if len(list) == 0 {
		if _, err := f.Stat(name); err != nil {
			return nil, pathError("readdir", name, errors.Unwrap(err))
		}
		return nil, pathError("readdir", name, errors.New("not a directory"))
	}
	// A listing sorts directories by their names with the slash, so that a/ comes after
	// a-b. Sort again without it. A key a comes before a directory a/, and a stable sort
	// leaves it there: Compact keeps the key.
	slices.SortStableFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(list, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() }), nil
}

// file is an open key.
type file struct {
	*Reader
	info fileInfo
}

var _ io.ReadSeeker = (*file)(nil)

// Stat returns what the key was when it was opened.
func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

// dirFile is an open directory.
type dirFile struct {
	fs     *keyFS
	name   string
	list   []fs.DirEntry // the entries that are left
	read   bool          // list has been read once
	closed bool
}

var _ fs.ReadDirFile = (*dirFile)(nil)

func (d *dirFile) Stat() (fs.FileInfo, error) {
	return fileInfo{name: path.Base(d.name), dir: true}, nil
}

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

func (d *dirFile) Close() error {
	if d.closed {
		return &fs.PathError{Op: "close", Path: d.name, Err: fs.ErrClosed}
	}
	d.closed = true
	return nil
}

// ReadDir returns the next n entries, or all that are left if n <= 0.
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.closed {
		return nil, &fs.PathError{Op: "readdir", Path: d.name, Err: fs.ErrClosed}
	}
	if !d.read {
		list, err := d.fs.ReadDir(d.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // ErrNotExist: it has become empty since it was opened
			return nil, err
		}
		d.list, d.read = list, true
	}
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	list := d.list[:n:n]
	d.list = d.list[n:]
	return list, nil
}

// fileInfo describes a key or directory. It is an fs.FileInfo and an fs.DirEntry.
type fileInfo struct {
	name     string
	dir      bool
	size     int64
	modified time.Time
}

func (i fileInfo) Name() string               { return i.name }
func (i fileInfo) IsDir() bool                { return i.dir }
func (i fileInfo) Size() int64                { return i.size }
func (i fileInfo) ModTime() time.Time         { return i.modified }
func (i fileInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i fileInfo) Sys() any                   { return nil }
func (i fileInfo) String() string             { return fs.FormatDirEntry(i) }

// Mode returns the permissions of what can only be read.
func (i fileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
