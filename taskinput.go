package s4

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// TaskInput is what one task of a job reads, and what its command is told of it.
type TaskInput struct {
	Server int      // that the task belongs to, its index
	Number int      // of the task on that server, as in $S4_TASK: see JobTaskInput
	Key    string   // $S4_KEY
	Keys   []string // that it reads, sorted; more than one only of a merge
	Group  string   // $S4_GROUP: of a merge
}

// JobTaskInput finds the input of the task of a job that key names, as JobTask.Key does:
// of a merge its output. It looks at the keys that are there now, and so numbers the tasks
// that the job would have now. The error is ErrNotFound if key names no task, or nothing of its
// input is there any more, and ErrBadRequest if nobody knows what the task has read: of a
// manifest, and of a merge with JobOptions.Keys.
func (c *Client) JobTaskInput(ctx context.Context, job JobStatus, key string) (TaskInput, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return TaskInput{}, usage("jobs", key, err)
	}
	in := TaskInput{Server: c.cluster.Place(name), Key: Scheme + name}
	inputs, err := c.jobInputs(ctx, job, in.Server)
	if err != nil {
		return TaskInput{}, c.opError(ctx, "jobs", key, in.Server, err)
	}
	if Verb(job.Verb) != VerbMapFromN {
		in.Number, in.Keys = slices.IndexFunc(inputs, func(k taskKey) bool { return k.base+k.rel == name }), []string{in.Key}
		if in.Number >= 0 {
			return in, nil
		}
		return TaskInput{}, noTask(job, in.Key)
	}
	rels := make([]string, len(inputs))
	for i, k := range inputs {
		rels[i] = k.rel
	}
	outdir := strings.TrimPrefix(job.Outdir, Scheme) + "/"
	for i, g := range names.Groups(rels) {
		if outdir+g.Name != name {
			continue
		}
		in.Number, in.Group = i, names.GroupPrefix(g.Name)
		for _, k := range g.Keys {
			in.Keys = append(in.Keys, Scheme+inputs[k].base+inputs[k].rel)
		}
		slices.Sort(in.Keys)
		return in, nil
	}
	return TaskInput{}, noTask(job, in.Key)
}

// taskKey is a key that a job reads: its path rel below the directory base, which ends in
// a slash.
type taskKey struct{ base, rel string }

// jobInputs lists a job's input on one server, in the order of its tasks.
func (c *Client) jobInputs(ctx context.Context, job JobStatus, server int) (list []taskKey, err error) {
	if job.Manifest {
		return nil, wire.Errorf(wire.CodeBadRequest, "the job's tasks have read no keys, but records of a manifest, which are gone")
	}
	if job.Listed && Verb(job.Verb) == VerbMapFromN {
		return nil, wire.Errorf(wire.CodeBadRequest, "the job merged the keys of a list, which is not kept")
	}
	for _, dir := range append([]string{job.Indir}, job.Options.MoreIndirs...) {
		glob := names.Glob{Base: strings.TrimPrefix(dir, Scheme)}
		if !job.Options.NoGlob {
			if glob, err = names.ParseGlob(glob.Base); err != nil {
				return nil, err
			}
		}
		list, err = c.appendInputs(ctx, list, server, glob, job.Options.Filter)
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// appendInputs appends the keys below one directory of a job's input.
func (c *Client) appendInputs(ctx context.Context, list []taskKey, server int, glob names.Glob, filter *Filter) ([]taskKey, error) {
	base := glob.Base + "/"
	ctx, cancel := context.WithCancel(ctx)
	l := c.listOne(ctx, server, wire.FlagRecursive, base, 0)
	defer func() {
		cancel()
		for range l.batches { // wait for its goroutine
		}
	}()
	for batch := range l.batches {
		for _, e := range batch {
			if rel, ok := strings.CutPrefix(e.Name, base); ok && glob.Match(rel) && filter.Match(rel) {
				list = append(list, taskKey{base, rel})
			}
		}
	}
	return list, l.err
}

func noTask(job JobStatus, key string) error {
	what := "an input"
	if Verb(job.Verb) == VerbMapFromN {
		what = "an output"
	}
	return &Error{Op: "jobs", Key: key, Kind: ErrNotFound, Text: fmt.Sprintf("no task of the job has that key for %s, or its input is gone", what)}
}

// Env returns the variables that the command of a task has, beside those of its job and
// server, if the key that it reads is in the file.
func (in *TaskInput) Env(file string) []string {
	return []string{
		fmt.Sprintf("S4_TASK=%d", in.Number),
		"filename=" + path.Base(in.Key),
		"S4_GROUP=" + in.Group,
		"S4_KEY=" + in.Key,
		"S4_FILE=" + file,
	}
}
