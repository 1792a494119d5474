package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Env is what a Row works in. It is used by one goroutine.
type Env struct {
	Options
	Dir    string // fresh, on the file system that is measured; removed at the end
	S4     string // path of the s4 program
	server string // of s4-server
	self   string // of s4-bench
	report *Report
	log    io.Writer // gets a line for each row

	// What the row or curve under way needs and makes.
	Cluster  *Cluster
	Source   *Source // of Options.Size
	Tree     *Tree
	S3       *objectStore
	RowDir   string         // goes with the row
	afterRow []func() error // ends what the row has begun, last first
	shared   *Cluster       // of the workload under way
}

// newEnv finds the programs and makes the directory.
func newEnv(o Options) (*Env, error) {
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
	e.Dir, err = os.MkdirTemp(o.Parent, "s4-bench-")
	return e, err
}

// program finds a program beside this one, else on PATH.
func program(self, name string) (string, error) {
	path, err := exec.LookPath(filepath.Join(filepath.Dir(self), name))
	if err != nil {
		path, err = exec.LookPath(name)
	}
	if err != nil {
		return "", fmt.Errorf("no %s beside s4-bench and none on PATH (build it with 'make build')", name)
	}
	return filepath.Abs(path)
}

// LeaveOut notes what this host lacks.
func (e *Env) LeaveOut(what, why string) {
	e.report.LeftOut = append(e.report.LeftOut, LeftOut{What: what, Why: why})
}

// AfterRow has f called when the row or curve under way ends, however it ends.
// The last one is called first.
func (e *Env) AfterRow(f func() error) { e.afterRow = append(e.afterRow, f) }

// with makes what a row needs, calls f, and removes what the row made.
func (e *Env) with(ctx context.Context, n Needs, f func() error) (err error) {
	defer func() { err = errors.Join(err, e.endRow(ctx)) }()
	if err := e.beginRow(ctx, n); err != nil {
		return err
	}
	if err = f(); err != nil {
		err = errors.Join(err, e.Cluster.alive())
	}
	return err
}

func (e *Env) beginRow(ctx context.Context, n Needs) (err error) {
	if e.RowDir, err = os.MkdirTemp(e.Dir, "row-"); err != nil {
		return err
	}
	if n.Source && e.Source == nil {
		if e.Source, err = makeSource(filepath.Join(e.Dir, "source"), e.Size); err != nil {
			return err
		}
	}
	if err := e.makeTreeOnce(ctx, n.Tree); err != nil {
		return err
	}
	if n.S3 {
		if e.S3, err = e.startObjects(ctx); err != nil {
			return err
		}
	}
	if e.Cluster, err = e.clusterFor(ctx, n); err != nil {
		return err
	}
	if n.Put {
		if _, _, err := e.Cluster.s4(ctx, "cp", "-q", "-r", e.Tree.Dir, inKeys); err != nil {
			return fmt.Errorf("put what is to be moved: %w", err)
		}
		return checkTree(ctx, e.Tree.TreeSum, e.Cluster.Dirs(inKeys)...)
	}
	return nil
}

// makeTreeOnce makes the tree of a spec, unless it is that of the row before.
func (e *Env) makeTreeOnce(ctx context.Context, spec treeSpec) error {
	if spec.files == 0 || e.Tree != nil && filepath.Base(e.Tree.Dir) == spec.name {
		return nil
	}
	err := e.dropTree()
	if err == nil {
		e.Tree, err = makeTree(ctx, e.Dir, spec)
	}
	return err
}

// dropTree removes the tree.
func (e *Env) dropTree() error {
	if e.Tree == nil {
		return nil
	}
	dir := e.Tree.Dir
	e.Tree = nil
	return os.RemoveAll(dir)
}

// clusterFor returns a cluster of the row's own, or that of the workload.
func (e *Env) clusterFor(ctx context.Context, n Needs) (c *Cluster, err error) {
	own := n.Servers > 0 || n.Link > 0
	n.Servers = cmp.Or(n.Servers, e.Servers)
	if own {
		if c, err = e.startCluster(ctx, n); err == nil {
			e.AfterRow(c.Close)
		}
		return c, err
	}
	if e.shared == nil {
		e.shared, err = e.startCluster(ctx, n)
	}
	return e.shared, err
}

// endRow ends and removes what the row made. When ctx has ended, all the
// cluster's keys go with the cluster.
func (e *Env) endRow(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(e.afterRow) {
		errs = append(errs, f())
	}
	e.afterRow, e.Cluster, e.S3 = nil, nil, nil
	if e.shared != nil && ctx.Err() == nil {
		errs = append(errs, e.shared.Remove(ctx, "s4://bench/"))
	}
	return errors.Join(append(errs, os.RemoveAll(e.RowDir))...)
}

// endWorkload stops the workload's cluster and removes its tree.
func (e *Env) endWorkload() error {
	err := e.dropTree()
	if e.shared != nil {
		err = errors.Join(err, e.shared.Close())
		e.shared = nil
	}
	return err
}

// close ends and removes all.
func (e *Env) close() error {
	return errors.Join(e.endWorkload(), os.RemoveAll(e.Dir))
}
