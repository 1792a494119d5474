package node

import (
	"hash/maphash"

	"github.com/nathants/s4/wire"
)

// jobModel is the protocol of jobs, with bounds.
type jobModel struct {
	servers, drivers, jobs int
	wait                   bool // jobs outlive their connections
	keep                   bool // a job that fails is suspended
	patient                bool // nobody ever waits long enough to give up
	start                  modelStart
	faults                 byte // how many may happen
	may                    []stepKind
	without                jobRule // that is broken on purpose, to see that the model notices

	mayDo [256]bool // from may
	seed  maphash.Seed
}

// modelStart is where the model begins. What comes before is left to other models, with
// fewer faults to come.
type modelStart byte

const (
	fromJob       modelStart = iota
	fromDone                 // PREPARE is under way
	fromCommit               // COMMIT is under way
	fromLoss                 // and was lost: all servers are prepared, and have lost their driver
	fromKill                 // which was killed
	fromSuspended            // all servers have suspended the job, and nobody drives it
)

// jobRule is a rule of the protocol.
type jobRule byte

const (
	everyRule                jobRule = iota
	ruleVerdictBinds                 // who answers "discarded" never commits
	ruleOrphansAsk                   // who has promised does not decide alone
	ruleOrphansSettle                // who has begun to ask is not attached again
	ruleSilenceIsNoAnswer            // a peer that does not answer may have committed
	rulePromiseKept                  // a promise outlasts the loss of the driver
	rulePromiseOnDisk                // and of the server
	ruleOrphanedOnDisk               // who has begun to ask has done so also after a restart
	ruleNamesReserved                // of two jobs, one prepares
	ruleWaitPrepared                 // a prepared job waits for its driver, too
	ruleSuspendedStays               // only who means it takes up a suspended job
	ruleNewGeneration                // whom a resume has replaced cannot come back, however often he tries
	ruleReviveOnce                   // nor can one of two resumes that began at once
	ruleTermGrows                    // so is one whose term is not higher
	ruleFormerClosed                 // what comes on a former connection does not count
	rulePrepareAfterDone             // the driver waits for DONE of all
	ruleCommitAfterPrepared          // and for PREPARED of all
	ruleCommitAll                    // it has attached all
	rulePrepareAgain                 // also of one that it found prepared, once it has attached all
	ruleNoDiscardAfterCommit         // what it is
	ruleNoDiscardAdopted             // nor of what it found prepared
	ruleNoDiscardUnanswered          // nor of what may be
	lastRule
)

func (r jobRule) String() string {
	return [...]string{"", "verdict binds", "orphans ask", "orphans settle", "silence is no answer", "promise kept",
		"promise on disk", "orphaned on disk", "names reserved", "wait when prepared", "suspended stays", "new generation", "revive once",
		"term grows", "former closed", "prepare after done", "commit after prepared", "commit all", "prepare again",
		"no discard after commit", "no discard adopted", "no discard unanswered"}[r]
}

// durable reports whether jobs outlive a restart.
func (m *jobModel) durable() bool { return m.wait || m.keep }

// jobOf returns the job of a driver: with two jobs, each driver has its own.
func (m *jobModel) jobOf(d int) int {
	if m.jobs == 2 {
		return d
	}
	return 0
}

// happen applies an event to a part. If the part is over by it, its connection is
// closed, and tell says whether ERROR comes before.
func (m *jobModel) happen(t *modelState, j, i int, e event, tell bool) {
	p := &t.parts[j][i]
	to := next(p.st, e, m.keep && p.tasks != notBegun)
	if to == p.st {
		return
	}
	p.st, p.heard = to, [maxServers]wire.Verdict{}
	switch to {
	case wire.JobRunning, wire.JobPrepared, wire.JobCommitted:
		return
	}
	p.live = false
	if p.attached != 0 {
		d, old := int(p.attached-1)/2, p.attached%2 == 0
		p.attached = 0
		if tell {
			t.links[d][i].reply(old, mError, 0)
		}
		m.closeEnd(t, d, i, old)
	}
}

