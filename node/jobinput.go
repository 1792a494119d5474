package node

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// input is where a job's input is, and what of it is meant.
type input struct {
	dirs  []names.Glob // none for a manifest
	rules names.Rules
}

// jobInput checks the input of a job.
func jobInput(m *wire.Job) (in input, err error) {
	manifest, keys := m.Options&wire.JobManifest != 0, m.Options&wire.JobKeys != 0
	switch {
	case manifest && m.Verb != wire.VerbMap:
		return in, wire.Errorf(wire.CodeBadRequest, "a %s takes no manifest, only a map", m.Verb)
	case manifest && (m.Indir != "" || keys || m.Rules != "" || len(m.More) > 0):
		return in, wire.Errorf(wire.CodeBadRequest, "a job with a manifest reads no keys, and this one has an INDIR")
	case manifest:
		return in, nil
	case keys && len(m.More) > 0:
		return in, wire.Errorf(wire.CodeBadRequest, "a job with a list of keys has one INDIR")
	}
	if in.rules, err = names.ParseRules(m.Rules); err != nil {
		return in, err
	}
	for _, dir := range append([]string{m.Indir}, m.More...) {
		g := names.Glob{Base: dir}
		if m.Options&wire.JobNoGlob != 0 {
			err = names.CheckPrefix(dir + "/")
		} else {
			g, err = names.ParseGlob(dir)
		}
		if err != nil {
			return in, err
		}
		in.dirs = append(in.dirs, g)
	}
	if keys && len(in.dirs[0].Pattern) > 0 {
		return in, wire.Errorf(wire.CodeBadRequest, "a job with a list of keys has an INDIR without a pattern")
	}
	return in, nil
}

// findKeys lists the keys below the job's directories.
func (j *job) findKeys() error {
	t := &j.tasks
	for d, in := range j.in.dirs {
		base := in.Base + "/"
		err := j.node.store.list(j.ctx, base, true, func(e *wire.Entry) error {
			rel := e.Name[len(base):]
			if in.Match(rel) && j.in.rules.Match(rel) {
				t.rels = append(t.rels, rel)
				t.sizes = append(t.sizes, int64(e.Size))
				if len(j.in.dirs) > 1 {
					t.dirs = append(t.dirs, byte(d))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return j.checkDirs()
}

// checkDirs returns an error if a key is below two of the job's directories, or if two
// keys would be written to one place.
func (j *job) checkDirs() error {
	t := &j.tasks
	if t.dirs == nil {
		return nil
	}
	order := make([]int32, len(t.rels))
	same := func(name func(int32) string) (a, b string) {
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(name(a), name(b)) })
		for i := 1; i < len(order); i++ {
			if k, l := order[i-1], order[i]; name(k) == name(l) {
				return j.inputKey(min(k, l)), j.inputKey(max(k, l))
			}
		}
		return "", ""
	}
	if a, _ := same(j.inputKey); a != "" {
		return &wire.Error{Code: wire.CodeConflict, Key: a, Text: "the key is below two of the directories of input"}
	}
	if j.msg.Verb == wire.VerbMapFromN {
		return nil
	}
	if a, b := same(func(i int32) string { return t.rels[i] }); a != "" {
		return &wire.Error{Code: wire.CodeConflict, Key: b, Text: "the output of this key would have the place of that of s4://" + a}
	}
	return nil
}

// inputKey returns input k.
func (j *job) inputKey(k int32) string {
	d := 0
	if j.tasks.dirs != nil {
		d = int(j.tasks.dirs[k])
	}
	return j.in.dirs[d].Base + "/" + j.tasks.rels[k]
}

// lookUp drops the keys of a list that are not meant, and finds out how large the others
// are. It is an error if one does not exist.
func (j *job) lookUp() error {
	t := &j.tasks
	n := 0
	for _, rel := range t.rels {
		if !j.in.rules.Match(rel) {
			continue
		}
		key := j.in.dirs[0].Base + "/" + rel
		fd, f, err := j.node.store.lookAt(key)
		if err != nil {
			return j.node.store.openKeyError(err, key)
		}
		unix.Close(fd)
		t.rels[n], t.sizes[n] = rel, f.size
		n++
		if j.ctx.Err() != nil {
			return j.ctx.Err()
		}
	}
	t.rels, t.sizes = t.rels[:n], t.sizes[:n]
	return nil
}

// relOf returns the path of an input below its directory. dirs must be nil, or index have
// all inputs.
func (j *job) relOf(key string, index map[string]string) string {
	if index != nil {
		return index[key]
	}
	return strings.TrimPrefix(key, j.in.dirs[0].Base+"/")
}

// relIndex returns the paths of all inputs for relOf, or nil if there is one directory.
func (j *job) relIndex() map[string]string {
	if j.tasks.dirs == nil {
		return nil
	}
	index := make(map[string]string, len(j.tasks.rels))
	for i, rel := range j.tasks.rels {
		index[j.inputKey(int32(i))] = rel
	}
	return index
}
