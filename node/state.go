package node

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// event is what happens to a job and may move it from one state to another.
type event byte

const (
	jobPromised  event = iota // all is staged, the names are reserved, and the promise is on disk
	jobDecided                // COMMIT has come, or a peer has committed, and that is on disk
	jobDiscarded              // its client has given it up
	jobStopped                // its client has given it up, and keeps what is staged
	jobLost                   // its client is gone, and has not come back
	jobCanceled               // somebody else has given it up, or a peer was told that it never commits
	jobFailed                 // a task, the disk, a peer, or this server failed
	jobSettled                // the peers have settled that nobody commits it
	jobAttached               // a client has taken it up again
)

// next is the state machine of a job. It does not depend on what the job's goroutine is
// doing. It returns the next state, or the same one if the event changes nothing:
//
//	            promised  decided    discarded  stopped    lost      canceled  failed   settled   attached
//	running     prepared  -          canceled   canceled*  canceled* canceled* failed*  -         -
//	prepared    -         committed  canceled   canceled*  orphaned  -         -        -         -
//	orphaned    -         committed  -          -          -         -         -        canceled* -
//	waiting     -         -          canceled   canceled*  canceled* canceled* failed*  -         running
//	suspended   -         -          canceled   -          -         -         -        -         running
//
//	* suspended, if the job is kept
//
// A job that has promised to publish does not decide by itself: only its client,
// with COMMIT, DISCARD or SUSPEND, or all servers together. Committed, failed and
// canceled are final. A waiting job is one of a server that was started again.
func next(s wire.JobState, e event, kept bool) wire.JobState {
	to := s
	switch s {
	case wire.JobRunning, wire.JobWaiting:
		switch e {
		case jobPromised:
			if s == wire.JobRunning {
				return wire.JobPrepared
			}
		case jobAttached:
			return wire.JobRunning
		case jobDiscarded:
			return wire.JobCanceled
		case jobStopped, jobLost, jobCanceled:
			to = wire.JobCanceled
		case jobFailed:
			to = wire.JobFailed
		}
	case wire.JobPrepared:
		switch e {
		case jobDecided:
			return wire.JobCommitted
		case jobDiscarded:
			return wire.JobCanceled
		case jobStopped:
			to = wire.JobCanceled
		case jobLost:
			return wire.JobOrphaned
		}
	case wire.JobOrphaned:
		switch e {
		case jobDecided:
			return wire.JobCommitted
		case jobSettled:
			to = wire.JobCanceled
		}
	case wire.JobSuspended:
		switch e {
		case jobAttached:
			return wire.JobRunning
		case jobDiscarded:
			return wire.JobCanceled
		}
	}
	if kept && to != s {
		return wire.JobSuspended
	}
	return to
}

func (e event) String() string {
	names := [...]string{"promised", "decided", "discarded", "stopped", "lost", "canceled", "failed", "settled", "attached"}
	if int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("event %d", byte(e))
}

// move applies an event and reports whether it changed the job's state. If it did and
// why is not nil, j.ctx ends with why as its cause.
func (j *job) move(e event, why error) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.moveLocked(e, why)
}

// moveLocked is move with j.mu held.
func (j *job) moveLocked(e event, why error) bool {
	// One whose input was not found yet has nothing to go on with.
	to := next(j.state, e, j.has(wire.JobKeep) && j.found.Load())
	if to == j.state {
		return false
	}
	if to == wire.JobOrphaned && j.msg.Wait > 0 {
		// On disk first: peers discard the job if all say that they are orphaned, so it
		// must not be attached again after a restart.
		info := j.infoLocked()
		info.State = to
		if err := writeInfo(j.stage.path, info); err != nil {
			j.node.log.Error("orphaned job", zap.String("job", jobName(j.id)), zap.Error(err))
			return false
		}
	}
	j.state = to
	if why != nil {
		j.cancel(why)
	}
	return true
}

// current returns the job's state.
func (j *job) current() wire.JobState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state
}

// isOver reports whether nothing can change the job's state any more.
func isOver(s wire.JobState) bool {
	return s == wire.JobCommitted || s == wire.JobFailed || s == wire.JobCanceled
}

// isDriven reports whether a job in this state has a goroutine: see drive.
func isDriven(s wire.JobState) bool {
	return s == wire.JobRunning || s == wire.JobPrepared
}
