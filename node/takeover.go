package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

// A detached job that outlives restarts can be driven by any server. When its driver is
// lost, the others ask each other, and of those that wait for a driver the one with the
// lowest index takes over. The connection of a driver to each server is its lease: while
// any server has it, nobody takes over. This order only spares vain tries. That there
// are never two drivers is up to the terms: a driver needs all servers to get anything
// done, and each obeys only the one with the last term that it granted, see wire.Attach.

// How long a server that has lost a job's driver waits before it asks its peers, and
// between two rounds of questions.
const takeOverPause = time.Second

// takeOverLater begins to look for a driver of a job that has just lost its own; j.mu is
// held.
func (n *Node) takeOverLater(j *job) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping || j.seeking {
		return
	}
	j.seeking = true
	n.wg.Go(func() { n.seekDriver(j) })
}

// seekDriver returns when the job has a driver again, or is not to have one.
func (n *Node) seekDriver(j *job) {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(takeOverPause):
		}
		if !j.wantsDriver() {
			return
		}
		if n.isTurn(j.id) {
			n.takeOver(j)
		}
	}
}

// wantsDriver reports whether the job still has no client. If it has one, or is over,
// the search ends.
func (j *job) wantsDriver() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.link.client == nil && (isDriven(j.state) || j.state == wire.JobWaiting) {
		return true
	}
	j.seeking = false
	return false
}

// isClientGone asks all peers, and reports whether every one has lost the job's client.
func (n *Node) isClientGone(id uint64) bool {
	gone := true
	n.eachPeerInfo(id, func(peer int, info *wire.JobInfo, err error) {
		if errors.Is(err, s4.ErrNoJob) {
			return // nothing is to come back to there
		}
		if err != nil || info.Attached {
			gone = false
		}
	})
	return gone
}

// overElsewhere asks all peers. If the job has ended on one of them, and goes on on none,
// it returns why: nobody will take it up here then, because that takes all servers. So it
// does if one is prepared without this server. Else it returns nil.
func (n *Node) overElsewhere(id uint64) (why *wire.Error) {
	goesOn, without := false, false
	n.eachPeerInfo(id, func(_ int, info *wire.JobInfo, err error) {
		switch {
		case err == nil && slices.Contains(info.Without, uint32(n.cfg.Index)):
			without = true
		case err == nil && isOver(info.State):
			why = &info.Why
		case !errors.Is(err, s4.ErrNoJob):
			goesOn = true // or may
		}
	})
	switch {
	case without:
		return wire.Errorf(wire.CodeUnavailable, "the job went on without this server, which did not come back in time")
	case goesOn:
		return nil
	}
	return why
}

// eachPeerInfo asks all peers for a job, and calls each for each answer, one at
// a time.
func (n *Node) eachPeerInfo(id uint64, each func(peer int, info *wire.JobInfo, err error)) {
	var mu sync.Mutex
	n.eachPeer(func(peer int) {
		ctx, cancel := context.WithTimeout(n.ctx, settleAsk)
		defer cancel()
		info, err := n.client.JobInfo(ctx, peer, id)
		mu.Lock()
		defer mu.Unlock()
		each(peer, info, err)
	})
}

// isTurn asks all peers, and reports whether this server is the one to take over.
func (n *Node) isTurn(id uint64) bool {
	turn := true
	n.eachPeerInfo(id, func(peer int, info *wire.JobInfo, err error) {
		if err != nil {
			return // it is down, or has no part of the job
		}
		if slices.Contains(info.Without, uint32(n.cfg.Index)) {
			turn = false
		}
		waits := info.State == wire.JobRunning || info.State == wire.JobPrepared || info.State == wire.JobWaiting
		if info.Attached || waits && peer < n.cfg.Index {
			turn = false
		}
	})
	return turn && n.ctx.Err() == nil
}

// takeOver drives a job whose driver is lost to its end.
func (n *Node) takeOver(j *job) {
	log := n.log.With(zap.String("job", jobName(j.id)))
	log.Info("the job's driver is lost: taking over")
	info := j.info()
	term, without := info.Term, info.Without
	var over []int
	n.eachPeerInfo(j.id, func(peer int, info *wire.JobInfo, err error) {
		if err != nil {
			return
		}
		term, without = max(term, info.Term), append(without, info.Without...)
		if isOver(info.State) {
			over = append(over, peer)
		}
	})
	over = slices.DeleteFunc(over, func(peer int) bool { return slices.Contains(without, uint32(peer)) })
	if len(over) > 0 {
		// A driver needs all servers.
		log.Info("take-over: the job is over elsewhere", zap.Ints("servers", over))
		j.abandon()
		return
	}
	m := info.Job
	co, err := n.client.Attach(n.ctx, &m, term+1, false)
	if err != nil {
		log.Info("take-over", zap.NamedError("outcome", err))
		return
	}
	if !co.Begun() {
		co.Discard(wire.Errorf(wire.CodeCanceled, "the server that drove the job was lost before the job began"))
		return
	}
	co.Secrets = n.findSecrets(j)
	n.carry(co, &m)
}
