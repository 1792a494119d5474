package s4

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The rules by which a copy of one thing into a directory names it. They are
// those of aws s3 cp and of cp(1) where these agree.

// UploadKey returns the key that a copy of the local file src to dst writes:
// dst, or, if dst ends in a slash or is a bucket, src's name below it. Stdin,
// src "-", has no name: it is an error then.
func UploadKey(src, dst string) (string, error) {
	name := strings.TrimPrefix(dst, Scheme)
	if name == "" {
		return dst, nil // no bucket: the put says so
	}
	if !strings.HasSuffix(name, "/") && strings.Contains(name, "/") {
		return dst, nil
	}
	dir := strings.TrimSuffix(dst, "/")
	if src == "-" {
		return "", fmt.Errorf("%s is a directory: give stdin a whole key, %s/NAME", dst, dir)
	}
	abs, err := filepath.Abs(src)
	if err != nil {
		return "", err
	}
	return dir + "/" + filepath.Base(abs), nil
}

// DownloadPath returns the file that a copy of the key src to the local dst
// writes: dst, or, if dst is a directory, src's basename in it. A dst that
// ends in a slash is a directory, and is made if it is absent.
func DownloadPath(src, dst string) (string, error) {
	if strings.HasSuffix(dst, "/") {
		if err := os.MkdirAll(filepath.Clean(dst), 0o777); err != nil {
			return "", &localError{filepath.Join(dst, path.Base(src)), err}
		}
	}
	if fi, err := os.Stat(dst); err == nil && fi.IsDir() {
		return filepath.Join(dst, path.Base(src)), nil
	}
	return dst, nil
}

// DownloadDir returns the directory that a recursive copy of the directory of
// keys src to the local dst writes: dst, but below the current directory a
// directory goes by its own name. A bucket goes without.
func DownloadDir(src, dst string) string {
	if filepath.Clean(dst) != "." {
		return dst
	}
	_, below, _ := strings.Cut(strings.TrimPrefix(src, Scheme), "/")
	if below = strings.TrimSuffix(below, "/"); below != "" {
		return path.Base(below)
	}
	return dst
}

// ListedName returns what a listing of prefix shows for name, both without or
// both with their scheme: the path without the bucket if recursive, else what
// follows the prefix's last slash.
func ListedName(prefix, name string, recursive bool) string {
	prefix = strings.TrimPrefix(prefix, Scheme)
	name = strings.TrimPrefix(name, Scheme)
	cut := strings.LastIndexByte(prefix, '/')
	if recursive || cut < 0 {
		cut = strings.IndexByte(name, '/')
	}
	return name[cut+1:]
}
