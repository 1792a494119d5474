package s4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// CopyOptions change what Copy copies. The zero value copies one file.
type CopyOptions struct {
	// Recursive copies all below a directory, of local files or of keys.
	Recursive bool

	// Glob lets a src of keys be a pattern; see IsGlob and CopyAll.
	Glob bool

	// Filter, if not nil, leaves files and keys out of a copy of many. Its rules look at
	// paths relative to the directory that is copied.
	Filter *Filter

	// DryRun calls Report for what would be copied, and copies nothing. It looks for
	// sources, and not for what is in their way.
	DryRun bool

	// SkipExisting skips what is there with the same size, so that a copy that was
	// interrupted can be repeated: Report has Same set. Keys that have another size are
	// ErrExists, local files that have one are replaced. What exists below a directory of
	// keys is listed once and held in memory.
	SkipExisting bool

	// Retries is how many more times a transfer is tried that a server broke, since it
	// was stopped, killed, cut off or silent for too long; before each, the server is
	// waited for, for up to 10 seconds. Of Stdin and Stdout, and of what is no regular
	// file, there is one try; so there is to connect at first. If a put, or a copy to
	// another key, finds after one whose answer did not come that the key exists with the
	// size and xxh64 of its source, it has succeeded.
	Retries int

	// Split, if not nil, cuts a local file or Stdin into many keys; see PutSplit.
	Split *SplitOptions

	// Stdin and Stdout, if not nil, are used for src - and dst -.
	Stdin  io.Reader
	Stdout io.Writer

	// Moved, if not nil, counts bytes as they are copied, for a display of progress. Those
	// that are copied again since a transfer broke count again.
	Moved *atomic.Int64

	// moves says that sources are to be removed.
	moves bool

	// confirm makes a put of what has come to exist succeed if it is the same.
	confirm bool

	// Report, if not nil, is called for every file that was copied, skipped or
	// failed, by one goroutine at a time. If it is nil and a file of many fails, Copy
	// returns the first such error.
	Report func(Transfer)
}

// Copy copies between local files and keys, as 's4 cp' does. At least one of src and dst
// starts with s4://; if both do, the servers copy among themselves, see CopyKey. If dst ends in a slash, or is a directory or a bucket, the copy keeps the
// name of src. With Recursive, a directory of keys that is copied to the current
// directory keeps its name as well.
//
// The error of a copy of one file says why it failed. In a copy of many files, each
// failure goes to Report, and the error is about the copy as a whole: a directory cannot
// be read, there is nothing to copy, or ctx has ended. Arguments that make no sense are
// ErrBadRequest.
func (c *Client) Copy(ctx context.Context, src, dst string, opts *CopyOptions) error {
	if opts == nil {
		opts = new(CopyOptions)
	}
	report, first := opts.Report, error(nil)
	if report == nil {
		report = func(t Transfer) {
			if first == nil && !t.Skip {
				first = t.Err
			}
		}
	}
	up, down := isRemote(dst), isRemote(src)
	var err error
	if !up && !down {
		err = errNoRemote
	}
	switch {
	case err != nil:
	case opts.Split != nil && opts.Recursive:
		err = badCopy("a split cuts one file, not all below a directory")
	case opts.Split != nil && down:
		err = badCopy("a split is of a file or stdin, into keys")
	case opts.Split != nil && opts.DryRun:
		err = badCopy("a split has no dry run")
	case opts.Split != nil:
		err = c.copySplit(ctx, src, dst, opts, report)
	case down && opts.Glob && IsGlob(src):
		err = c.copyAll(ctx, func(yield func(string, error) bool) { yield(src, nil) }, dst, true, opts, report)
	case up && down:
		err = c.copyKeys(ctx, src, dst, opts, report)
	case up && opts.Recursive:
		err = c.copyTreeUp(ctx, src, dst, opts, report)
	case down && opts.Recursive:
		err = c.copyTreeDown(ctx, src, dst, opts, report)
	case up:
		err = c.copyUp(ctx, src, dst, opts, report)
	default:
		err = c.copyDown(ctx, src, dst, opts, report)
	}
	if err == nil {
		err = first
	}
	return err
}