// closeEnd closes the server's end of a connection. What has not been read is lost.
func (m *jobModel) closeEnd(t *modelState, d, i int, old bool) {
	l := &t.links[d][i]
	if old {
		l.old, l.oldUp = false, modelQueue{}
	} else {
		l.there, l.up = false, modelQueue{}
	}
	j := m.jobOf(d)
	p := &t.parts[j][i]
	if p.attached != endOf(d, old) {
		return
	}
	p.attached = 0
	switch {
	case !m.wait, p.st == wire.JobPrepared && m.without == ruleWaitPrepared:
		m.happen(t, j, i, jobLost, false)
	case p.st == wire.JobPrepared && m.without == rulePromiseKept:
		p.st = wire.JobCanceled
	}
}

// serverSteps emits what a server may do next.
func (m *jobModel) serverSteps(s *modelState, i int, do func(modelStep, func(t *modelState))) {
	for d := range m.drivers {
		l := &s.links[d][i]
		for _, old := range []bool{false, true} {
			open, q, dead, flag := l.there, l.up, !l.here, byte(0)
			if old {
				open, q, dead, flag = l.old, l.oldUp, true, formerFlag
			}
			if open && q[0] != noMsg {
				do(modelStep{doDeliver, byte(d), byte(i), byte(q[0]) | flag}, func(t *modelState) { m.deliver(t, d, i, old) })
			}
			if open && dead {
				do(modelStep{doNoticeThere, byte(d), byte(i), flag}, func(t *modelState) { m.closeEnd(t, d, i, old) })
			}
		}
	}
	for j := range m.jobs {
		p := &s.parts[j][i]
		at := func(what stepKind) modelStep { return modelStep{what, byte(j), byte(i), 0} }
		if p.st == wire.JobRunning && p.live {
			do(at(doFinishTasks), func(t *modelState) {
				p := &t.parts[j][i]
				p.tasks, p.live = allDone, false
				if p.attached != 0 {
					t.links[int(p.attached-1)/2][i].reply(p.attached%2 == 0, mDone, 0)
				}
			})
		}
		away := p.attached == 0
		if away && !m.patient && (p.st == wire.JobRunning || p.st == wire.JobPrepared || p.st == wire.JobWaiting) {
			do(at(doWaitOver), func(t *modelState) { m.happen(t, j, i, jobLost, false) })
		}
		if away && m.without == ruleOrphansAsk && p.st == wire.JobOrphaned {
			do(at(doWaitOver), func(t *modelState) { m.happen(t, j, i, jobSettled, false) })
		}
		if p.st == wire.JobOrphaned {
			m.settleSteps(s, j, i, do)
		}
		if !m.mayFail(s) {
			continue
		}
		if m.mayDo[doFailTask] && p.st == wire.JobRunning && p.live {
			do(at(doFailTask), func(t *modelState) {
				t.faults--
				m.happen(t, j, i, jobFailed, true)
			})
		}
		if m.mayDo[doCancelJob] && (p.st == wire.JobRunning || p.st == wire.JobWaiting) {
			do(at(doCancelJob), func(t *modelState) {
				t.faults--
				m.happen(t, j, i, jobCanceled, true)
			})
		}
		if m.mayDo[doDiscardJob] && (p.st == wire.JobRunning || p.st == wire.JobSuspended || p.st == wire.JobWaiting) {
			do(at(doDiscardJob), func(t *modelState) {
				t.faults--
				m.happen(t, j, i, jobDiscarded, true)
			})
		}
	}
	if m.mayFail(s) && m.mayDo[doCrash] {
		for n := range 2 {
			do(modelStep{doCrash, 0, byte(i), byte(n)}, func(t *modelState) {
				t.faults--
				m.crash(t, i)
				for d := range m.drivers {
					m.loseAnswers(t, d, i, n)
				}
			})
		}
	}
}

