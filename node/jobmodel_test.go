package node

import (
	"os"
	"slices"
	"testing"
)

// The protocol of jobs as a model, of which every state is visited that can be reached
// with a few faults: whatever is under way, and in whatever order it comes. It finds what
// tests with real servers do not, because they would have to hit one moment of many.
//
//	jobmodel_search_test.go    the search, for any model
//	jobmodel_state_test.go     what is known where, and what is under way
//	jobmodel_server_test.go    what a server may do
//	jobmodel_driver_test.go    what a driver may do, and what must hold
//	jobmodel_shuffle_test.go   the same for one task of a shuffle
//
// Servers move by the code's own tables, next and tally. What is checked:
//
//   - The output is published on all servers or on none.
//   - Of two jobs with one name, one is published.
//   - A driver reports success, or failure, only if it is so.
//   - No server obeys a driver that another has replaced.
//   - From every state a good end can be reached without any further fault. If nobody
//     ever waits so long that he gives up, that end is that all is published.
//   - What is published of a task is the output of one run of it, and all of it.
//
// Beside the number of faults, servers, drivers and jobs, one thing is bounded: of a
// driver's connections to a server, two may be open at the server's end at a time. A
// violation comes with the shortest way there. Who changes the protocol changes the
// model first. TestJobModelRules shows that each rule is needed, and that the model would
// notice.

// Faults, and what people do.
var (
	modelLosses = []stepKind{doBreakHere, doBreakThere, doCrash}
	modelFaults = append(slices.Clip(modelLosses), doKill)
	modelPeople = append(slices.Clip(modelFaults), doFailTask, doCancelJob, doDiscardJob, doInterrupt)
	modelResume = append(slices.Clip(modelFaults), doBegin)
)

// jobModels are the bounds. The names are those of subtests.
var jobModels = map[string]jobModel{
	// Without Wait, the loss of a connection ends a job that is not prepared.
	"no wait":           {servers: 2, drivers: 1, jobs: 1, faults: 3, may: modelPeople},
	"no wait 3 servers": {servers: 3, drivers: 1, jobs: 1, keep: true, faults: 2, may: modelPeople},

	"wait":           {servers: 2, drivers: 1, jobs: 1, wait: true, faults: 2, may: modelPeople},
	"keep":           {servers: 2, drivers: 1, jobs: 1, wait: true, keep: true, faults: 2, may: modelPeople},
	"wait 3 servers": {servers: 3, drivers: 1, jobs: 1, wait: true, keep: true, faults: 2, may: modelPeople},
	"lost":           {servers: 2, drivers: 1, jobs: 1, wait: true, keep: true, start: fromLoss, faults: 2, may: modelPeople},

	// The second driver attaches at any time, and each of two that resume the job.
	"resume":          {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromDone, faults: 1, may: modelResume},
	"resume two":      {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromLoss, may: modelResume},
	"resume killed":   {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromKill, faults: 2, may: modelResume},
	"resume 3 killed": {servers: 3, drivers: 2, jobs: 1, wait: true, keep: true, start: fromKill, faults: 1, may: modelResume},
	"two resume":      {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromSuspended, faults: 1, may: modelResume},

	"two names": {servers: 2, drivers: 2, jobs: 2, wait: true, keep: true, start: fromDone, faults: 1, may: modelFaults},

	// Nobody gives up, and so all ends well.
	"patient": {servers: 2, drivers: 1, jobs: 1, wait: true, patient: true, faults: 3, may: modelLosses},
	// A driver is cut off for a moment, and another one takes over.
	"cut off": {servers: 2, drivers: 2, jobs: 1, wait: true, patient: true, start: fromDone, faults: 2,
		may: append(slices.Clip(modelLosses), doTakeOver)},
	"cut off at the end": {servers: 2, drivers: 2, jobs: 1, wait: true, patient: true, start: fromLoss,
		may: append(slices.Clip(modelLosses), doTakeOver)},
	"take-over": {servers: 2, drivers: 2, jobs: 1, wait: true, patient: true, faults: 2,
		may: append(slices.Clip(modelFaults), doTakeOver)},
}

// bigModels take minutes, and gigabytes.
var bigModels = map[string]jobModel{
	"wait":            {servers: 2, drivers: 1, jobs: 1, wait: true, keep: true, faults: 5, may: modelPeople},
	"wait 3 servers":  {servers: 3, drivers: 1, jobs: 1, wait: true, keep: true, faults: 3, may: modelPeople},
	"resume":          {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromDone, faults: 2, may: modelResume},
	"resume no keep":  {servers: 2, drivers: 2, jobs: 1, wait: true, start: fromDone, faults: 2, may: modelResume},
	"resume from JOB": {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, faults: 1, may: modelResume},
	"resume two":      {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromLoss, faults: 1, may: modelResume},
	"resume 3 killed": {servers: 3, drivers: 2, jobs: 1, wait: true, keep: true, start: fromKill, faults: 2, may: modelResume},
	"resume 3":        {servers: 3, drivers: 2, jobs: 1, wait: true, keep: true, start: fromDone, faults: 1, may: modelResume},
	"two resume":      {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromSuspended, faults: 2, may: modelResume},
	"cut off": {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromDone, faults: 2,
		may: append(slices.Clip(modelLosses), doTakeOver)},
	"cut off at the end": {servers: 2, drivers: 2, jobs: 1, wait: true, keep: true, start: fromLoss, faults: 1,
		may: append(slices.Clip(modelLosses), doTakeOver)},
	"two names": {servers: 2, drivers: 2, jobs: 2, wait: true, keep: true, start: fromDone, faults: 2, may: modelFaults},
	"take-over 3 servers": {servers: 3, drivers: 2, jobs: 1, wait: true, patient: true, faults: 2,
		may: append(slices.Clip(modelFaults), doTakeOver)},
}

