package node

// driverSteps emits what a driver may do next. What it sends, it sends as soon as it
// can: a request that is late is one that waits on its connection, and one that was
// never sent is one that is lost there.
func (m *jobModel) driverSteps(s *modelState, d int, do func(modelStep, func(t *modelState))) {
	at := func(what stepKind, i int) modelStep { return modelStep{what, byte(d), byte(i), 0} }
	switch s.drivers[d].st {
	case drIdle:
		start := func(t *modelState) {
			var term byte
			for i := range m.servers { // as JOBS tells
				term = max(term, t.parts[m.jobOf(d)][i].term)
			}
			if m.mayDo[doBegin] && m.without != ruleNewGeneration {
				term |= generation - 1
			}
			t.drivers[d] = modelDriver{drActive, phReady}
			for i := range m.servers {
				t.links[d][i].first, t.links[d][i].tried = true, term
			}
		}
		if m.mayDo[doBegin] {
			do(at(doBegin, 0), start)
		}
		away := true
		for i := range m.servers {
			p := &s.parts[m.jobOf(d)][i]
			away = away && p.st != 0 && p.attached == 0
		}
		if m.mayDo[doTakeOver] && away {
			do(at(doTakeOver, 0), start)
		}
		return
	case drActive:
	default:
		return
	}
	fails := m.mayFail(s)
	waiting := false
	for i := range m.servers {
		l := &s.links[d][i]
		if l.here && l.down[0] != noMsg {
			do(modelStep{doAnswer, byte(d), byte(i), byte(l.down[0])}, func(t *modelState) { m.answer(t, d, i) })
		}
		if l.here && !l.there && l.down[0] == noMsg {
			do(at(doNoticeHere, i), func(t *modelState) { m.lose(t, d, i) })
		}
		if wants := l.phase < s.drivers[d].to; wants && l.conn != connOpen {
			waiting = true
			if l.conn == connNone && !(l.there && l.old) {
				m.dialSteps(s, d, i, do)
			}
		}
		if !fails || !l.here || !l.there {
			continue
		}
		if m.mayDo[doBreakHere] {
			do(at(doBreakHere, i), func(t *modelState) {
				t.faults--
				m.lose(t, d, i)
			})
		}
		if m.mayDo[doBreakThere] {
			for n := range 2 {
				do(modelStep{doBreakThere, byte(d), byte(i), byte(n)}, func(t *modelState) {
					t.faults--
					m.closeEnd(t, d, i, false)
					m.loseAnswers(t, d, i, n)
				})
			}
		}
	}
	if waiting && !m.patient {
		do(at(doGiveUp, 0), func(t *modelState) {
			if t.drivers[d].to < phCommitted {
				m.fail(t, d)
				return
			}
			for i := range m.servers {
				if l := &t.links[d][i]; l.phase < phCommitted && l.conn != connOpen {
					m.forget(t, d, i)
				}
			}
		})
	}
	if fails && m.mayDo[doInterrupt] && s.drivers[d].to < phCommitted {
		do(at(doInterrupt, 0), func(t *modelState) {
			t.faults--
			m.fail(t, d)
		})
	}
	if fails && m.mayDo[doKill] && !(d > 0 && m.mayDo[doTakeOver]) {
		do(at(doKill, 0), func(t *modelState) {
			t.faults--
			m.leave(t, d, drKilled)
		})
	}
}

// generation stands for that of wire.NextGeneration: more terms than anybody tries.
const generation = 16

// dialSteps emits that a driver attaches again. It may have tried often before that, at
// ever higher terms.
func (m *jobModel) dialSteps(s *modelState, d, i int, do func(modelStep, func(t *modelState))) {
	tried := s.links[d][i].tried
	terms := []byte{tried + 1}
	if higher := s.parts[m.jobOf(d)][i].term; higher > tried && (higher/generation == tried/generation || m.without == ruleNewGeneration) {
		terms = append(terms, higher+1)
	}
	for _, term := range terms {
		do(modelStep{doDial, byte(d), byte(i), term}, func(t *modelState) { m.dial(t, d, i, term) })
	}
}

// mayFail reports whether a fault may happen now. A driver that is not patient gives up
// if one happens before READY.
func (m *jobModel) mayFail(s *modelState) bool {
	if m.patient {
		for i := range m.servers {
			if s.drivers[0].st == drActive && s.links[0][i].phase == phNone {
				return false
			}
		}
	}
	return s.faults > 0
}

// loseAnswers loses what is under way to a driver, or if n is 0, nothing.
func (m *jobModel) loseAnswers(t *modelState, d, i, n int) {
	if n != 0 {
		t.links[d][i].down, t.links[d][i].arg = modelQueue{}, 0
	}
}

// lose is what a driver does that notices the loss of a connection.
func (m *jobModel) lose(t *modelState, d, i int) {
	l, to := &t.links[d][i], t.drivers[d].to
	before := l.conn == connOpen && l.phase == phNone
	l.here, l.down, l.arg = false, modelQueue{}, 0
	l.conn, l.asked, l.adopted = connNone, false, false
	switch {
	case before:
		m.fail(t, d)
	case m.wait:
	case to == phCommitted && l.phase < phCommitted:
		m.forget(t, d, i)
	case to < phCommitted:
		m.fail(t, d)
	}
}