// crash kills a server and starts it again: what is not on disk is lost.
func (m *jobModel) crash(t *modelState, i int) {
	for j := range m.jobs {
		p := &t.parts[j][i]
		p.attached, p.live, p.heard = 0, false, [maxServers]wire.Verdict{}
		switch {
		case p.st == wire.JobRunning && !m.durable():
			m.happen(t, j, i, jobFailed, false)
		case p.st == wire.JobRunning, p.st == wire.JobPrepared && m.without == rulePromiseOnDisk:
			p.st = wire.JobWaiting
		case p.st == wire.JobOrphaned && m.without == ruleOrphanedOnDisk:
			p.st = wire.JobPrepared
		case p.st == wire.JobPrepared && (!m.wait || m.without == ruleWaitPrepared):
			m.happen(t, j, i, jobLost, false)
		}
	}
	for d := range m.drivers {
		m.closeEnd(t, d, i, false)
		m.closeEnd(t, d, i, true)
	}
}

// settleSteps emits what a server may do whose promise waits for a decision. An answer
// of a peer may take long: what was heard is kept while the peer goes on.
func (m *jobModel) settleSteps(s *modelState, j, i int, do func(modelStep, func(t *modelState))) {
	var verdicts [maxServers]wire.Verdict
	p := &s.parts[j][i]
	for k := range m.servers {
		if k == i {
			verdicts[k] = wire.VerdictOrphaned
			continue
		}
		verdicts[k] = p.heard[k]
		if m.without == ruleSilenceIsNoAnswer && p.heard[k] == 0 {
			verdicts[k] = wire.VerdictOrphaned
		}
		v, stops := m.verdict(&s.parts[j][k])
		if v != p.heard[k] && (v != wire.VerdictPrepared || p.heard[k] != 0) {
			do(modelStep{doAsk, byte(j), byte(i), byte(k<<4) | byte(v)}, func(t *modelState) {
				t.parts[j][i].heard[k] = v
				if v == wire.VerdictPrepared {
					t.parts[j][i].heard[k] = 0
				}
				if stops && m.without != ruleVerdictBinds {
					m.happen(t, j, k, jobCanceled, true)
				}
			})
		}
	}
	v, _ := tally(verdicts[:m.servers])
	switch v {
	case wire.VerdictCommitted:
		do(modelStep{doSettle, byte(j), byte(i), byte(v)}, func(t *modelState) {
			m.happen(t, j, i, jobDecided, false)
		})
	case wire.VerdictDiscarded:
		do(modelStep{doSettle, byte(j), byte(i), byte(v)}, func(t *modelState) {
			m.happen(t, j, i, jobSettled, false)
		})
	}
}

// verdict is what a server answers to SETTLE, and whether it gives the job up before.
func (m *jobModel) verdict(p *modelPart) (v wire.Verdict, stops bool) {
	switch p.st {
	case wire.JobCommitted:
		return wire.VerdictCommitted, false
	case wire.JobPrepared:
		return wire.VerdictPrepared, false
	case wire.JobOrphaned:
		return wire.VerdictOrphaned, false
	case wire.JobRunning, wire.JobWaiting:
		if m.wait {
			return wire.VerdictPrepared, false
		}
		return wire.VerdictDiscarded, p.st == wire.JobRunning
	}
	return wire.VerdictDiscarded, false
}

// reply sends an answer. Of a former connection, nobody reads it.
func (l *modelLink) reply(old bool, a modelMsg, arg byte) {
	if !old && l.here {
		pushMsg(&l.down, a)
		l.arg = max(l.arg, arg)
	}
}

