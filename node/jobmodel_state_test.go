package node

import (
	"fmt"

	"github.com/nathants/s4/wire"
)

// The model of a job: what its drivers and servers know, and what is under way between
// them. A driver is the client that submitted the job, or one that attached to it: by
// jobs resume, or a server that takes over.

const (
	maxServers = 3
	maxDrivers = 2
	maxJobs    = 2
)

// modelState is a state of the model.
type modelState struct {
	parts   [maxJobs][maxServers]modelPart
	links   [maxDrivers][maxServers]modelLink
	drivers [maxDrivers]modelDriver
	faults  byte // that may still happen
	fell    bool // a server's term did not grow
	obeyed  bool // a server has obeyed a driver that another had replaced
}

// modelPart is a server's part of a job.
type modelPart struct {
	st       wire.JobState // 0: it has not come yet
	tasks    modelTasks    // on disk
	live     bool          // tasks run in this process
	attached byte          // 0 for none, or which end, see endOf
	term     byte          // on disk
	driver   byte          // on disk
	heard    [maxServers]wire.Verdict
}

// modelTasks is how far a job's tasks are.
type modelTasks byte

const (
	notBegun modelTasks = iota
	begun
	allDone
)

// modelDriver is a client, or a server that drives.
type modelDriver struct {
	st driverState
	to modelPhase // to where it brings all servers now
}

type driverState byte

const (
	drIdle driverState = iota
	drActive
	drSucceeded
	drFailed  // it says that nothing is published
	drUnknown // it cannot say
	drStopped // another one drives
	drKilled
)

// modelPhase is how far a server is, as its driver knows.
type modelPhase byte

const (
	phNone modelPhase = iota
	phReady
	phRunning
	phDone
	phPrepared
	phCommitted
	phGone // after COMMIT: there is no way to ask
)

// modelLink is what a driver knows of a server, and the connections between them: the
// present one, and the one before, of which the server may not know that it is lost.
type modelLink struct {
	phase   modelPhase
	conn    connState
	asked   bool // an answer is due
	adopted bool // the job was prepared when the driver attached
	first   bool // the driver has not attached yet
	here    bool // the driver's end is open
	there   bool // the server's end is open
	old     bool // the server's end of the former connection is open
	tried   byte // the term of the last ATTACH
	arg     byte // of ATTACHED
	at, was attachReq
	up      modelQueue // requests under way
	oldUp   modelQueue
	down    modelQueue // answers under way
}

// attachReq is what an ATTACH under way says, on the present and the former connection.
type attachReq struct {
	term  byte
	first bool
}

type connState byte

const (
	connNone connState = iota
	connAttaching
	connOpen
)

type modelMsg byte

const (
	noMsg modelMsg = iota
	mJob
	mAttach
	mStart
	mPrepare
	mCommit
	mDiscard
	mSuspend
	mReady
	mDone
	mPrepared
	mCommitted
	mError
	mAttached
	mExists      // another driver is attached, or was with a higher term
	mUnavailable // the job is orphaned
	mNoJob       // or it is suspended
)

func (m modelMsg) String() string {
	return [...]string{"-", "JOB", "ATTACH", "START", "PREPARE", "COMMIT", "DISCARD", "SUSPEND", "READY", "DONE",
		"PREPARED", "COMMITTED", "ERROR", "ATTACHED", "exists", "unavailable", "no-such-job or canceled"}[m]
}

// modelQueue is what is under way in one direction. The model needs no longer ones.
type modelQueue [3]modelMsg

// pushMsg appends to a queue.
func pushMsg(q *modelQueue, m modelMsg) {
	for i := range q {
		if q[i] == noMsg {
			q[i] = m
			return
		}
	}
	panic(fmt.Sprint("queue is full: ", *q, m))
}

func popMsg(q *modelQueue) modelMsg {
	m := q[0]
	copy(q[:], q[1:])
	q[len(q)-1] = noMsg
	return m
}

// endOf numbers the server's ends of a driver's connections.
func endOf(d int, old bool) byte {
	if old {
		return byte(2 + 2*d)
	}
	return byte(1 + 2*d)
}

// The steps. Those before firstSure are faults and what somebody may choose to do.
const (
	doBreakHere stepKind = iota
	doBreakThere
	doCrash
	doKill
	doFailTask
	doCancelJob
	doDiscardJob
	doInterrupt
	doBegin
	sLostHere // of the model of a shuffle
	sLostThere
	sStop
	sSuspend
	sKill
	firstSure
	doDeliver
	doAnswer
	doNoticeHere
	doNoticeThere
	doDial
	doGiveUp
	doFinishTasks
	doWaitOver
	doAsk
	doSettle
	doTakeOver
	sRun
	sReset
	sPush
	sHandle
	sAnswer
	sRecord
	sResume
	sPublish
)

// formerFlag in a step's c says that it is about the former connection.
const formerFlag = 128

func (st modelStep) String() string {
	d, s, job := string('A'+rune(st.a)), fmt.Sprint("S", st.b), fmt.Sprintf("job %d", st.a)
	old, lose := "", ""
	if st.c&formerFlag != 0 {
		old = " on the former connection"
	}
	if st.c != 0 {
		lose = ", and its answers are lost"
	}
	switch st.what {
	case doBreakHere:
		return fmt.Sprintf("fault: %s loses its connection to %s; the server has not noticed", d, s)
	case doBreakThere:
		return fmt.Sprintf("fault: %s loses its connection to %s, with what came for it; %s has not noticed%s", s, d, d, lose)
	case doCrash:
		return fmt.Sprintf("fault: %s is killed and started again%s", s, lose)
	case doKill:
		return fmt.Sprintf("fault: driver %s is killed", d)
	case doFailTask:
		return fmt.Sprintf("fault: a task of %s fails on %s", job, s)
	case doCancelJob:
		return fmt.Sprintf("CANCEL of %s on %s", job, s)
	case doDiscardJob:
		return fmt.Sprintf("%s is discarded on %s", job, s)
	case doInterrupt:
		return fmt.Sprintf("%s is interrupted", d)
	case doBegin:
		return fmt.Sprintf("%s starts to attach all servers", d)
	case doDeliver:
		return fmt.Sprintf("%s gets %v of %s%s", s, modelMsg(st.c&^formerFlag), d, old)
	case doAnswer:
		return fmt.Sprintf("%s gets %v of %s", d, modelMsg(st.c), s)
	case doNoticeHere:
		return fmt.Sprintf("%s notices that its connection to %s is lost", d, s)
	case doNoticeThere:
		return fmt.Sprintf("%s notices that %s is gone%s", s, d, old)
	case doDial:
		return fmt.Sprintf("%s dials %s: ATTACH, at term %d", d, s, st.c)
	case doGiveUp:
		return fmt.Sprintf("%s has waited long enough and gives up", d)
	case doFinishTasks:
		return fmt.Sprintf("%s has finished the tasks of %s", s, job)
	case doWaitOver:
		return fmt.Sprintf("%s has waited long enough for a driver of %s", s, job)
	case doAsk:
		return fmt.Sprintf("%s asks S%d about %s: %v", s, st.c>>4, job, wire.Verdict(st.c&15))
	case doSettle:
		return fmt.Sprintf("%s settles %s: %v", s, job, wire.Verdict(st.c))
	case doTakeOver:
		return fmt.Sprintf("%s takes over", d)
	}
	return shuffleStep(st)
}