// The most states of a model, which bounds what it takes of memory.
const (
	maxStates    = 1_000_000
	maxBigStates = 4_000_000
)

// isBig reports whether to visit what takes long.
func isBig() bool { return os.Getenv("S4_TEST_BIG") != "" }

// The race detector slows the search down to a sixth, and finds nothing: a search has no
// goroutines. With it there is a fault less, and no more than this; make test does all
// of it, without.
const mostFaultsWithRace = 1

func TestJobModel(t *testing.T) {
	for name, m := range jobModels {
		if RaceEnabled && m.faults > 0 {
			m.faults = min(m.faults-1, mostFaultsWithRace)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m.visit(t, maxStates)
		})
	}
	for name, m := range bigModels {
		t.Run("big/"+name, func(t *testing.T) {
			if !isBig() {
				t.Skip("S4_TEST_BIG is not set")
			}
			m.visit(t, maxBigStates)
		})
	}
}

// visit fails the test if anything is wrong in any state.
func (m *jobModel) visit(t *testing.T, limit int) {
	n, v, err := m.model().run(limit)
	t.Logf("%d states with %d faults", n, m.faults)
	if v != nil {
		t.Error(v)
	}
	if err != nil {
		t.Error(err)
	}
}

// Each rule is needed: without it, something breaks.
func TestJobModelRules(t *testing.T) {
	const (
		split  = "published on one server and given up on another"
		early  = "a server has promised before all were done"
		stuck  = "no good end can be reached"
		twice  = "two jobs have published the same name"
		liar   = "the only driver reports a failure, and the output is published"
		obeyed = "a driver that was replaced is obeyed"
		fell   = "a server was attached under a term that did not grow: its next run of tasks would have an old epoch"
	)
	// As little as is enough for each.
	noWait, wait, done, killed := jobModels["no wait"], jobModels["wait"], jobModels["resume"], jobModels["resume killed"]
	back := jobModels["resume two"]
	back.faults, back.may = 1, []stepKind{doBreakThere, doBegin}
	killed.faults = 1
	two := bigModels["two resume"]
	two.may = []stepKind{doBreakThere, doCrash, doBegin}
	lost, kept := jobModels["lost"], jobModels["keep"]
	kept.start = fromDone
	type breaks struct {
		model  jobModel
		broken string
	}
	all := map[jobRule]breaks{
		ruleVerdictBinds:         {noWait, split},
		ruleOrphansAsk:           {noWait, split},
		ruleOrphansSettle:        {jobModels["resume two"], split},
		ruleSilenceIsNoAnswer:    {noWait, split},
		rulePromiseKept:          {wait, split},
		rulePromiseOnDisk:        {noWait, split},
		ruleOrphanedOnDisk:       {lost, split},
		ruleNamesReserved:        {jobModels["two names"], twice},
		ruleWaitPrepared:         {jobModels["patient"], stuck},
		ruleSuspendedStays:       {kept, split},
		ruleNewGeneration:        {back, split},
		ruleReviveOnce:           {two, split},
		ruleTermGrows:            {done, fell},
		ruleFormerClosed:         {done, obeyed},
		rulePrepareAfterDone:     {noWait, early},
		ruleCommitAfterPrepared:  {noWait, split},
		ruleCommitAll:            {done, split},
		rulePrepareAgain:         {killed, split},
		ruleNoDiscardAfterCommit: {noWait, liar},
		ruleNoDiscardAdopted:     {done, split},
		ruleNoDiscardUnanswered:  {done, split},
	}
	for r := everyRule + 1; r < lastRule; r++ {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			m, broken := all[r].model, all[r].broken
			m.without = r
			if r == ruleReviveOnce && !isBig() {
				t.Skip("S4_TEST_BIG is not set")
			}
			if r == ruleNewGeneration && RaceEnabled {
				t.Skip("takes too long with -race, which has nothing to find here")
			}
			n, v, err := m.model().run(maxBigStates)
			t.Logf("%d states", n)
			wantBroken(t, v, err, broken)
		})
	}
}

// wantBroken fails the test unless the model has found what is to be found.
func wantBroken(t *testing.T, v *violation, err error, broken string) {
	t.Helper()
	switch {
	case err != nil:
		t.Error(err)
	case v == nil:
		t.Errorf("nothing breaks, want %q", broken)
	case v.broken != broken:
		t.Errorf("want %q; %v", broken, v)
	case testing.Verbose():
		t.Log(v)
	}
}

func TestShuffleModel(t *testing.T) {
	m := shuffleModel{faults: 3}
	if isBig() {
		m.faults = 5
	}
	n, v, err := m.model().run(maxBigStates)
	t.Logf("%d states with %d faults", n, m.faults)
	if v != nil {
		t.Error(v)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestShuffleModelRules(t *testing.T) {
	const (
		mixed   = "the output of two runs of a task is mixed"
		missing = "a part of a finished task's output is missing"
	)
	all := map[shuffleRule]string{
		ruleReset: mixed, ruleResetFenced: missing, ruleResetOnce: missing, rulePushFenced: mixed,
		ruleEpochsStay: mixed, ruleEpochGrows: mixed, ruleRecordAfterOK: mixed, ruleRunEnds: missing,
	}
	for r := everyShuffleRule + 1; r < lastShuffleRule; r++ {
		t.Run(r.String(), func(t *testing.T) {
			_, v, err := (&shuffleModel{faults: 2, without: r}).model().run(maxStates)
			wantBroken(t, v, err, all[r])
		})
	}
}
