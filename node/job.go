package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// job is this server's part of a job. While it runs or is prepared it has a goroutine,
// see drive. Once it is prepared and its client is lost for good, settle continues it.
// While it waits for a client or is suspended it has no goroutine, see parked.
type job struct {
	node     *Node
	id       uint64
	msg      *wire.Job // replaced by revive, which holds mu
	outdir   string    // of msg
	in       input
	asks     chan ask        // the client's requests, in their order
	attaches chan attachment // a client that takes the place of the one before
	stage    *stage
	started  time.Time
	saved    *wire.Ready // used in place of tasks by a job that was parked

	ctx    context.Context // ends when the job is given up
	cancel context.CancelCauseFunc

	found   atomic.Bool   // tasks is complete, or saved is set
	begun   atomic.Bool   // the job has a record
	began   chan struct{} // closed when its tasks may run
	gone    chan struct{} // closed when it is over, or another job of the node has taken its place
	running atomic.Bool   // its tasks may run, or have run
	log     atomic.Pointer[taskLog]

	// The goroutine's, and its tasks'.
	client      client
	wasOrphaned bool       // when the server was started
	seen        uint64     // tasks that again's client is not to be told of
	met         bool       // it has had another client before, or this one before a loss
	phase       wire.Phase // what it does or waits for; 0 while it looks for its input
	tasks       taskList
	again       *wire.Attach // it was parked, and this took it up again
	epoch       uint64       // of its run of tasks, see wire.Reset
	last        []lastRun    // of a shuffle that was parked, until its tasks run
	env         []string
	pipeline    *exec.Pipeline // what the tasks run without bash, or nil

	done     atomic.Uint64 // tasks
	failed   atomic.Uint64 // tasks
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
	pushed   atomic.Uint64

	now   runningTasks
	final atomic.Pointer[wire.JobInfo] // once the job is over

	fence    *fence    // of what peers push
	manifest *manifest // or nil; of a job that was parked nil, too

	mu       sync.Mutex
	state    wire.JobState   // guarded by mu
	closed   bool            // no more pushes and assets; guarded by mu
	enters   sync.WaitGroup  // receiving now; Add under mu
	link     link            // guarded by mu
	seeking  bool            // a goroutine looks for a driver; guarded by mu
	why      wire.Error      // of a suspended job; guarded by mu
	ended    time.Time       // of a suspended job, see since; guarded by mu
	replaced map[string]bool // files that came along again; guarded by mu
	sealed   *wire.Secrets   // as its client has sent them, or nil; guarded by mu
	secrets  []string        // the variables in it; guarded by mu
	missing  []wire.Task     // of lost servers, see addMissing; guarded by mu
	lost     uint64          // their number; guarded by mu
	without  []uint32        // servers that have no part in the job any more, once it is prepared; guarded by mu
}

// givenUp is the cause of a job's end when its client has discarded it, or is
// gone: there is nobody to tell why.
type givenUp struct{ why *wire.Error }

func (g givenUp) Error() string { return g.why.Error() }
func (g givenUp) Unwrap() error { return g.why }

var errClientGone = givenUp{wire.Errorf(wire.CodeCanceled, "the job's client is gone, or the server that drove it")}

// discarded is the cause of a job that its client has given up.
func discarded(why wire.Error) givenUp {
	if why.Code == 0 {
		why.Code = wire.CodeCanceled
	}
	if why.Text == "" {
		why.Text = "the job was given up"
	}
	return givenUp{&why}
}

// checkJob returns an error for a job that no server can run.
func checkJob(m *wire.Job) (input, error) {
	if m.Verb != wire.VerbMap && m.Verb != wire.VerbMapToN && m.Verb != wire.VerbMapFromN {
		return input{}, wire.Errorf(wire.CodeBadRequest, "unknown verb %d", m.Verb)
	}
	if m.ID == 0 {
		return input{}, wire.Errorf(wire.CodeBadRequest, "a job's id is not 0, which stands for all jobs")
	}
	in, err := jobInput(m)
	if err != nil {
		return in, err
	}
	switch {
	case m.Outdir != "":
		err = names.CheckPrefix(m.Outdir + "/")
	case m.Verb != wire.VerbMap:
		err = wire.Errorf(wire.CodeBadRequest, "a %s writes keys, and this one has no OUTDIR", m.Verb)
	case m.Options&wire.JobResume != 0:
		err = wire.Errorf(wire.CodeBadRequest, "the option resume looks for output, and without OUTDIR there is none")
	}
	if err != nil {
		return in, err
	}
	if m.Batch > 0 && m.Verb != wire.VerbMap {
		return in, wire.Errorf(wire.CodeBadRequest, "a %s takes no batches, only a map", m.Verb)
	}
	return in, wire.CheckCommand(m.Command)
}

