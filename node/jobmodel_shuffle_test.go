package node

import (
	"fmt"
	"slices"
)

// shuffleModel is one task of a shuffle, whose output goes to another server: which of
// its runs is staged there when the task counts as done. Each run writes x, y or both,
// and never the same bytes as another run.
type shuffleModel struct {
	faults  byte
	without shuffleRule // that is broken on purpose
}

// shuffleRule is a rule of pushes and RESETs.
type shuffleRule byte

const (
	everyShuffleRule  shuffleRule = iota
	ruleReset                     // what a former run has staged is removed before the next
	ruleResetFenced               // a RESET that is late does nothing
	ruleResetOnce                 // nor does one that is repeated
	rulePushFenced                // a push of a former run is refused
	ruleEpochsStay                // also when the receiver was suspended meanwhile
	ruleEpochGrows                // each run has an epoch of its own
	ruleRecordAfterOK             // a task is done when all its pushes are answered
	ruleRunEnds                   // a run that was stopped does not count as done later
	lastShuffleRule
)

func (r shuffleRule) String() string {
	return [...]string{"", "reset", "reset fenced", "reset once", "push fenced", "epochs stay", "epoch grows",
		"record after OK", "run ends"}[r]
}

type shuffleState struct {
	term     byte // of the source, on disk
	run      shRun
	attempt  byte // which writes what: its files are a set, one bit each
	files    byte
	oked     byte // files that were answered
	late     byte // a run before, that is taken for done when it is answered: see ruleRunEnds
	lateSet  byte
	lateLeft byte
	recorded byte // the attempt that is done, on disk
	recSet   byte
	staged   [2]byte // at the receiver, on disk: which attempt's x, and y
	known    byte    // the source's epoch, as the receiver's process knows
	pushed   bool    // and one of its pushes was accepted
	receiver shReceiver
	faults   byte
	way      [4]flight // in no order, for there are several connections
}

type shRun byte

const (
	shNoRun shRun = iota
	shResetting
	shRunning
)

type shReceiver byte

const (
	shReceiving shReceiver = iota
	shSuspended
	shPublished
)

// flight is a request on its way, or its answer.
type flight struct {
	kind    flightKind
	file    byte // 0 or 1
	attempt byte
	epoch   byte
	waited  bool // the source waits for the answer, and knows of no loss
	answer  byte // 0, or one of these
}

type flightKind byte

const (
	noFlight flightKind = iota
	aPush
	aReset
)

const (
	shOK byte = 1 + iota
	shRefused
)

// send puts a request on its way, unless one waits for its answer already, or there is
// no room.
func (s *shuffleState) send(f flight) bool {
	for _, g := range s.way {
		if g.waited && g.kind == f.kind && g.file == f.file {
			return false
		}
	}
	i := slices.Index(s.way[:], flight{})
	if i >= 0 {
		s.way[i] = f
	}
	return i >= 0
}

// stop ends the source's run.
func (m *shuffleModel) stop(s *shuffleState) {
	if m.without == ruleRunEnds && s.run == shRunning {
		s.late, s.lateSet, s.lateLeft = s.attempt, s.files, s.files&^s.oked
	}
	s.run, s.attempt, s.files, s.oked = shNoRun, 0, 0, 0
	for i := range s.way {
		s.way[i].waited = false
		if s.way[i].answer != 0 {
			s.way[i] = flight{}
		}
	}
}

// handle is the receiver's answer to a request.
func (m *shuffleModel) handle(s *shuffleState, f *flight) byte {
	switch {
	case s.receiver != shReceiving:
		return shRefused
	case f.kind == aReset:
		switch {
		case f.epoch < s.known && m.without != ruleResetFenced:
			return shRefused
		case f.epoch == s.known && s.pushed && m.without != ruleResetOnce:
			return shRefused
		}
		s.known, s.pushed = max(s.known, f.epoch), false
		s.staged = [2]byte{}
		return shOK
	case f.epoch < s.known && m.without != rulePushFenced:
		return shRefused
	}
	s.known, s.pushed = max(s.known, f.epoch), true
	switch {
	case s.staged[f.file] == 0:
		s.staged[f.file] = f.attempt
		return shOK
	case s.staged[f.file] == f.attempt:
		return shOK // a repeat: the same bytes
	}
	return shRefused
}

