package node

import (
	"fmt"
	"slices"
	"strings"

	"s4"
	"s4/wire"
)

// taskList holds a job's tasks on one server: for each, its input keys and
// its output key. Input names are relative to the job's base directory.
type taskList struct {
	rels  []string // inputs, in key order
	sizes []int64
	bytes int64
	// Only for the merge: the inputs of each group, and the groups' names.
	groups [][]int32
	names  []string
}

func (t *taskList) len() int {
	if t.names != nil {
		return len(t.names)
	}
	return len(t.rels)
}

// find lists the job's input on this server and checks that map and merge
// will not write what exists.
func (j *job) find() error {
	base := j.in.Base + "/"
	err := j.node.store.list(j.ctx, base, true, func(e *wire.Entry) error {
		rel := e.Name[len(base):]
		if !j.in.Match(rel) {
			return nil
		}
		j.tasks.rels = append(j.tasks.rels, rel)
		j.tasks.sizes = append(j.tasks.sizes, int64(e.Size))
		j.tasks.bytes += int64(e.Size)
		return nil
	})
	if err != nil {
		return err
	}
	if j.msg.Verb == wire.VerbMapFromN {
		j.tasks.group()
	}
	if j.msg.Verb == wire.VerbMapToN {
		return nil
	}
	for i := range j.tasks.len() {
		out := j.output(i)
		if err := s4.CheckKey(out); err != nil {
			return err
		}
		if err := j.node.store.absent(out); err != nil {
			return err
		}
	}
	return nil
}

// output returns the key that task i of a map or merge writes.
func (j *job) output(i int) string {
	if j.msg.Verb == wire.VerbMapFromN {
		return j.msg.Outdir + "/" + j.tasks.names[i]
	}
	return j.msg.Outdir + "/" + j.tasks.rels[i]
}

// group sorts the inputs into groups by numeric prefix, or by basename where
// there is none. A group is named by its prefix and the suffix that all its
// keys share, if they do.
func (t *taskList) group() {
	index := make(map[string]int)
	t.names = []string{}
	suffixes := []string{}
	for i, rel := range t.rels {
		base := s4.Basename(rel)
		name, suffix := base, ""
		if digits, ok := s4.NumericPrefix(base); ok {
			name, suffix = digits, base[len(digits):]
		}
		g, ok := index[name]
		if !ok {
			g = len(t.names)
			index[name] = g
			t.names = append(t.names, name)
			t.groups = append(t.groups, nil)
			suffixes = append(suffixes, suffix)
		}
		if suffixes[g] != suffix {
			suffixes[g] = ""
		}
		t.groups[g] = append(t.groups[g], int32(i))
	}
	for g := range t.names {
		t.names[g] += suffixes[g]
	}
	// Two groups cannot get one name: 0_a and 0 + _a are the same group.
}

// inputs returns the keys that task i reads, and their size.
func (j *job) inputs(i int) (keys []string, size int64) {
	of := []int32{int32(i)}
	if j.tasks.groups != nil {
		of = j.tasks.groups[i]
	}
	for _, k := range of {
		keys = append(keys, j.in.Base+"/"+j.tasks.rels[k])
		size += j.tasks.sizes[k]
	}
	slices.Sort(keys)
	return keys, size
}

// taskEnv returns the environment of task i.
func (j *job) taskEnv(i int, keys []string) []string {
	env := append(j.env[:len(j.env):len(j.env)], fmt.Sprintf("S4_TASK=%d", i))
	if j.msg.Verb == wire.VerbMapFromN {
		group, _, _ := strings.Cut(j.tasks.names[i], "_")
		if _, ok := s4.NumericPrefix(j.tasks.names[i]); !ok {
			group = j.tasks.names[i]
		}
		return append(env, "filename="+j.tasks.names[i], "S4_GROUP="+group, "S4_KEY=s4://"+j.output(i), "S4_FILE=")
	}
	return append(env, "filename="+s4.Basename(keys[0]), "S4_KEY=s4://"+keys[0], "S4_FILE="+j.node.store.file(keys[0]), "S4_GROUP=")
}