// forget is what a driver does about a server that is lost for good after COMMIT.
func (m *jobModel) forget(t *modelState, d, i int) {
	if m.without == ruleNoDiscardAfterCommit {
		m.fail(t, d)
		return
	}
	l := &t.links[d][i]
	*l = modelLink{phase: phGone, tried: l.tried, there: l.there, up: l.up, at: l.at, old: l.old, oldUp: l.oldUp, was: l.was}
}

// dial connects to a server that was lost, and attaches.
func (m *jobModel) dial(t *modelState, d, i int, term byte) {
	l := &t.links[d][i]
	if l.there { // the server has not noticed
		l.old, l.oldUp, l.was = true, l.up, l.at
		l.up = modelQueue{}
		if p := &t.parts[m.jobOf(d)][i]; p.attached == endOf(d, false) {
			p.attached = endOf(d, true)
		}
	}
	l.here, l.there, l.conn, l.tried = true, true, connAttaching, term
	l.at = attachReq{term, l.first}
	pushMsg(&l.up, mAttach)
}

// fail gives the job up.
func (m *jobModel) fail(t *modelState, d int) {
	if t.drivers[d].to == phCommitted && m.without != ruleNoDiscardAfterCommit {
		m.leave(t, d, drUnknown)
		return
	}
	for i := range m.servers {
		l := &t.links[d][i]
		if !l.here || !l.there || l.adopted && m.without != ruleNoDiscardAdopted ||
			l.conn == connAttaching && m.without != ruleNoDiscardUnanswered {
			continue
		}
		if m.keep {
			pushMsg(&l.up, mSuspend)
		} else {
			pushMsg(&l.up, mDiscard)
		}
	}
	m.leave(t, d, drFailed)
}

// leave closes all connections. A server that was refused when it took over may try
// again, or another one.
func (m *jobModel) leave(t *modelState, d int, st driverState) {
	if st == drStopped && m.mayDo[doTakeOver] {
		st = drIdle
	}
	t.drivers[d] = modelDriver{st: st}
	for i := range m.servers {
		l := &t.links[d][i]
		*l = modelLink{there: l.there, up: l.up, at: l.at, old: l.old, oldUp: l.oldUp, was: l.was}
	}
}

// answer is what a driver makes of a server's answer.
func (m *jobModel) answer(t *modelState, d, i int) {
	l, to := &t.links[d][i], t.drivers[d].to
	a, arg := popMsg(&l.down), modelPhase(l.arg)
	l.arg, l.asked = 0, false
	switch a {
	case mReady:
		l.phase = phReady
	case mDone:
		l.phase = phDone
	case mPrepared:
		l.phase = phPrepared
	case mCommitted:
		l.phase = phCommitted
	case mAttached:
		l.conn, l.phase, l.adopted, l.first = connOpen, arg, arg >= phPrepared, false
		if to == phReady && arg == phPrepared && m.without != rulePrepareAgain {
			l.phase = phDone
		}
	case mUnavailable:
		l.here, l.conn = false, connNone
		l.tried-- // it may be used again: dialSteps sees to higher ones
	case mExists:
		if d >= m.jobs {
			m.leave(t, d, drStopped)
			return
		}
		l.here, l.conn = false, connNone // the one that submitted the job stays
		l.tried--
	case mError, mNoJob:
		if to < phCommitted {
			m.fail(t, d)
			return
		}
		m.forget(t, d, i)
	}
	if to == phCommitted && t.drivers[d].st == drActive && l.conn == connOpen && l.phase < phPrepared {
		m.forget(t, d, i)
	}
}

// drive sends what the phases of all servers ask for.
func (m *jobModel) drive(t *modelState, d int) {
	dr, ls := &t.drivers[d], t.links[d][:m.servers]
	least := phGone
	for i := range ls {
		if l := &ls[i]; m.without != ruleCommitAll || l.phase != phNone {
			least = min(least, l.phase)
		}
	}
	switch {
	case dr.to <= phReady && least >= phReady:
		dr.to = phDone
	case m.without == rulePrepareAfterDone && dr.to == phDone && least >= phReady:
		dr.to = phPrepared
	}
	if dr.to == phDone && least >= phDone {
		dr.to = phPrepared
	}
	if dr.to == phPrepared && (least >= phPrepared || m.without == ruleCommitAfterPrepared) {
		dr.to = phCommitted
	}
	for i := range ls {
		l := &ls[i]
		if l.conn != connOpen || l.asked || l.phase >= dr.to || l.phase == phNone {
			continue
		}
		l.asked = true
		req := [...]modelMsg{phReady: mStart, phDone: mPrepare, phPrepared: mCommit}[l.phase]
		if m.without == rulePrepareAfterDone && l.phase == phReady && dr.to == phPrepared {
			req = mPrepare
		}
		if req != noMsg && l.there { // else it is lost
			pushMsg(&l.up, req)
		}
	}
	end := drSucceeded
	for i := range ls {
		switch ls[i].phase {
		case phCommitted:
		case phGone:
			end = drUnknown
		default:
			return
		}
	}
	m.leave(t, d, end)
}