// badCopy returns the error for arguments of Copy that make no sense.
func badCopy(format string, args ...any) error {
	return &Error{Op: "cp", Kind: ErrBadRequest, Text: fmt.Sprintf(format, args...)}
}

// errNoRemote is the error of a copy between local files.
var errNoRemote = badCopy("neither SRC nor DST starts with s4://")

func (c *Client) copyUp(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	key, err := uploadKey(src, dst)
	if err != nil {
		return err
	}
	t := Transfer{Key: key, Path: src}
	stdin := src == "-" && opts.Stdin != nil
	if opts.SkipExisting && !stdin {
		same, ok, err := c.skipPutOf(ctx, src, key)
		if ok {
			report(same)
		}
		if ok || err != nil {
			return err
		}
	}
	switch {
	case stdin:
		t.Path = ""
		if !opts.DryRun {
			t.Size, err = c.put(ctx, key, xfer.Source{R: opts.Stdin, Size: -1, Moved: opts.Moved})
		}
	case opts.DryRun:
		t.Size, err = c.wouldPut(ctx, src, key)
	case opts.moves:
		return c.moveUp(ctx, src, key, opts, report)
	default:
		t.Size, err = c.putFileAgain(ctx, src, key, opts)
	}
	if err == nil {
		report(t)
	}
	return err
}

// wouldPut is putFile as a dry run.
func (c *Client) wouldPut(ctx context.Context, path, key string) (int64, error) {
	if _, err := names.ParseKey(key); err != nil {
		return 0, usage("put", key, err)
	}
	f, err := c.openForPut(ctx, path, key)
	if err != nil {
		return 0, err
	}
	f.Close()
	return max(f.size, 0), nil
}

