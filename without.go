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
// shuffle it would take a part of the output of every task. A job that has no client to
// tell of each missing key, as a detached one, fails as well.

// goOnWithout gives up the part of a server that is lost because of err, and reports
// whether the job can do without it.
func (co *Coordinator) goOnWithout(s *jobServer, err error) bool {
	if co.job.Options&wire.JobKeepGoing == 0 || co.job.Verb == wire.VerbMapToN || co.opts.Task == nil {
		return false // nobody would be told what is missing
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
	co.missing(s.index, err)
	return true
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

// missing tells of each task of a lost server as one that failed because of err.
func (co *Coordinator) missing(server int, err error) {
	if co.inputs == nil {
		return
	}
	at := co.client.cluster.Servers[server]
	co.tasks.Lock()
	defer co.tasks.Unlock()
	for _, key := range co.inputs[server] {
		co.opts.Task(JobTask{
			Key:    Scheme + key,
			Server: at,
			State:  TaskFailed,
			Exit:   -1,
			Start:  time.Now(),
			Err:    &Error{Key: Scheme + key, Server: at.String(), Kind: toError("", err).Kind, Text: "not run to its end: " + unavailable(err)},
		})
	}
}

// unavailable is what an error of kind unavailable says.
func unavailable(err error) string {
	if we, ok := errors.AsType[*wire.Error](err); ok {
		return we.Text
	}
	return err.Error()
}

// listInputs lists the input of a job that may have to do without a server, while all
// are there: one that is lost cannot tell what it had.
func (co *Coordinator) listInputs(ctx context.Context) {
	if co.opts.Task == nil || co.job.Wait == 0 || co.job.Options&wire.JobKeepGoing == 0 || co.job.Verb == wire.VerbMapToN {
		return
	}
	in, err := names.ParseGlob(co.job.Indir)
	if err != nil {
		return // no server has taken the job
	}
	co.inputs = make([][]string, len(co.parts))
	base := in.Base + "/"
	for e, err := range co.client.List(ctx, Scheme+base, true) {
		if err != nil {
			return // what was listed so far is told of
		}
		if in.Match(e.Name[len(base):]) {
			server := co.client.cluster.Place(e.Name)
			co.inputs[server] = append(co.inputs[server], e.Name)
		}
	}
}
