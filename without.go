package s4

import (
	"context"
	"errors"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// A job that keeps going does without a server that is lost and does not come back. A
// map or a merge writes where it reads, so this costs the tasks of that server. In a
// shuffle it would take a part of the output of every task, so a shuffle fails.

// canLose reports whether the job may do without a server that is lost.
func (co *Coordinator) canLose() bool {
	return co.job.Wait > 0 && co.job.Options&wire.JobKeepGoing != 0 && co.job.Verb != wire.VerbMapToN
}

// goOnWithout gives up the part of a server that is lost because of err, and reports
// whether the job can do without it.
func (co *Coordinator) goOnWithout(s *jobServer, err error) bool {
	if !co.canLose() || co.lossOf == nil {
		return false
	}
	co.mu.Lock()
	lost := 0
	for i := range co.parts {
		if co.parts[i].gone {
			lost++
		}
	}
	if lost+1 == len(co.parts) {
		co.mu.Unlock()
		return false // nothing would be left
	}
	p := &co.parts[s.index]
	p.gone = true
	p.progress = wire.Progress{Failed: p.ready.Tasks}
	co.mu.Unlock()
	s.gone = true
	co.tellMissing(s.index, err)
	return true
}

// adoptWithout leaves out the servers that a client before this one has gone on without:
// those that are prepared, or have committed, keep to what it has said.
func (co *Coordinator) adoptWithout(ctx context.Context) error {
	if !co.canLose() {
		return nil
	}
	for i, s := range co.servers {
		conn := s.current()
		if conn == nil || !conn.promised {
			continue
		}
		info, err := co.client.jobOn(ctx, i, co.job.ID)
		if err != nil {
			return co.opError(ctx, i, err)
		}
		for _, server := range info.Without {
			if int(server) >= len(co.servers) {
				continue
			}
			lost := co.servers[server]
			co.mu.Lock()
			p := &co.parts[server]
			p.gone = true
			p.progress = wire.Progress{Failed: p.ready.Tasks}
			co.mu.Unlock()
			lost.gone = true
			lost.giveUp(wire.Errorf(wire.CodeUnavailable, "the job went on without this server, which did not come back in time"))
		}
	}
	return nil
}

// without lists the servers that the job does without.
func (co *Coordinator) without() []uint32 {
	co.mu.Lock()
	defer co.mu.Unlock()
	var list []uint32
	for i := range co.parts {
		if co.parts[i].gone {
			list = append(list, uint32(i))
		}
	}
	return list
}

// tellMissing tells of each task of a lost server as one that failed because of err.
func (co *Coordinator) tellMissing(server int, err error) {
	at := co.client.cluster.Servers[server]
	co.telling.Lock()
	defer co.telling.Unlock()
	for _, key := range co.lossOf[server] {
		t := wire.Task{
			Key:   key,
			State: wire.TaskFailed,
			Exit:  -1,
			Start: time.Now().UnixNano(),
			Code:  codeOf(err),
			Error: "not run to its end: " + unavailable(err),
		}
		switch {
		case co.Missing != nil:
			co.Missing(t)
		case co.opts.Task != nil:
			co.opts.Task(toTask(at, &t))
		}
	}
}

// codeOf is the code of an error of a server, or of the way to it.
func codeOf(err error) wire.Code {
	if we, ok := errors.AsType[*wire.Error](err); ok {
		return we.Code
	}
	return wire.CodeUnavailable
}

// unavailable is what an error of kind unavailable says.
func unavailable(err error) string {
	if we, ok := errors.AsType[*wire.Error](err); ok {
		return we.Text
	}
	return err.Error()
}

// planLoss lists the tasks of each server, while all are there: one that is lost cannot
// tell what it had. Without the list, a job does not go on without a server.
func (co *Coordinator) planLoss(ctx context.Context) {
	if !co.canLose() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(co.life, cancel)() // a server that stops does not wait for another
	manifest := co.job.Options&wire.JobManifest != 0
	if (manifest || co.job.Options&wire.JobKeys != 0) && co.tasks == nil {
		return // another client has them
	}
	done := make(map[string]bool)
	if co.job.Options&wire.JobResume != 0 {
		if err := co.listBelow(ctx, co.job.Outdir+"/", func(_, out string) { done[out] = true }); err != nil {
			return
		}
	}
	if manifest {
		co.planManifest(done)
		return
	}
	found, err := co.findInput(ctx)
	if err != nil {
		return
	}
	co.lossOf = make([][]string, len(co.parts))
	for i, inputs := range found {
		if co.job.Verb != wire.VerbMapFromN {
			for _, in := range inputs {
				if !done[in.rel] {
					co.lossOf[i] = append(co.lossOf[i], in.key)
				}
			}
			continue
		}
		rels := make([]string, len(inputs))
		for k, in := range inputs {
			rels[k] = in.rel
		}
		for _, g := range names.Groups(rels) { // a task is named after its output
			if !done[g.Name] {
				co.lossOf[i] = append(co.lossOf[i], co.job.Outdir+"/"+g.Name)
			}
		}
	}
}

// jobInput is a key that a job reads.
type jobInput struct{ key, rel string }

// findInput lists the input of a job by server, as the servers do.
func (co *Coordinator) findInput(ctx context.Context) ([][]jobInput, error) {
	found := make([][]jobInput, len(co.parts))
	rules, err := names.ParseRules(co.job.Rules)
	if err != nil {
		return nil, err // no server has taken the job
	}
	if co.job.Options&wire.JobKeys != 0 {
		for i := range found {
			for t, err := range co.tasks(i) {
				if err != nil {
					return nil, err
				}
				if rules.Match(t.Name) {
					found[i] = append(found[i], jobInput{co.job.Indir + "/" + t.Name, t.Name})
				}
			}
		}
		return found, nil
	}
	for _, dir := range co.job.Indirs() {
		in := names.Glob{Base: dir}
		if co.job.Options&wire.JobNoGlob == 0 {
			if in, err = names.ParseGlob(dir); err != nil {
				return nil, err
			}
		}
		err := co.listBelow(ctx, in.Base+"/", func(key, rel string) {
			if in.Match(rel) && rules.Match(rel) {
				server := co.client.cluster.Place(key)
				found[server] = append(found[server], jobInput{key, rel})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// planManifest is planLoss for the tasks of a manifest but those that are done.
func (co *Coordinator) planManifest(done map[string]bool) {
	loss := make([][]string, len(co.parts))
	for i := range loss {
		for t, err := range co.tasks(i) {
			if err != nil {
				return
			}
			if !done[t.Name] {
				loss[i] = append(loss[i], co.job.Output(t.Name))
			}
		}
	}
	co.lossOf = loss
}

// listBelow calls each for all keys below base, with their names and the part of these
// below base.
func (co *Coordinator) listBelow(ctx context.Context, base string, each func(key, rel string)) error {
	for e, err := range co.client.List(ctx, Scheme+base, true) {
		if err != nil {
			return err
		}
		each(e.Name, e.Name[len(base):])
	}
	return nil
}
