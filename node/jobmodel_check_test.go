package node

import (
	"hash/maphash"
	"slices"

	"github.com/nathants/s4/wire"
)

// tidy lets drivers go on, and makes states equal that differ only in what cannot
// matter any more.
func (m *jobModel) tidy(t *modelState) {
	for d := range m.drivers {
		if t.drivers[d].st == drActive {
			m.drive(t, d)
		}
		for i := range m.servers {
			l := &t.links[d][i]
			p := &t.parts[m.jobOf(d)][i]
			// That nobody is at the other end of a connection does not matter to a server
			// if nothing comes on it, and nothing depends on it.
			l.there = l.there && (l.here || l.up[0] != noMsg || p.attached == endOf(d, false))
			l.old = l.old && (l.oldUp[0] != noMsg || p.attached == endOf(d, true))
			if l.up[0] != mAttach {
				l.at = attachReq{}
			}
			if l.oldUp[0] != mAttach {
				l.was = attachReq{}
			}
		}
	}
	for j := range m.jobs {
		for i := range m.servers {
			p := &t.parts[j][i]
			switch p.st {
			case wire.JobCommitted, wire.JobCanceled, wire.JobFailed:
				*p = modelPart{st: p.st, tasks: p.tasks}
			}
		}
	}
}

// canon gives the servers an order.
func (m *jobModel) canon(t *modelState) {
	type server struct {
		parts [maxJobs]modelPart
		links [maxDrivers]modelLink
	}
	var all [maxServers]server
	var keys [maxServers]uint64
	var order [maxServers]int
	for i := range m.servers {
		for j := range m.jobs {
			all[i].parts[j] = t.parts[j][i]
			all[i].parts[j].heard = [maxServers]wire.Verdict{}
		}
		for d := range m.drivers {
			all[i].links[d] = t.links[d][i]
		}
		keys[i] = maphash.Comparable(m.seed, all[i])
		k := i
		for ; k > 0 && keys[order[k-1]] > keys[i]; k-- {
			order[k] = order[k-1]
		}
		order[k] = i
	}
	if slices.IsSorted(order[:m.servers]) {
		return
	}
	s := *t
	for i, was := range order[:m.servers] {
		for j := range m.jobs {
			p := &t.parts[j][i]
			*p = s.parts[j][was]
			for k, peer := range order[:m.servers] {
				p.heard[k] = s.parts[j][was].heard[peer]
			}
		}
		for d := range m.drivers {
			t.links[d][i] = s.links[d][was]
		}
	}
}

// steps emits all that may happen next.
func (m *jobModel) steps(s *modelState, emit func(modelStep, *modelState)) {
	do := func(st modelStep, f func(t *modelState)) {
		t := *s
		f(&t)
		m.tidy(&t)
		if t != *s {
			emit(st, &t)
		}
	}
	for d := range m.drivers {
		m.driverSteps(s, d, do)
	}
	for i := range m.servers {
		m.serverSteps(s, i, do)
	}
}

// check returns which invariant a state breaks, or "".
func (m *jobModel) check(s *modelState) string {
	if s.obeyed {
		return "a driver that was replaced is obeyed"
	}
	if s.fell {
		return "a server was attached under a term that did not grow: its next run of tasks would have an old epoch"
	}
	for j := range m.jobs {
		n, allDoneHere := 0, true
		promised := false
		for i := range m.servers {
			p := &s.parts[j][i]
			if p.term%generation > 6+2*m.faults {
				return "two drivers take the job from each other for ever"
			}
			if p.st == wire.JobCommitted {
				n++
				if m.jobs == 2 && s.parts[1-j][i].st == wire.JobCommitted {
					return "two jobs have published the same name"
				}
			}
			promised = promised || p.st == wire.JobPrepared || p.st == wire.JobOrphaned || p.st == wire.JobCommitted
			allDoneHere = allDoneHere && p.tasks == allDone
		}
		if promised && !allDoneHere {
			return "a server has promised before all were done"
		}
		for i := range m.servers {
			switch st := s.parts[j][i].st; {
			case n > 0 && st != wire.JobCommitted && st != wire.JobPrepared && st != wire.JobOrphaned:
				return "published on one server and given up on another"
			}
		}
		for d := range m.drivers {
			if m.jobOf(d) != j {
				continue
			}
			if s.drivers[d].st == drSucceeded && n < m.servers {
				return "a driver reports success too early"
			}
			if s.drivers[d].st == drFailed && n > 0 && m.drivers == m.jobs {
				return "the only driver reports a failure, and the output is published"
			}
		}
	}
	return ""
}

// final reports whether all has come to an end, and to a good one if nobody gave up.
func (m *jobModel) final(s *modelState) bool {
	for d := range m.drivers {
		if s.drivers[d].st == drActive {
			return false
		}
	}
	for j := range m.jobs {
		for i := range m.servers {
			switch st := s.parts[j][i].st; {
			case st == wire.JobRunning, st == wire.JobPrepared, st == wire.JobOrphaned, st == wire.JobWaiting:
				return false
			case m.patient && st != wire.JobCommitted:
				return false
			}
		}
	}
	return true
}

func (m *jobModel) model() model[modelState] {
	var s modelState
	for _, what := range m.may {
		m.mayDo[what] = true
	}
	s.faults = m.faults
	for d := range m.jobs {
		s.drivers[d] = modelDriver{drActive, phReady}
		for i := range m.servers {
			s.links[d][i] = modelLink{conn: connOpen, tried: 1, here: true, there: true, up: modelQueue{mJob}}
			l, p := &s.links[d][i], &s.parts[d][i]
			if m.start >= fromDone {
				l.phase, l.up = phDone, modelQueue{}
				*p = modelPart{st: wire.JobRunning, tasks: allDone, attached: endOf(d, false), term: 1, driver: byte(d + 1)}
			}
			if m.start >= fromCommit {
				l.phase, p.st = phPrepared, wire.JobPrepared
			}
			if m.start >= fromLoss {
				l.there, p.attached = false, 0
			}
			if m.start == fromSuspended {
				p.st = wire.JobSuspended
			}
		}
		switch m.start {
		case fromKill:
			m.leave(&s, d, drKilled)
		case fromSuspended:
			m.leave(&s, d, drIdle)
		}
	}
	m.tidy(&s)
	m.seed = maphash.MakeSeed()
	return model[modelState]{initial: s, steps: m.steps, check: m.check, final: m.final, canon: m.canon}
}
