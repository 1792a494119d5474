package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// taskList holds a job's tasks on one server: for each, its input keys and
// its output key. Input names are relative to the job's base directory.
type taskList struct {
	rels    []string // inputs, in key order
	sizes   []int64
	dirs    []byte // which of the job's directories each is below; nil if there is one
	keys    int64  // inputs of tasks to run
	bytes   int64  // in them
	skipped int64  // tasks left out, because their output exists
	// Only for the merge: the inputs of each group, and the groups' names.
	groups [][]int32
	names  []string
	// Only for a manifest: rels are the names of its tasks, and these their records.
	records []record

	done taskSet  // were run before the job was parked
	runs []uint32 // recorded of each task before the job was parked, or nil
}

// ran returns how many runs of task i were recorded before the job was parked.
func (t *taskList) ran(i int) uint32 {
	if t.runs == nil {
		return 0
	}
	return t.runs[i]
}

func (t *taskList) len() int {
	if t.names != nil {
		return len(t.names)
	}
	return len(t.rels)
}

// ready returns the list's numbers, as READY has them.
func (t *taskList) ready() wire.Ready {
	return wire.Ready{Tasks: uint64(t.len()), Bytes: uint64(t.bytes), Keys: uint64(t.keys), Skipped: uint64(t.skipped)}
}

// find lists the job's input on this server and decides which tasks to run. Map and
// merge know which keys they will write. If one exists, that is an error, or with
// JobResume the task is skipped.
func (j *job) find() error {
	t := &j.tasks
	var err error
	switch {
	case j.manifest == nil:
		err = j.findKeys()
	default:
		err = j.awaitInputs()
		if err == nil && j.has(wire.JobKeys) {
			err = j.lookUp()
		}
	}
	if err != nil {
		return err
	}
	done, err := j.doneBefore()
	if err != nil {
		return err
	}
	if j.msg.Verb == wire.VerbMapFromN {
		return t.group(done)
	}
	return t.pick(done)
}

// doneBefore returns a function that reports whether a task, given by its name below
// outdir, was done before and can be skipped.
func (j *job) doneBefore() (func(name string) (bool, error), error) {
	resume := j.has(wire.JobResume)
	if j.msg.Verb == wire.VerbMapToN {
		if !resume {
			return func(string) (bool, error) { return false, nil }, nil
		}
		done, err := j.node.complete(j.ctx, j.msg.Outdir)
		return func(name string) (bool, error) { return done[name], nil }, err
	}
	if j.msg.Outdir == "" {
		return func(string) (bool, error) { return false, nil }, nil
	}
	looked, absent := "", false // the directory of the last key, and whether there is none
	return func(name string) (bool, error) {
		out := j.msg.Outdir + "/" + name
		err := names.CheckKey(out)
		if dir, _ := splitName(out); err == nil && dir != looked {
			looked, absent = dir, !j.node.store.hasDir(dir)
		}
		if err == nil && !absent {
			err = j.node.store.checkAbsent(out)
		}
		if err != nil && resume && toWire(err).Code == wire.CodeExists {
			return true, nil
		}
		return false, err
	}, nil
}

// pick drops the tasks that can be skipped.
func (t *taskList) pick(done func(string) (bool, error)) error {
	n := 0
	for i, rel := range t.rels {
		skip, err := done(rel)
		if err != nil {
			return err
		}
		if skip {
			t.skipped++
			continue
		}
		t.rels[n], t.sizes[n] = rel, t.sizes[i]
		if t.records != nil {
			t.records[n] = t.records[i]
		}
		if t.dirs != nil {
			t.dirs[n] = t.dirs[i]
		}
		t.bytes += t.sizes[i]
		n++
	}
	t.rels, t.sizes = t.rels[:n], t.sizes[:n]
	if t.dirs != nil {
		t.dirs = t.dirs[:n]
	}
	if t.records != nil {
		t.records = t.records[:n]
		return nil // they read no keys
	}
	t.keys = int64(n)
	return nil
}

// output returns the key that task i of a map or merge writes, if the job has an outdir.
func (j *job) output(i int) string {
	if j.msg.Verb == wire.VerbMapFromN {
		return j.msg.Outdir + "/" + j.tasks.names[i]
	}
	return j.msg.Output(j.tasks.rels[i])
}

// group sorts the inputs into the groups of a merge, and drops those that can be
// skipped.
func (t *taskList) group(done func(string) (bool, error)) error {
	t.names = []string{}
	for _, g := range names.Groups(t.rels) {
		skip, err := done(g.Name)
		if err != nil {
			return err
		}
		if skip {
			t.skipped++
			continue
		}
		t.names, t.groups = append(t.names, g.Name), append(t.groups, g.Keys)
		for _, i := range g.Keys {
			t.bytes += t.sizes[i]
			t.keys++
		}
	}
	return nil
}

// inputs returns the keys that task i reads, and their size; of a manifest the key that
// names it, and the size that it stands for.
func (j *job) inputs(i int) (keys []string, size int64) {
	if j.tasks.records != nil {
		return []string{j.taskKey(i)}, j.tasks.sizes[i]
	}
	of := []int32{int32(i)}
	if j.tasks.groups != nil {
		of = j.tasks.groups[i]
	}
	for _, k := range of {
		keys = append(keys, j.inputKey(k))
		size += j.tasks.sizes[k]
	}
	slices.Sort(keys)
	return keys, size
}

// taskKey returns the key that names task i in logs and reports: its input, or the
// output of a merge task or one of a manifest, for which there need not be any.
func (j *job) taskKey(i int) string {
	if j.msg.Verb == wire.VerbMapFromN || j.tasks.records != nil {
		return j.output(i)
	}
	return j.inputKey(int32(i))
}

// taskEnv returns the environment of task i.
func (j *job) taskEnv(i int, keys []string) []string {
	env := append(j.env[:len(j.env):len(j.env)], fmt.Sprintf("S4_TASK=%d", i))
	if j.msg.Verb == wire.VerbMapFromN {
		group, _, _ := strings.Cut(j.tasks.names[i], "_")
		if _, ok := names.NumericPrefix(j.tasks.names[i]); !ok {
			group = j.tasks.names[i]
		}
		return append(env, "filename="+j.tasks.names[i], "S4_GROUP="+group, "S4_KEY=s4://"+j.output(i), "S4_FILE=")
	}
	if j.tasks.records != nil {
		return append(env, "filename="+names.Base(keys[0]), "S4_KEY=s4://"+keys[0], "S4_FILE=", "S4_GROUP=")
	}
	return append(env, "filename="+names.Base(keys[0]), "S4_KEY=s4://"+keys[0], "S4_FILE="+j.node.store.file(keys[0]), "S4_GROUP=")
}
