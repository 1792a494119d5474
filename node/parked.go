package node

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// A parked job has files on disk and no goroutine: it is suspended, or it waits for a
// client after a restart of the server. An ATTACH revives it.

// park makes the job of a directory that a killed server or an ended job has left. It
// is suspended if its info says so, and else waits.
func (n *Node) park(p *stage, info *wire.JobInfo) (*job, error) {
	in, err := jobInput(&info.Job)
	if err != nil {
		return nil, err
	}
	state := wire.JobWaiting
	if info.State == wire.JobSuspended {
		state = wire.JobSuspended
	}
	j := n.makeJob(&info.Job, in, p, state)
	j.started = time.Unix(0, info.Started)
	if state == wire.JobSuspended {
		j.why, j.ended = info.Why, since(info.Ended)
	}
	j.link.term, j.link.driver = info.Term, info.Job.Driver
	j.setCounts(info)
	sent, _ := readTraffic(p.path) // without it, it counts anew
	j.traffic.restore(sent)
	j.begun.Store(true)
	return j, nil
}

// since returns the time that a Unix time in nanoseconds is, or now if that is ahead. From
// then on it is compared by a clock that nobody sets: a job must not be discarded because
// the machine's clock was wrong.
func since(ns int64) time.Time {
	now := time.Now()
	return now.Add(-max(0, now.Sub(time.Unix(0, ns))))
}

// setCounts takes over what is known of a job that this process did not start.
func (j *job) setCounts(info *wire.JobInfo) {
	j.saved = &info.Ready
	j.stage.keys.Store(int64(info.Keys))
	j.stage.bytes.Store(int64(info.Bytes))
	j.done.Store(info.Progress.Tasks)
	j.failed.Store(info.Progress.Failed)
	j.bytesIn.Store(info.Progress.BytesIn)
	j.bytesOut.Store(info.Progress.BytesOut)
	j.pushed.Store(info.Progress.Pushed)
	j.found.Store(true)
}

// suspend parks a job that has failed or lost its client. why is the reason.
func (n *Node) suspend(j *job, why error) {
	j.close()
	j.cancel(nil)
	var errs []error
	if log := j.log.Load(); log != nil {
		errs = append(errs, log.close())
	}
	errs = append(errs, j.stage.takeBack(), clearWork(j.stage.path))
	info := j.info()
	info.Missing, info.Without = 0, nil // it takes all servers to go on
	info.State, info.Why, info.Ended, info.Attached = wire.JobSuspended, *toWire(why), time.Now().UnixNano(), false
	info.Progress.Running = 0
	err := j.writeRecord(info)
	parked, perr := n.park(n.store.stageOf(j.id), info)
	if err := errors.Join(append(errs, err, perr)...); err != nil {
		n.log.Error("suspend job", zap.String("job", jobName(j.id)), zap.Error(err))
	}
	if perr == nil {
		parked.fence = j.fence // connections of this process may still hold old pushes
		n.mu.Lock()
		n.jobs[j.id] = parked
		n.mu.Unlock()
	}
	n.logJob(j, why)
}

// clearWork removes the directories of tasks, which have ended.
func clearWork(dir string) error {
	var errs []error
	for _, d := range []string{workDir, taskTmp} {
		errs = append(errs, emptyDir(filepath.Join(dir, d)))
	}
	return errors.Join(errs...)
}

// revive gives a parked job its goroutine and a client; j.mu is held. The job is on disk
// as one that runs only when it can: until then it stays what it is.
func (j *job) revive(js *jobSession, m *wire.Attach) error {
	n := j.node
	if !n.enter() {
		return errShutdown
	}
	defer n.wg.Done()
	info := j.infoLocked()
	info.State, info.Why, info.Ended = wire.JobRunning, wire.Error{}, 0
	info.Job = m.Change(info.Job)
	if j.state == wire.JobSuspended {
		err := j.stage.markResumed()
		if err == nil {
			err = j.stage.open()
		}
		if err != nil {
			return n.store.serverFileError(err)
		}
	}
	if err := j.take(js, m, info); err != nil {
		if j.state == wire.JobSuspended {
			j.stage.shut()
		}
		return err
	}
	msg := m.Change(*j.msg)
	j.msg, j.client, j.again, j.epoch = &msg, js, m, m.Term
	j.moveLocked(jobAttached, nil)
	j.why, j.ended = wire.Error{}, time.Time{}
	n.wg.Go(j.drive)
	return nil
}

