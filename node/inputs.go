package node

import (
	"bufio"
	"context"
	"iter"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// A job with a manifest reads no keys. Its client sends each server the tasks it is to
// run, behind JOB: their names and sizes are kept in memory, their records in a file of
// the job. A server that has not got all of them when it loses the client gives the job
// up, as nobody else has them.

// inputOrder checks the tasks of a manifest as they come.
type inputOrder struct {
	job  *wire.Job
	last string
}

// check returns an error for a task that no server can run, or that does not come in
// turn.
func (o *inputOrder) check(t *wire.Input) error {
	key := o.job.Output(t.Name)
	switch {
	case o.job.Options&wire.JobKeys != 0:
		key = o.job.Indir + "/" + t.Name
	case o.job.Outdir == "":
		key = "b/" + t.Name // as any key's
	}
	switch err := names.CheckKey(key); {
	case err != nil:
		return err
	case t.Name <= o.last:
		return wire.Errorf(wire.CodeBadRequest, "the task %s comes after the task %s, and they are to come in the order of their names", t.Name, o.last)
	case int64(t.Size) < 0:
		return wire.Errorf(wire.CodeBadRequest, "task %s: a size of %d bytes", t.Name, t.Size)
	}
	o.last = t.Name
	return nil
}

// manifest takes the tasks of a job. It belongs to the goroutine of the session until all
// have come, and then to that of the job.
type manifest struct {
	inputOrder
	records *recordWriter
	all     chan struct{} // closed when all have come
}

// wantsInputs reports whether tasks of the job are to come.
func (j *job) wantsInputs() bool {
	if j.manifest == nil || j.found.Load() {
		return false
	}
	select {
	case <-j.manifest.all:
		return false
	default:
		return true
	}
}

// takeInputs adds tasks that have come. If it cannot, the job fails.
func (j *job) takeInputs(m *wire.Inputs) {
	if j.ctx.Err() != nil {
		return
	}
	err := outOfTurn(wire.TypeInputs)
	if j.wantsInputs() {
		err = j.addInputs(m)
	}
	if err != nil {
		j.move(jobFailed, err)
	}
}

// closeInputs closes the file of a job that ends before all its tasks have come.
func (j *job) closeInputs() {
	if j.manifest != nil {
		_ = j.manifest.records.f.Close() // most often it is closed
	}
}

func (j *job) addInputs(m *wire.Inputs) error {
	t := &j.tasks
	for i := range m.List {
		in := &m.List[i]
		if err := j.manifest.check(in); err != nil {
			return err
		}
		if !j.node.isOwn(in.Name) {
			return &wire.Error{Code: wire.CodeWrongServer, Key: in.Name, Text: "a task of another server"}
		}
		t.rels, t.sizes = append(t.rels, in.Name), append(t.sizes, int64(in.Size))
		if j.has(wire.JobKeys) {
			continue // it has no record
		}
		at, err := j.manifest.records.add(in.Record)
		if err != nil {
			return j.node.store.serverFileError(err)
		}
		t.records = append(t.records, at)
	}
	if !m.Last {
		return nil
	}
	if err := j.manifest.records.close(); err != nil {
		return j.node.store.serverFileError(err)
	}
	close(j.manifest.all)
	return nil
}

// awaitInputs waits until all tasks have come.
func (j *job) awaitInputs() error {
	select {
	case <-j.manifest.all:
		return nil
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	}
}

// spool has the tasks of a detached job for all servers: those of each in the order they
// came.
type spool struct {
	file  *recordWriter // without a name
	tasks [][]spooled
}

type spooled struct {
	name string
	size uint64
	at   record
}

func (s *spool) close() {
	if s != nil {
		_ = s.file.close() // nobody reads it any more
	}
}

// source returns the tasks for a Coordinator.
func (s *spool) source() s4.Tasks {
	if s == nil {
		return nil
	}
	return func(server int) iter.Seq2[wire.Input, error] {
		return func(yield func(wire.Input, error) bool) {
			for _, t := range s.tasks[server] {
				text, err := t.at.read(s.file.f)
				if !yield(wire.Input{Size: t.size, Name: t.name, Record: string(text)}, err) || err != nil {
					return
				}
			}
		}
	}
}

// receiveInputs reads the tasks of a detached job, if it has a manifest. given is why the
// client has given the job up instead, or nil. An error that breaks the connection ends
// it; any other is for the client.
func (s *session) receiveInputs(m *wire.Job) (sp *spool, given wire.Message, err error) {
	if m.Options&(wire.JobManifest|wire.JobKeys) == 0 {
		return nil, nil, nil
	}
	n := s.node
	tmp, err := n.store.create()
	if err != nil {
		return nil, nil, storeError(err, "")
	}
	sp = &spool{file: newRecordWriter(tmp), tasks: make([][]spooled, len(n.cfg.Cluster.Servers))}
	defer func() {
		if err != nil || given != nil {
			sp.close()
		}
	}()
	// A server that stops does not wait for the rest.
	defer context.AfterFunc(n.ctx, func() { s.conn.Close() })()
	order := inputOrder{job: m}
	for {
		h, err := s.conn.ReadHeader()
		if err != nil {
			return sp, nil, err
		}
		next, err := s.conn.ReadMessage(h)
		if err != nil {
			return sp, nil, err
		}
		in, ok := next.(*wire.Inputs)
		if h.Type == wire.TypeDiscard || h.Type == wire.TypeSuspend {
			return sp, next, nil
		}
		if !ok {
			return sp, nil, outOfTurn(h.Type)
		}
		for i := range in.List {
			t := &in.List[i]
			if err := order.check(t); err != nil {
				return sp, nil, err
			}
			at, err := sp.file.add(t.Record)
			if err != nil {
				return sp, nil, n.store.serverFileError(err)
			}
			server := n.cfg.Cluster.Place(t.Name)
			sp.tasks[server] = append(sp.tasks[server], spooled{t.Name, t.Size, at})
		}
		if in.Last {
			if err := sp.file.flush(); err != nil {
				return sp, nil, n.store.serverFileError(err)
			}
			return sp, nil, nil
		}
	}
}

// openRecord returns the record of a task of a manifest as a file for its standard input.
func (j *job) openRecord(i int, t *wire.Task) (*xfer.File, error) {
	text, err := j.readRecord(i, t)
	if err != nil {
		return nil, err
	}
	return j.stdinFile(t.Key, func(w *bufio.Writer) { _, _ = w.Write(text) })
}

// readRecord reads the record of a task, and notes its fingerprint.
func (j *job) readRecord(i int, t *wire.Task) ([]byte, error) {
	f, err := openFile(filepath.Join(j.stage.path, recordsFile), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, storeError(j.node.store.serverFileError(err), t.Key)
	}
	defer f.Close()
	text, err := j.tasks.records[i].read(f)
	if err != nil {
		return nil, storeError(err, t.Key)
	}
	t.Inputs = j.recordPrint(i)
	return text, nil
}

// recordPrint is fingerprint of a task of a manifest.
func (j *job) recordPrint(i int) uint64 {
	var found fingerprint
	found.Reset()
	r := j.tasks.records[i]
	found.add(j.taskKey(i), inputFile{size: int64(r.n), sum: r.sum})
	return found.Sum64()
}