func (m *shuffleModel) steps(s *shuffleState, emit func(modelStep, *shuffleState)) {
	do := func(st modelStep, f func(t *shuffleState)) {
		t := *s
		f(&t)
		slices.SortFunc(t.way[:], func(a, b flight) int { return int(b.sortKey()) - int(a.sortKey()) })
		emit(st, &t)
	}
	if s.run == shNoRun && s.recorded == 0 {
		for files := byte(1); files < 4; files++ {
			do(modelStep{sRun, s.term, files, 0}, func(t *shuffleState) {
				t.receiver = shReceiving
				if t.attempt = t.term + 1; m.without != ruleEpochGrows || t.term == 0 {
					t.term++
				} else {
					t.attempt = 2
				}
				t.files, t.run = files, shResetting
				if t.attempt == 1 || m.without == ruleReset {
					t.run = shRunning
				}
			})
		}
	}
	if s.run == shResetting {
		t := *s
		if t.send(flight{kind: aReset, epoch: s.term, waited: true}) {
			do(modelStep{sReset, s.term, 0, 0}, func(u *shuffleState) { *u = t })
		}
	}
	if s.run == shRunning {
		for file := range byte(2) {
			t := *s
			if bit := byte(1) << file; s.files&bit != 0 && s.oked&bit == 0 &&
				t.send(flight{kind: aPush, file: file, attempt: s.attempt, epoch: s.term, waited: true}) {
				do(modelStep{sPush, file, s.attempt, s.term}, func(u *shuffleState) { *u = t })
			}
		}
		if s.oked == s.files || m.without == ruleRecordAfterOK {
			do(modelStep{sRecord, s.attempt, 0, 0}, func(t *shuffleState) {
				t.recorded, t.recSet = s.attempt, s.files
				if m.without == ruleRecordAfterOK {
					t.recSet = 0 // what is staged is known only later
				}
				m.stop(t)
			})
		}
	}
	for i, f := range s.way {
		switch {
		case f.kind == noFlight:
		case f.answer == 0:
			do(modelStep{sHandle, byte(f.kind), f.file, f.epoch}, func(t *shuffleState) {
				g := &t.way[i]
				g.answer = m.handle(t, &f)
				if !f.waited && g.answer == shOK && f.kind == aPush && f.attempt == t.late {
					if t.lateLeft &^= 1 << f.file; t.lateLeft == 0 && t.recorded == 0 {
						t.recorded, t.recSet = t.late, t.lateSet
					}
				}
				if !f.waited {
					*g = flight{}
				}
			})
			if s.faults > 0 {
				do(modelStep{sLostThere, byte(f.kind), f.file, f.epoch}, func(t *shuffleState) {
					t.faults--
					t.way[i] = flight{}
				})
				if f.waited {
					do(modelStep{sLostHere, byte(f.kind), f.file, f.epoch}, func(t *shuffleState) {
						t.faults--
						t.way[i].waited = false
					})
				}
			}
		default:
			do(modelStep{sAnswer, byte(f.kind), f.file, f.answer}, func(t *shuffleState) {
				t.way[i] = flight{}
				switch {
				case f.answer == shRefused:
					m.stop(t)
				case f.kind == aReset:
					t.run = shRunning
				default:
					t.oked |= 1 << f.file
				}
			})
			if s.faults > 0 {
				do(modelStep{sLostThere, byte(f.kind), f.file, f.epoch}, func(t *shuffleState) {
					t.faults--
					t.way[i] = flight{}
				})
			}
		}
	}
	if s.receiver == shSuspended && s.run != shNoRun {
		do(modelStep{what: sResume}, func(t *shuffleState) { t.receiver = shReceiving })
	}
	if s.recorded != 0 && s.receiver != shPublished {
		do(modelStep{what: sPublish}, func(t *shuffleState) { t.receiver = shPublished })
	}
	if s.faults == 0 {
		return
	}
	if s.run != shNoRun {
		do(modelStep{what: sStop}, func(t *shuffleState) {
			t.faults--
			m.stop(t)
		})
	}
	if s.receiver == shReceiving {
		do(modelStep{what: sSuspend}, func(t *shuffleState) {
			t.faults--
			t.receiver = shSuspended
			if m.without == ruleEpochsStay {
				t.known, t.pushed = 0, false
			}
		})
		do(modelStep{what: sKill}, func(t *shuffleState) {
			t.faults--
			t.known, t.pushed = 0, false
			for i := range t.way {
				if t.way[i].answer == 0 {
					t.way[i] = flight{}
				}
			}
		})
	}
}

func (f flight) sortKey() uint32 {
	k := uint32(f.kind)<<24 | uint32(f.file)<<20 | uint32(f.attempt)<<12 | uint32(f.epoch)<<4 | uint32(f.answer)
	if f.waited {
		k |= 1 << 3
	}
	return k
}

// check compares what is staged of a task that is done with what it wrote.
func (m *shuffleModel) check(s *shuffleState) string {
	if s.recorded == 0 || m.without == ruleRecordAfterOK && s.receiver != shPublished {
		return ""
	}
	for file, attempt := range s.staged {
		switch has := s.recSet>>file&1 != 0; {
		case has && attempt == 0:
			return "a part of a finished task's output is missing"
		case has && attempt != s.recorded, !has && attempt != 0:
			return "the output of two runs of a task is mixed"
		}
	}
	return ""
}

func (m *shuffleModel) final(s *shuffleState) bool { return s.receiver == shPublished }

func (m *shuffleModel) model() model[shuffleState] {
	return model[shuffleState]{initial: shuffleState{faults: m.faults}, steps: m.steps, check: m.check, final: m.final}
}

// shuffleStep spells out a step of this model.
func shuffleStep(st modelStep) string {
	file := string("xy"[st.b&1])
	what := fmt.Sprintf("PUSH of %s, epoch %d", file, st.c)
	if flightKind(st.a) == aReset {
		what = fmt.Sprintf("RESET, epoch %d", st.c)
	}
	switch st.what {
	case sRun:
		return fmt.Sprintf("the job is attached, and the source starts the task; before: %d times; it will write %s", st.a, []string{"", "x", "y", "x and y"}[st.b])
	case sReset:
		return fmt.Sprintf("the source sends RESET, epoch %d", st.a)
	case sPush:
		return fmt.Sprintf("the source pushes %c of run %d, epoch %d", "xy"[st.a], st.b, st.c)
	case sRecord:
		return fmt.Sprintf("the source records the task as done by run %d", st.a)
	case sHandle:
		return "the receiver handles " + what
	case sAnswer:
		return fmt.Sprintf("the source gets %s to %s", []string{"", "OK", "a refusal"}[st.c], what[:len(what)-len(", epoch 0")])
	case sLostThere:
		return "fault: lost on its way: " + what
	case sLostHere:
		return "fault: the source loses the connection, which the receiver still reads, with " + what
	case sResume:
		return "the receiver is attached again"
	case sPublish:
		return "the job is published"
	case sStop:
		return "fault: the source is suspended, or killed and started again"
	case sSuspend:
		return "fault: the receiver is suspended"
	case sKill:
		return "fault: the receiver is killed and started again"
	}
	return fmt.Sprintf("step %d", st.what)
}
