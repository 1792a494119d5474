package node

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// A prepared job has promised to publish if its client says so. When the client is
// gone, this server must not decide alone, because another one may have received
// COMMIT. So it asks all peers until one of these is certain:
//
//	one has committed          the job is committed here, too
//	one will never commit      the job is discarded
//	all have lost the client   no server received COMMIT, and none will: discarded
//
// A peer that has not prepared the job promises, by answering, that it never will. A
// peer that cannot be reached, or still has its client, may have committed or may yet:
// it is asked again. This is two-phase commit with cooperative termination (Bernstein,
// Hadzilacos and Goodman, Concurrency Control and Recovery in Database Systems, 7.4).

// How long to wait between two rounds of questions.
const (
	settleFirst = 100 * time.Millisecond
	settleMost  = 2 * time.Second
	settleAsk   = 5 * time.Second // for one peer's answer
)

// orphan hands a job that is prepared and has lost its client to a goroutine
// that settles it.
func (n *Node) orphan(j *job) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return // the next start finds the promise on disk, and settles the job
	}
	n.wg.Go(func() { n.settle(j) })
}

// adopt creates the jobs that a killed server had promised to publish, and settles
// them.
func (n *Node) adopt() error {
	for _, p := range n.store.orphans {
		info, err := n.store.readRecord(p.id)
		if err != nil {
			// The id is all that is needed to settle it.
			n.log.Error("the record of a prepared job is lost", zap.String("dir", p.path), zap.Error(err))
		}
		if info == nil {
			info = &wire.JobInfo{Job: wire.Job{ID: p.id}, Started: n.started.UnixNano()}
		}
		p.keys.Store(int64(info.Keys))
		p.bytes.Store(int64(info.Bytes))
		if err := p.readPromise(); err != nil {
			p.unsure = true
			n.log.Error("a prepared job is settled only with all servers", zap.String("dir", p.path), zap.Error(err))
		}
		in, _ := jobInput(&info.Job)
		j := n.makeJob(&info.Job, in, p, wire.JobOrphaned)
		j.closed = true
		j.started = time.Unix(0, info.Started)
		j.link.term, j.link.driver = info.Term, info.Job.Driver
		j.setCounts(info)
		j.lost, j.without = info.Missing, p.without
		j.wasOrphaned = info.State == wire.JobOrphaned
		log, err := newTaskLog(p.path, true)
		if err != nil {
			return err
		}
		j.log.Store(log)
		j.begun.Store(true)
		if err := p.prepare(); err != nil {
			// Its keys were reserved, so something other than s4 wrote this file.
			n.log.Error("a job that was prepared meets what is in its place", zap.String("job", jobName(p.id)), zap.Error(err))
		}
		n.jobs[p.id] = j
	}
	n.store.orphans = nil
	for _, j := range slices.Collect(maps.Values(n.jobs)) { // which settle takes them from
		if j.msg.Wait == 0 || j.wasOrphaned {
			n.wg.Go(func() { n.settle(j) })
			continue
		}
		j.mu.Lock()
		j.state, j.phase, j.client = wire.JobPrepared, wire.PhasePrepared, noClient{}
		j.awaitClient(false)
		j.mu.Unlock()
		n.wg.Go(j.drive)
	}
	return n.adoptParked()
}