func (c *Client) copyDown(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	if strings.HasSuffix(src, "/") {
		return badCopy("%s is a directory of keys: use -r for all below it", src)
	}
	stdout := dst == "-" && opts.Stdout != nil
	if opts.SkipExisting && !stdout {
		f := fetch{name: strings.TrimPrefix(src, Scheme), path: dst}
		if isLocalDir(dst) {
			f.path = filepath.Join(dst, path.Base(src))
		}
		if isRegular(f.path) {
			o, err := c.Stat(ctx, src)
			f.size = uint64(o.Size)
			if err != nil || f.skipGet(opts, report) {
				return err
			}
		}
	}
	if opts.DryRun {
		o, err := c.Stat(ctx, src)
		if err != nil {
			return err
		}
		t := Transfer{Key: src, Size: o.Size}
		if !stdout {
			if t.Path = dst; isLocalDir(dst) {
				t.Path = filepath.Join(dst, path.Base(src))
			}
		}
		report(t)
		return nil
	}
	if stdout {
		o, err := c.Get(ctx, src, countWrite(opts.Stdout, opts.Moved))
		if err == nil {
			report(Transfer{Key: src, Size: o.Size})
		}
		return err
	}
	file, err := downloadPath(src, dst)
	if err != nil {
		return &Error{Op: "cp", Key: src, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	o, err := c.getFileAgain(ctx, src, file, opts)
	if err == nil {
		report(Transfer{Key: src, Path: file, Size: o.Size})
	}
	return err
}

func (c *Client) copyTreeUp(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	if src == "-" {
		return badCopy("stdin is one key: leave -r off")
	}
	fail := func(text string, err error) error {
		return &Error{Op: "cp", Key: dst, Kind: ErrStorage, Text: text, Err: err}
	}
	switch fi, err := os.Stat(src); {
	case err != nil:
		return fail(err.Error(), err)
	case !fi.IsDir():
		return fail(src+" is not a directory (leave -r off to copy a file)", nil)
	}
	some := false
	err := c.putTree(ctx, src, dst, opts, func(t Transfer) {
		some = some || !t.Skip || t.Same
		report(t)
	})
	if err == nil && !some {
		err = &Error{Op: "cp", Key: dst, Kind: wire.CodeInternal, Text: "no regular file below " + src}
	}
	return err
}

func (c *Client) copyTreeDown(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	if dst == "-" {
		return badCopy("stdout takes one key: leave -r off")
	}
	err := c.getTree(ctx, src, downloadDir(src, dst), opts, report)
	if errors.Is(err, ErrNotFound) && !strings.HasSuffix(src, "/") {
		if _, serr := c.Stat(ctx, src); serr == nil {
			return &Error{Op: "cp", Key: src, Kind: wire.CodeInternal, Text: "it is a key, not a directory of keys (leave -r off)"}
		}
	}
	return err
}

func (c *Client) copySplit(ctx context.Context, src, dst string, opts *CopyOptions, report func(Transfer)) error {
	if src == "-" && opts.Stdin != nil {
		return c.PutSplit(ctx, opts.Stdin, dst, *opts.Split, report)
	}
	key, err := uploadKey(src, dst)
	if err != nil {
		return err
	}
	if fi, err := os.Stat(src); err == nil && fi.IsDir() {
		return &Error{Op: "put", Key: key, Kind: ErrStorage, Text: src + " is a directory (a split cuts one file: give each by itself)", Err: errIsDir}
	}
	return c.PutSplitFile(ctx, src, key, *opts.Split, report)
}

// The functions below choose the name of a copy in a directory. The rules are those on
// which aws s3 cp and cp(1) agree.

func isRemote(s string) bool { return strings.HasPrefix(s, Scheme) }

// uploadKey returns the key that a copy of the local file src to dst writes. That is
// dst, or, if dst ends in a slash or is a bucket, src's name below it. Standard input,
// src "-", has no name, so that this is an error.
func uploadKey(src, dst string) (string, error) {
	name := strings.TrimPrefix(dst, Scheme)
	if name == "" {
		return dst, nil // without a bucket: Put returns the error
	}
	if !strings.HasSuffix(name, "/") && strings.Contains(name, "/") {
		return dst, nil
	}
	dir := strings.TrimSuffix(dst, "/")
	if src == "-" {
		return "", badCopy("%s is a directory: give stdin a whole key, %s/NAME", dst, dir)
	}
	abs, err := filepath.Abs(src)
	if err != nil {
		return "", err
	}
	return dir + "/" + filepath.Base(abs), nil
}

// downloadPath returns the file that a copy of the key src to the local dst writes. That
// is dst, or, if dst is a directory, src's basename in it. A dst that ends in a slash is
// a directory, which is made if it does not exist.
func downloadPath(src, dst string) (string, error) {
	if strings.HasSuffix(dst, "/") {
		if err := makeDir(filepath.Clean(dst)); err != nil {
			return "", &localError{filepath.Join(dst, path.Base(src)), err}
		}
	}
	if isLocalDir(dst) {
		return filepath.Join(dst, path.Base(src)), nil
	}
	return dst, nil
}

// isLocalDir reports whether a local dst is a directory, or will be made one.
func isLocalDir(dst string) bool {
	fi, err := os.Stat(dst)
	return strings.HasSuffix(dst, "/") || err == nil && fi.IsDir()
}

// downloadDir returns the local directory into which a recursive copy of the directory
// of keys src to dst writes. That is dst, except that a copy to the current directory
// goes to a directory with the name of src. The content of a bucket goes to dst itself.
func downloadDir(src, dst string) string {
	if filepath.Clean(dst) != "." {
		return dst
	}
	_, below, _ := strings.Cut(strings.TrimPrefix(src, Scheme), "/")
	if below = strings.TrimSuffix(below, "/"); below != "" {
		return path.Base(below)
	}
	return dst
}