// endParked ends a job that waited for a client in vain, or that is discarded while it
// is suspended: its state has changed to suspended or a final one.
func (n *Node) endParked(j *job) {
	n.retire(j, context.Cause(j.ctx))
}

// parkedStage is what a killed server has left of a durable job.
type parkedStage struct {
	stage *stage
	info  *wire.JobInfo
}

// adoptParked parks the jobs that a server has left, and tells of those that could not
// be: one that is damaged does not keep the others from their server.
func (n *Node) adoptParked() error {
	for _, d := range n.store.damaged {
		n.log.Error("a job's directory was damaged, and is removed", zap.String("dir", d.dir), zap.Error(d.why))
	}
	n.store.damaged = nil
	for _, p := range n.store.parked {
		if p.info.State == wire.JobSuspended {
			_ = p.stage.close() // revive opens it
			p.stage = n.store.stageOf(p.stage.id)
		} else {
			var keys uint64
			p.info.Progress, keys = tallyLog(p.stage.path, n.isOwn)
			p.info.Keys, p.info.Bytes = keys, p.info.Progress.BytesOut
		}
		j, err := n.park(p.stage, p.info)
		if err != nil {
			return err
		}
		_, err = os.Lstat(filepath.Join(p.stage.path, logFile))
		j.begun.Store(err == nil)
		n.mu.Lock() // jobs before it may end already
		n.jobs[p.stage.id] = j
		n.mu.Unlock()
		if j.state == wire.JobWaiting {
			j.mu.Lock()
			j.awaitClient(false)
			j.mu.Unlock()
		}
	}
	n.store.parked = nil
	return nil
}

// noClient is the client of a prepared job that nobody has attached to since the
// server was started.
type noClient struct{}

func (noClient) Send(wire.Message) {}
func (noClient) Report(r *report)  { r.close() }
func (noClient) Tell()             {}
func (noClient) HangUp()           {}
func (noClient) Close()            {}

// isSuspended reports whether the job is suspended, and no more about to be.
func (j *job) isSuspended() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state == wire.JobSuspended && !j.ended.IsZero()
}

// allSuspended returns the suspended jobs in any order.
func (n *Node) allSuspended() []*job {
	n.mu.Lock()
	list := slices.Collect(maps.Values(n.jobs))
	n.mu.Unlock()
	return slices.DeleteFunc(list, func(j *job) bool { return !j.isSuspended() })
}

// suspended returns the suspended jobs, the one that was suspended first before the others.
func (n *Node) suspended() []*job {
	list := n.allSuspended()
	slices.SortFunc(list, func(a, b *job) int { return cmp.Compare(a.info().Ended, b.info().Ended) })
	return list
}

// How often suspended jobs are looked at, and how much of the disk they leave free.
const (
	expireEvery = time.Minute
	minFree     = 5 // per cent
)

// expire discards suspended jobs that are too old, and the oldest ones while the disk
// is nearly full. It returns when the node stops.
func (n *Node) expire(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		for _, j := range n.suspended() {
			why := wire.Errorf(wire.CodeCanceled, "it was suspended for longer than the %v that the server keeps such jobs", n.cfg.KeepSuspended)
			if j.suspendedFor() < n.cfg.KeepSuspended {
				if !n.isNearlyFull() {
					continue
				}
				why = wire.Errorf(wire.CodeCanceled, "it was suspended, and the disk has less than %d %% free", minFree)
			}
			if j.move(jobDiscarded, why) {
				n.endParked(j)
			}
		}
	}
}

// suspendedFor returns for how long a job has been suspended; 0 if it is not.
func (j *job) suspendedFor() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended.IsZero() {
		return 0
	}
	return time.Since(j.ended)
}

// isNearlyFull reports whether the data file system has less than minFree free.
func (n *Node) isNearlyFull() bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(n.store.keys.fd(), &fs) == nil && fs.Bavail*100 < fs.Blocks*minFree
}
