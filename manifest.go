package s4

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// ManifestTask is a task that reads no key, see JobOptions.Manifest.
type ManifestTask struct {
	// Name is the path of the task's output below outdir, and its basename says which
	// server runs it. No two tasks have one name.
	Name string

	// Record is the task's standard input, of at most 64 KiB. It is not copied.
	Record []byte

	// Size is how many bytes the task stands for, as those that it is to fetch: what
	// JobProgress counts as its input.
	Size int64
}

// manifest has the tasks of a job by server, in the order of their names.
type manifest struct {
	tasks []ManifestTask
	of    [][]int32
}

// newManifest checks tasks. Their output is below outdir, if that is not empty.
func newManifest(cluster *Cluster, outdir string, tasks []ManifestTask) (*manifest, error) {
	order := make([]int32, len(tasks))
	for i := range tasks {
		order[i] = int32(i)
		t := &tasks[i]
		switch err := names.CheckKey(below(outdir, t.Name)); {
		case t.Name == "":
			return nil, wire.Errorf(wire.CodeBadKey, "task %d has no name", i+1)
		case err != nil:
			return nil, wire.Errorf(wire.CodeBadKey, "task %s: %s", t.Name, toError("", err).Text)
		case len(t.Record) > wire.MaxRecord:
			return nil, wire.Errorf(wire.CodeTooLarge, "task %s: a record of %d bytes, at most %d", t.Name, len(t.Record), wire.MaxRecord)
		case t.Size < 0:
			return nil, wire.Errorf(wire.CodeBadRequest, "task %s: a size of %d bytes", t.Name, t.Size)
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(tasks[a].Name, tasks[b].Name) })
	m := &manifest{tasks: tasks, of: make([][]int32, len(cluster.Servers))}
	for k, i := range order {
		name := tasks[i].Name
		if k > 0 && name == tasks[order[k-1]].Name {
			return nil, wire.Errorf(wire.CodeBadRequest, "two tasks have the name %s", name)
		}
		server := cluster.Place(name)
		m.of[server] = append(m.of[server], i)
	}
	return m, nil
}

// newKeyList returns keys as tasks whose names are their paths below indir.
func newKeyList(cluster *Cluster, indir string, keys []string) (*manifest, error) {
	tasks := make([]ManifestTask, 0, len(keys))
	for _, key := range keys {
		name := key
		if full, ok := strings.CutPrefix(key, Scheme); ok {
			if name, ok = strings.CutPrefix(full, indir+"/"); !ok {
				return nil, &wire.Error{Code: wire.CodeBadRequest, Text: "the list has " + key + ", which is not below INDIR"}
			}
		}
		tasks = append(tasks, ManifestTask{Name: name})
	}
	slices.SortFunc(tasks, func(a, b ManifestTask) int { return cmp.Compare(a.Name, b.Name) })
	tasks = slices.CompactFunc(tasks, func(a, b ManifestTask) bool { return a.Name == b.Name })
	return newManifest(cluster, indir, tasks)
}

// source returns what a Coordinator takes the tasks from, nil for a nil manifest.
func (m *manifest) source() Tasks {
	if m == nil {
		return nil
	}
	return m.server
}

// below returns a key of that name below outdir, or if there is none, in any bucket.
func below(outdir, name string) string {
	if outdir == "" {
		outdir = "b"
	}
	return outdir + "/" + name
}

// all yields all tasks in the order of their names.
func (m *manifest) all() iter.Seq2[wire.Input, error] {
	var order []int32
	for _, list := range m.of {
		order = append(order, list...)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(m.tasks[a].Name, m.tasks[b].Name) })
	return m.some(order)
}

// server yields the tasks of one server in the order of their names.
func (m *manifest) server(i int) iter.Seq2[wire.Input, error] { return m.some(m.of[i]) }

func (m *manifest) some(list []int32) iter.Seq2[wire.Input, error] {
	return func(yield func(wire.Input, error) bool) {
		for _, i := range list {
			t := &m.tasks[i]
			if !yield(wire.Input{Size: uint64(t.Size), Name: t.Name, Record: string(t.Record)}, nil) {
				return
			}
		}
	}
}

// sendInputs sends tasks behind JOB, until ctx ends.
func sendInputs(ctx context.Context, conn *xfer.Conn, tasks iter.Seq2[wire.Input, error]) error {
	var m wire.Inputs
	size := 0
	for t, err := range tasks {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if n := t.InputSize(); len(m.List) > 0 && size+n > wire.MaxEntries {
			if err := conn.Write(1, 0, &m); err != nil {
				return err
			}
			m.List, size = m.List[:0], 0
		}
		m.List = append(m.List, t)
		size += t.InputSize()
	}
	m.Last = true
	return conn.Write(1, 0, &m)
}