// newJob checks and registers a job. From then on pushes and assets for it
// are accepted.
func (n *Node) newJob(m *wire.Job) (*job, error) {
	in, err := checkJob(m)
	if err != nil {
		return nil, err
	}
	switch was, err := n.store.committed(m.ID); {
	case err != nil:
		return nil, storeError(withoutPath(err), "")
	case was:
		return nil, wire.Errorf(wire.CodeExists, "job %016x was published here before", m.ID)
	}
	st, err := n.store.newStage(m.ID)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil, errors.Join(errShutdown, st.remove())
	}
	j := n.makeJob(m, in, st, wire.JobRunning)
	j.started = time.Now()
	if m.Options&(wire.JobManifest|wire.JobKeys) != 0 {
		f, err := createPrivate(filepath.Join(st.path, recordsFile))
		if err != nil {
			return nil, errors.Join(n.store.serverFileError(err), st.remove())
		}
		j.manifest = &manifest{inputOrder: inputOrder{job: m}, records: newRecordWriter(f), all: make(chan struct{})}
	}
	if m.Durable() {
		j.link.term, j.link.driver, j.epoch = 1, m.Driver, 1
	}
	n.jobs[m.ID] = j
	return j, nil
}

// makeJob returns a job without a client.
func (n *Node) makeJob(m *wire.Job, in input, st *stage, state wire.JobState) *job {
	j := &job{
		node:     n,
		id:       m.ID,
		msg:      m,
		outdir:   m.Outdir,
		in:       in,
		asks:     make(chan ask, maxAsks),
		attaches: make(chan attachment, 1),
		stage:    st,
		state:    state,
		fence:    new(fence),
		began:    make(chan struct{}),
		gone:     make(chan struct{}),
	}
	j.ctx, j.cancel = context.WithCancelCause(n.ctx)
	return j
}

// job returns a job that has not ended, or nil.
func (n *Node) job(id uint64) *job {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.jobs[id]
}

// enterJob returns a job that accepts a push or an asset; leave must be called.
func (n *Node) enterJob(id uint64) (*job, error) {
	j := n.job(id)
	if j == nil {
		return nil, wire.Errorf(wire.CodeNoJob, "no job %016x here", id)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, wire.Errorf(wire.CodeNoJob, "job %016x is over", id)
	}
	if j.state == wire.JobSuspended {
		return nil, wire.Errorf(wire.CodeCanceled, "job %016x is suspended", id)
	}
	switch {
	case j.ctx.Err() == nil:
	case context.Cause(j.ctx) == error(errShutdown):
		return nil, errShutdown // it goes on when the server is started again
	default:
		return nil, wire.Errorf(wire.CodeCanceled, "job %016x has failed", id)
	}
	j.enters.Add(1)
	return j, nil
}

func (j *job) leave() { j.enters.Done() }

// accepts checks the name of an output.
func (j *job) accepts(name string) error {
	if !strings.HasPrefix(name, j.outdir+"/") {
		return &wire.Error{Code: wire.CodeBadKey, Key: name, Text: "is not below the job's OUTDIR"}
	}
	return nil
}

// has reports whether an option is set.
func (j *job) has(o wire.JobOption) bool { return j.msg.Options&o != 0 }

// begin opens the job's record before its tasks run.
func (j *job) begin() error {
	if j.tasks.len() > j.tasks.done.count {
		if err := j.prepareTasks(); err != nil {
			return err
		}
	}
	if !j.msg.Durable() { // of a durable one save has written it
		if err := writeInfo(j.stage.path, j.info()); err != nil {
			return storeError(err, "")
		}
	}
	log, err := newTaskLog(j.stage.path, j.msg.Durable())
	if err != nil {
		return err
	}
	r, err := j.newReport(j.seen)
	if err != nil {
		return errors.Join(storeError(withoutPath(err), ""), log.close())
	}
	j.client.Report(r)
	j.log.Store(log)
	j.running.Store(true)
	j.begun.Store(true)
	close(j.began)
	return nil
}

// prepareTasks makes what all tasks share.
func (j *job) prepareTasks() (err error) {
	if j.env, err = j.jobEnv(); err != nil {
		return err
	}
	secrets, err := j.takeSecrets()
	if err != nil {
		return err
	}
	j.env = append(j.env, secrets...)
	if !j.has(wire.JobBash) {
		j.pipeline = exec.NewPipeline(j.msg.Command, j.env)
	}
	if err := j.stage.makeWork(); err != nil {
		return err
	}
	if err := j.node.cfg.Confinement.shareJob(j.stage.path); err != nil {
		return storeError(withoutPath(err), "")
	}
	return nil
}

// wanted reports whether the client is told of a task.
func (j *job) wanted(t *wire.Task) bool {
	return t.State != wire.TaskStopped && (j.has(wire.JobReport) || t.State != wire.TaskDone && isTaskCode(t.Code))
}

