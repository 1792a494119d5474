package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/xfer"
)

// Env is what a Row works in. It is used by one goroutine.
type Env struct {
	Options
	Dir    string // fresh, on the file system that is measured; removed at the end
	S4     string // path of the s4 program
	server string // of s4-server
	self   string // of s4-bench

	// RowDir is a directory for what the row or curve under way makes.
	RowDir string

	afterRow []func() error // ends what the row has begun, last first
	cluster  *Cluster       // of the workload under way
	source   *Source
	trees    map[string]*Tree // of the workload under way, by directory
	leftOut  []LeftOut
	series   []Series // of the workload under way
}

// Source is the file that rows move.
type Source struct {
	Path string
	Sum
}

// newEnv finds the programs and makes the directory below parent.
func newEnv(o Options, parent string) (*Env, error) {
	e := &Env{Options: o}
	var err error
	if e.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if e.S4, err = program(e.self, "s4"); err != nil {
		return nil, err
	}
	if e.server, err = program(e.self, "s4-server"); err != nil {
		return nil, err
	}
	e.Dir, err = os.MkdirTemp(parent, "s4-bench-")
	return e, err
}

// program finds a program beside this one, else on PATH.
func program(self, name string) (string, error) {
	path := filepath.Join(filepath.Dir(self), name)
	if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s beside s4-bench and none on PATH (build it with 'make build')", name)
	}
	return filepath.Abs(path)
}

// LeaveOut notes what this host lacks.
func (e *Env) LeaveOut(what, why string) {
	e.leftOut = append(e.leftOut, LeftOut{What: what, Why: why})
}

// AfterRow has f called when the row or curve under way ends, however it ends.
// The last one is called first.
func (e *Env) AfterRow(f func() error) { e.afterRow = append(e.afterRow, f) }

func (e *Env) beginRow() (err error) {
	e.RowDir, err = os.MkdirTemp(e.Dir, "row-")
	return err
}

// endRow ends and removes what the row made. When ctx has ended, all the
// cluster's keys go with the cluster.
func (e *Env) endRow(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(e.afterRow) {
		errs = append(errs, f())
	}
	e.afterRow = nil
	if e.cluster != nil && ctx.Err() == nil {
		errs = append(errs, e.cluster.Remove(ctx, "s4://bench/"))
	}
	return errors.Join(append(errs, os.RemoveAll(e.RowDir))...)
}

// Cluster returns the cluster of the workload under way, started when it is
// first asked for.
func (e *Env) Cluster(ctx context.Context) (*Cluster, error) {
	if e.cluster == nil {
		c, err := e.StartCluster(ctx, e.Servers)
		if err != nil {
			return nil, err
		}
		e.cluster = c
	}
	return e.cluster, nil
}

// endWorkload stops the workload's cluster and removes its trees.
func (e *Env) endWorkload() error {
	var errs []error
	if e.cluster != nil {
		errs = append(errs, e.cluster.Close())
		e.cluster = nil
	}
	for dir := range e.trees {
		errs = append(errs, os.RemoveAll(dir))
	}
	e.trees = nil
	return errors.Join(errs...)
}

// Source returns the file of Options.Size random bytes, made when it is first
// asked for: no file system compresses it, and no page of it is shared.
func (e *Env) Source(ctx context.Context) (*Source, error) {
	if e.source == nil {
		s, err := makeSource(ctx, filepath.Join(e.Dir, "source"), e.Size)
		if err != nil {
			return nil, fmt.Errorf("make the source file: %w", err)
		}
		e.source = s
	}
	return e.source, nil
}

func makeSource(ctx context.Context, path string, size int64) (_ *Source, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// Laid out as a key is: yardsticks send this file where s4 sends a key.
	f, err := xfer.CreateTemp(int(dir.Fd()), 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Preallocate(size); err != nil {
		return nil, err
	}
	var digest xxhash.Digest
	digest.Reset()
	random := rand.NewChaCha8([32]byte{'s', '4'})
	buf := make([]byte, xfer.ChunkSize)
	for left := size; left > 0; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, _ := random.Read(buf[:min(left, int64(len(buf)))]) // never fails
		_, _ = digest.Write(buf[:n])
		if _, err := f.Write(buf[:n]); err != nil {
			return nil, err
		}
		left -= int64(n)
	}
	if err := f.Publish(int(dir.Fd()), filepath.Base(path)); err != nil {
		return nil, err
	}
	return &Source{Path: path, Sum: Sum{Size: size, Hash: digest.Sum64()}}, nil
}

// close ends and removes all.
func (e *Env) close() error {
	return errors.Join(e.endWorkload(), os.RemoveAll(e.Dir))
}

// s4Version returns what the client says of itself.
func (e *Env) s4Version(ctx context.Context) (string, error) {
	_, out, err := e.run(ctx, Command{Args: []string{e.S4, "--version"}})
	return strings.TrimSpace(string(out)), err
}

// sourceAndCluster returns both.
func (e *Env) sourceAndCluster(ctx context.Context) (*Source, *Cluster, error) {
	src, err := e.Source(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := e.Cluster(ctx)
	return src, c, err
}

// treeAndCluster returns both.
func (e *Env) treeAndCluster(ctx context.Context, files, size int) (*Tree, *Cluster, error) {
	t, err := e.Tree(ctx, files, size)
	if err != nil {
		return nil, nil, err
	}
	c, err := e.Cluster(ctx)
	return t, c, err
}