// deliver is a server's answer to the next request on a connection.
func (m *jobModel) deliver(t *modelState, d, i int, old bool) {
	l, j := &t.links[d][i], m.jobOf(d)
	p, end := &t.parts[j][i], endOf(d, old)
	q := &l.up
	if old {
		q = &l.oldUp
	}
	reply := func(a modelMsg, arg byte) { l.reply(old, a, arg) }
	req := popMsg(q)
	switch req {
	case mJob:
		*p = modelPart{st: wire.JobRunning, attached: end, term: 1, driver: byte(d + 1)}
		reply(mReady, 0)
		return
	case mAttach:
		m.attach(t, d, i, old, reply)
		return
	}
	if p.attached != end && m.without != ruleFormerClosed {
		return
	}
	t.obeyed = t.obeyed || p.attached != end && (p.st == wire.JobRunning || p.st == wire.JobPrepared)
	switch req {
	case mStart:
		if p.st == wire.JobRunning && !p.live {
			p.live, p.tasks = true, max(p.tasks, begun)
		}
	case mPrepare:
		if p.st == wire.JobRunning && m.jobs == 2 && m.without != ruleNamesReserved {
			switch t.parts[1-j][i].st {
			case wire.JobPrepared, wire.JobOrphaned, wire.JobCommitted:
				m.happen(t, j, i, jobFailed, true)
				return
			}
		}
		m.happen(t, j, i, jobPromised, false)
		if p.st == wire.JobPrepared {
			reply(mPrepared, 0)
		}
	case mCommit:
		m.happen(t, j, i, jobDecided, false)
		if p.st == wire.JobCommitted {
			p.attached = 0
			reply(mCommitted, 0)
		}
	case mDiscard:
		m.happen(t, j, i, jobDiscarded, false)
	case mSuspend:
		m.happen(t, j, i, jobStopped, false)
	}
}

// attach answers ATTACH.
func (m *jobModel) attach(t *modelState, d, i int, old bool, reply func(modelMsg, byte)) {
	l, p := &t.links[d][i], &t.parts[m.jobOf(d)][i]
	req := l.at
	if old {
		req = l.was
	}
	refuse := func(a modelMsg) {
		reply(a, 0)
		m.closeEnd(t, d, i, old)
	}
	// Without one of these, terms do not keep anybody from what is suspended.
	revives := m.without == ruleReviveOnce || m.without == ruleSuspendedStays || m.without == ruleNewGeneration
	other := p.driver != byte(d+1) && p.attached != 0
	switch {
	case p.st == wire.JobCommitted:
		reply(mAttached, byte(phCommitted))
		return
	case p.st == 0 || isOver(p.st):
		refuse(mNoJob)
		return
	case p.st == wire.JobOrphaned && m.without != ruleOrphansSettle:
		refuse(mUnavailable)
		return
	case p.st == wire.JobSuspended && !(req.first && m.mayDo[doBegin]) && m.without != ruleSuspendedStays:
		refuse(mNoJob)
		return
	case p.st == wire.JobSuspended && req.term/generation <= p.term/generation && !revives:
		refuse(mExists)
		return
	case other || req.term <= p.term && m.without != ruleTermGrows:
		refuse(mExists)
		return
	}
	if former := p.attached; former != 0 {
		p.attached = 0
		if m.without != ruleFormerClosed {
			m.closeEnd(t, int(former-1)/2, i, former%2 == 0)
		}
	}
	t.fell = t.fell || req.term <= p.term
	p.attached, p.term, p.driver = endOf(d, old), req.term, byte(d+1)
	revived := p.st == wire.JobSuspended || p.st == wire.JobWaiting
	p.st = next(p.st, jobAttached, m.keep)
	if p.st == wire.JobOrphaned { // see ruleOrphansSettle
		p.st = wire.JobPrepared
	}
	switch {
	case p.st == wire.JobPrepared:
		reply(mAttached, byte(phPrepared))
	case p.live:
		reply(mAttached, byte(phRunning))
	case p.tasks == allDone && !revived:
		reply(mAttached, byte(phDone))
	default:
		reply(mAttached, byte(phReady))
	}
}
