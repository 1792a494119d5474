package node

import (
	"context"
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

// accept stages what a peer has pushed.
func (j *job) accept(m *wire.Push, tmp *xfer.Temp, sum uint64) error {
	j.fence.staging.RLock()
	defer j.fence.staging.RUnlock()
	if err := j.fence.push(m.Source, m.Epoch); err != nil {
		return err
	}
	err := j.stage.add(tmp, m.Key, sum)
	if err != nil && toWire(err).Code == wire.CodeExists && j.stage.same(tmp, m.Key, sum) {
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
	}
	return nil
}

// resetPushed removes what unfinished tasks of a shuffle have staged on all servers,
// before any of them runs again.
func (j *job) resetPushed() error {
	if j.again == nil || j.msg.Verb != wire.VerbMapToN {
		return nil
	}
	var dirs []string
	for i, rel := range j.tasks.rels {
		if !j.tasks.done.has(i) {
			dirs = append(dirs, j.outdir+"/"+rel)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	var wg sync.WaitGroup
	for peer := range j.node.cfg.Cluster.Servers {
		wg.Go(func() {
			if err := j.resetOn(peer, dirs); err != nil && j.ctx.Err() == nil {
				j.move(jobFailed, err)
			}
		})
	}
	wg.Wait()
	return context.Cause(j.ctx)
}

// resetOn tells one server, and tries again while it is down.
func (j *job) resetOn(peer int, dirs []string) error {
	var err error
	for r := newRetry(j.msg.Wait); r.next(j.ctx); {
		if err = j.tryReset(peer, dirs); err == nil || !isLost(err) {
			break
		}
	}
	if err != nil {
		return j.peerError(peer, "reset", "", err)
	}
	return nil
}

func (j *job) tryReset(peer int, dirs []string) error {
	conn, err := j.node.dialPeer(j.ctx, peer)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(j.ctx, func() { conn.Close() })()
	for some := range chunks(dirs) {
		m := &wire.Reset{Job: j.id, Source: uint32(j.node.cfg.Index), Epoch: j.epoch, Dirs: some}
		if err := conn.Write(1, 0, m); err != nil {
			return err
		}
		reply, err := conn.ReadReply(1)
		if err != nil {
			return err
		}
		if reply.Type() != wire.TypeOK {
			return wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", reply.Type())
		}
	}
	return nil
}
