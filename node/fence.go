package node

import (
	"sync"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// fence keeps apart what the tasks of a server push before and after the server has
// taken up a job again. It lives as long as the process, also while the job is
// suspended: a push of before may be on a connection that nobody has read yet. After a
// restart there is no such connection.
type fence struct {
	// staging is held for reading while a push is staged, and for writing while what
	// was pushed is removed.
	staging sync.RWMutex

	// damaged holds of the directories with damaged files one such file each. The server
	// whose task has written it is told in answer to RESET; guarded by staging.
	damaged map[string]string

	mu      sync.Mutex
	sources map[uint32]sourceEpoch // by server; guarded by mu
}

// sourceEpoch is the run of tasks whose pushes are accepted from a server.
type sourceEpoch struct {
	epoch  uint64
	pushed bool // one of its pushes was accepted
}

// push returns an error if a push of this epoch comes too late. It is called with
// staging held.
func (f *fence) push(source uint32, epoch uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.sources[source]
	if epoch < at.epoch {
		return wire.Errorf(wire.CodeCanceled, "it was pushed before server %d took up the job again", source)
	}
	f.set(source, sourceEpoch{epoch, true})
	return nil
}

// reset begins an epoch. A server pushes only when all its RESETs are answered: one
// that comes after a push was sent on a connection that is lost.
func (f *fence) reset(source uint32, epoch uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.sources[source]
	if epoch < at.epoch || epoch == at.epoch && at.pushed {
		return wire.Errorf(wire.CodeCanceled, "it was sent before server %d took up the job again", source)
	}
	f.set(source, sourceEpoch{epoch, false})
	return nil
}

// set is called with mu held.
func (f *fence) set(source uint32, at sourceEpoch) {
	if f.sources == nil {
		f.sources = make(map[uint32]sourceEpoch)
	}
	f.sources[source] = at
}

// accept stages what a peer has pushed. last is as in tree.publish.
func (j *job) accept(m *wire.Push, tmp *xfer.Temp, last *lastDir, n int64, sum uint64) error {
	j.fence.staging.RLock()
	defer j.fence.staging.RUnlock()
	if err := j.fence.push(m.Source, m.Epoch); err != nil {
		return err
	}
	err := j.stage.add(tmp, last, m.Key, n, sum)
	if err != nil && toWire(err).Code == wire.CodeExists && j.stage.same(m.Key, n, sum) {
		return nil // it came before, and the answer was lost
	}
	return err
}

// reset answers RESET.
func (s *session) reset(m *wire.Reset) error {
	j, err := s.node.enterJob(m.Job)
	if err != nil {
		return err
	}
	defer j.leave()
	if int(m.Source) >= len(s.node.cfg.Cluster.Servers) {
		return wire.Errorf(wire.CodeBadRequest, "there is no server %d", m.Source)
	}
	j.fence.staging.Lock()
	defer j.fence.staging.Unlock()
	for _, dir := range m.Dirs {
		err := names.CheckPrefix(dir + "/")
		if err == nil {
			err = j.accepts(dir)
		}
		if err != nil {
			return err
		}
	}
	if err := j.fence.reset(m.Source, m.Epoch); err != nil {
		return err
	}
	for _, dir := range m.Dirs {
		if err := j.stage.removeFiles(dir); err != nil {
			return err
		}
		delete(j.fence.damaged, dir)
	}
	for dir, key := range j.fence.damaged { // its basename is the input's
		if j.node.cfg.Cluster.Place(dir) == int(m.Source) {
			return storeError(errStagedDamaged, key)
		}
	}
	return nil
}

var errStagedDamaged = wire.Errorf(wire.CodeChecksum, "the file was damaged while the job was suspended")