// prepare refuses further pushes, reserves the names of the job's output, and promises
// to publish it. All pushes have come by then. without lists the servers that have no
// part in it any more.
func (j *job) prepare(without []uint32) error {
	j.close()
	if j.ctx.Err() != nil {
		return context.Cause(j.ctx)
	}
	for _, key := range j.fence.damaged { // its task would have run again
		return storeError(errStagedDamaged, key)
	}
	if err := j.logMissing(); err != nil {
		return err
	}
	if err := j.stage.prepare(); err != nil {
		return err
	}
	if j.msg.Verb == wire.VerbMapToN && j.tasks.len() > 0 {
		if err := j.writeFinished(); err != nil {
			return err
		}
	}
	j.mu.Lock()
	j.without = without
	j.mu.Unlock()
	if err := j.writePrepared(); err != nil {
		return storeError(err, "")
	}
	if err := j.stage.promise(without); err != nil {
		return err
	}
	if !j.move(jobPromised, nil) {
		return context.Cause(j.ctx)
	}
	return nil
}

// addMissing takes note of a task of another server, which is lost, and which the
// job goes on without. This server drives the job, and has nobody else to tell.
func (j *job) addMissing(t wire.Task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.missing = append(j.missing, t)
	j.lost++
}

// logMissing puts the tasks of lost servers into the job's log. That is done last: a
// driver that takes over meanwhile may find the servers back.
func (j *job) logMissing() error {
	j.mu.Lock()
	tasks := j.missing
	j.missing = nil
	j.mu.Unlock()
	for _, t := range tasks {
		if err := j.log.Load().add(t); err != nil {
			return storeError(withoutPath(err), "")
		}
	}
	return nil
}

// writePrepared writes the info of a job that is about to promise.
func (j *job) writePrepared() error {
	j.mu.Lock() // attach writes it, too
	defer j.mu.Unlock()
	info := j.infoLocked()
	info.State = wire.JobPrepared
	return writeInfo(j.stage.path, info)
}

// close refuses pushes from now on and waits for those under way.
func (j *job) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.enters.Wait()
}

// commit publishes the output of a prepared job. If the decision cannot be written to
// disk, the job stays prepared.
func (j *job) commit() error {
	// Locked, so that no peer is told of a decision that is not on disk yet.
	j.mu.Lock()
	err := j.stage.decide()
	if err == nil {
		j.moveLocked(jobDecided, nil)
	}
	j.mu.Unlock()
	if err == nil {
		err = j.stage.publish()
	}
	if err != nil {
		return err
	}
	j.node.store.count.Add(j.stage.keys.Load())
	j.node.store.bytes.Add(j.stage.bytes.Load())
	return nil
}

// end completes the job's record and removes the job's other files. why is the reason
// if the job was not committed.
func (j *job) end(why error) error {
	j.close()
	j.cancel(nil)
	j.closeInputs()
	state := j.current()
	var errs []error
	if log := j.log.Load(); log != nil {
		errs = append(errs, log.close())
	}
	if j.stage.halfPublished {
		return errors.Join(errs...) // the job stays, also to answer peers that ask
	}
	errs = append(errs, j.stage.clear()) // which also makes room for the record
	// A job that its client gave up before START gets no record.
	if j.begun.Load() || j.found.Load() && !errors.As(why, new(givenUp)) {
		var reason wire.Error
		if state != wire.JobCommitted {
			reason = *toWire(why)
		}
		info := j.info()
		endInfo(info, state, reason)
		j.final.Store(info)
		saved := writeInfo(j.stage.path, info)
		kept := j.node.store.keepRecord(j.stage.path)
		if saved != nil || kept != nil {
			j.node.store.history.keepUnsaved(info)
		} else {
			j.node.store.history.savedNow(j.id)
		}
		errs = append(errs, saved, kept)
	} else {
		errs = append(errs, removeAll(j.stage.path))
	}
	// Last: from now on peers that ask are answered from the files above.
	j.node.mu.Lock()
	delete(j.node.jobs, j.id)
	j.node.mu.Unlock()
	return errors.Join(errs...)
}

// jobEnv returns the variables that all tasks of the job share.
func (j *job) jobEnv() ([]string, error) {
	assets, path, err := j.assets()
	if err != nil {
		return nil, err
	}
	env := append(j.node.env[:len(j.node.env):len(j.node.env)],
		"S4_INDIR="+withScheme(j.msg.Indirs()...), "S4_OUTDIR="+withScheme(j.msg.Outdir),
		fmt.Sprintf("S4_JOB=%016x", j.id), "TMPDIR="+filepath.Join(j.stage.path, taskTmp), "S4_ASSETS="+assets)
	if path != "" {
		env = append(env, "PATH="+path)
	}
	return env, nil
}

// withScheme returns directories as people write them, with spaces between, or nothing if
// there is none.
func withScheme(dirs ...string) string {
	var list []string
	for _, dir := range dirs {
		if dir != "" {
			list = append(list, names.Scheme+dir)
		}
	}
	return strings.Join(list, " ")
}

// release closes the files of a job that stays on disk when the server stops.
func (j *job) release() {
	j.mu.Lock()
	j.link.stop()
	j.mu.Unlock()
	j.cancel(nil)
	if log := j.log.Load(); log != nil {
		log.close()
	}
	if j.stage.tree.root != nil {
		j.stage.tree.close()
	}
}