// settle asks the peers until the outcome is known, and then commits or discards the
// job.
func (n *Node) settle(j *job) {
	log := n.log.With(zap.String("job", jobName(j.id)))
	log.Info("client lost between PREPARED and COMMIT: asking the other servers")
	var told []int // the servers that were logged last
	for wait := settleFirst; ; wait = min(2*wait, settleMost) {
		verdict, waiting := n.askPeers(n.ctx, j.stage)
		if n.ctx.Err() != nil {
			return // the next start asks again
		}
		var err error
		switch verdict {
		case wire.VerdictCommitted:
			if err = j.commit(); err == nil || j.current() == wire.JobCommitted {
				n.retire(j, err)
				return
			}
			log.Error("commit", zap.Error(err)) // a full disk, perhaps: again
		case wire.VerdictDiscarded:
			j.move(jobSettled, errClientGone)
			n.retire(j, errClientGone)
			return
		default:
			if !slices.Equal(told, waiting) {
				log.Info("the job cannot be settled yet", zap.Ints("servers", waiting))
				told = waiting
			}
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// askPeers returns what the answers of all peers amount to: VerdictCommitted,
// VerdictDiscarded, or VerdictOrphaned for neither, with the servers that it
// waits for. It does not ask those that have no part in the job.
func (n *Node) askPeers(ctx context.Context, p *stage) (wire.Verdict, []int) {
	verdicts := make([]wire.Verdict, len(n.cfg.Cluster.Servers))
	n.eachServer(func(i int) {
		if i == n.cfg.Index || slices.Contains(p.without, uint32(i)) {
			verdicts[i] = wire.VerdictOrphaned
			return
		}
		verdicts[i], _ = n.askPeer(ctx, i, p.id) // 0 if it cannot be asked
	})
	if p.unsure {
		// Who says that it never commits may have no part in the job. So that counts only
		// if nobody is left who may have committed.
		for i, v := range verdicts {
			if v == wire.VerdictDiscarded {
				verdicts[i] = wire.VerdictOrphaned
			}
		}
	}
	return tally(verdicts)
}

// isCommitted reports whether a peer has committed the job.
func (n *Node) isCommitted(j *job) bool {
	verdict, _ := n.askPeers(n.ctx, j.stage)
	return verdict == wire.VerdictCommitted
}

// tally combines the verdicts of all servers into one. The verdict of a server that
// did not answer is 0.
func tally(verdicts []wire.Verdict) (wire.Verdict, []int) {
	var waiting []int
	discarded := false
	for i, v := range verdicts {
		switch v {
		case wire.VerdictCommitted:
			return v, nil
		case wire.VerdictDiscarded:
			discarded = true
		case wire.VerdictOrphaned:
		default:
			waiting = append(waiting, i)
		}
	}
	if discarded || len(waiting) == 0 {
		return wire.VerdictDiscarded, nil
	}
	return wire.VerdictOrphaned, waiting
}

// dialPeer opens a control connection to a server. The caller closes it.
func (n *Node) dialPeer(ctx context.Context, peer int) (*xfer.Conn, error) {
	d := n.dialer(peer)
	return d.Dial(ctx, wire.ChannelControl)
}

// askPeer asks one peer.
func (n *Node) askPeer(ctx context.Context, peer int, id uint64) (wire.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, settleAsk)
	defer cancel()
	conn, err := n.dialPeer(ctx, peer)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.Write(1, 0, &wire.Settle{Job: id}); err != nil {
		return 0, err
	}
	m, err := conn.ReadReply(1)
	if err != nil {
		return 0, err
	}
	settled, ok := m.(*wire.Settled)
	if !ok {
		return 0, wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", m.Type())
	}
	return settled.Verdict, nil
}

var errSettled = wire.Errorf(wire.CodeCanceled, "another server has lost the job's client")

// verdict answers SETTLE. Before it answers VerdictDiscarded, it makes sure that this
// server will never commit the job.
func (n *Node) verdict(id uint64) (wire.Verdict, error) {
	if j := n.job(id); j != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		switch j.state {
		case wire.JobCommitted:
			return wire.VerdictCommitted, nil
		case wire.JobPrepared:
			return wire.VerdictPrepared, nil
		case wire.JobOrphaned:
			return wire.VerdictOrphaned, nil
		case wire.JobRunning, wire.JobWaiting:
			if j.msg.Wait > 0 {
				// It has its client, or waits for it, and may still be prepared.
				return wire.VerdictPrepared, nil
			}
			if j.state == wire.JobRunning {
				j.moveLocked(jobCanceled, errSettled)
			}
		}
		return wire.VerdictDiscarded, nil
	}
	was, err := n.store.committed(id)
	switch {
	case err != nil:
		return 0, storeError(withoutPath(err), "")
	case was:
		return wire.VerdictCommitted, nil
	}
	return wire.VerdictDiscarded, nil
}

// settledJob is job, but waits for a job that is being suspended.
func (n *Node) settledJob(id uint64) *job {
	for {
		j := n.job(id)
		if j == nil || j.current() != wire.JobSuspended || j.isSuspended() {
			return j
		}
		<-j.gone
	}
}

// cancelJob stops a job on request of any client, or discards a suspended one.
func (n *Node) cancelJob(m *wire.Cancel) error {
	id := m.Job
	over := wire.Errorf(wire.CodeNoJob, "job %016x is over", id)
	j := n.settledJob(id)
	if j == nil {
		if _, err := n.store.past(id); err == nil {
			return over
		}
		return wire.Errorf(wire.CodeNoJob, "no job %016x here", id)
	}
	e := jobCanceled
	if m.Discard {
		e = jobDiscarded
	}
	j.mu.Lock()
	was := j.state
	moved := false
	if !m.Discard || was != wire.JobPrepared { // whose client decides
		moved = j.moveLocked(e, wire.Errorf(wire.CodeCanceled, "canceled on request"))
	}
	state := j.state
	j.mu.Unlock()
	switch {
	case moved && !isDriven(was):
		n.endParked(j)
		return nil
	case moved:
		return nil
	case isOver(state) && state != wire.JobCommitted || state == wire.JobSuspended:
		return over
	}
	return wire.Errorf(wire.CodeCanceled, "too late: the output of job %016x is being published", id)
}
