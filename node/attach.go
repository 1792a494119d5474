package node

import (
	"errors"
	"io"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// A job that has a Wait outlives the connection to its client. Its tasks go on
// meanwhile, and the same client, or another one, takes it up with ATTACH.

// link is a job's connection to its client. job.mu guards it.
type link struct {
	client *jobSession // nil while it is lost
	term   uint64      // of JOB or the last ATTACH
	driver uint64      // of the same: tells the clients of a job apart
	timer  *time.Timer // ends the job unless a client comes; nil if there is none
	came   time.Time   // when the last client did
	end    time.Time   // of the last wait for one
}

// visit is how long a client stays at least. One that is lost sooner has done nothing, most
// likely: a driver that takes over leaves when it finds that another server cannot be
// taken over, and tries again. The wait goes on as if it had not come, or it had no end.
const visit = time.Second

// stop stops the timer.
func (l *link) stop() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// attachment is a client that a running or prepared job is handed to.
type attachment struct {
	client *jobSession
	seen   uint64 // tasks that it has been told of
}

// closedGrace is how long a job whose connection was closed or reset waits for an
// ATTACH at least. The client has ended, most likely: the kernel closes the connections
// of a killed process, or resets those with bytes that it has not read. But something
// on the way may have done it, too. Then the client has its connections to other
// servers still, which are asked after that, and again every so often.
const (
	closedGrace = 5 * time.Second
	askPause    = 2 * time.Second
)

// patience returns how long a job waits for a client that is lost.
func (j *job) patience() time.Duration { return time.Duration(min(j.msg.Wait, 1<<62)) }

// isClosed reports whether a connection that was lost because of err was ended by the
// other end, or something in between.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// lose notes that a client's connection is lost, because of err.
func (j *job) lose(js *jobSession, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.link.client != js {
		return
	}
	wait := j.patience()
	if j.wantsInputs() || wait == 0 && (!j.msg.Durable() || j.node.ctx.Err() == nil) {
		j.moveLocked(jobLost, errClientGone)
		js.out.drop()
		return // the job's goroutine ends js
	}
	j.link.client = nil
	if isDriven(j.state) && j.node.ctx.Err() == nil { // or it is about to end, or to be parked
		j.awaitClient(isClosed(err) && !j.has(wire.JobDriven))
	}
	js.end()
}

// awaitClient ends the job if no client comes in time; j.mu is held. closed says that
// the client has ended, most likely.
func (j *job) awaitClient(closed bool) {
	j.node.log.Info("the job waits for its client", zap.String("job", jobName(j.id)), zap.Duration("wait", j.patience()), zap.Bool("closed", closed))
	j.link.stop()
	now := time.Now()
	end := now.Add(j.patience())
	if !j.link.end.IsZero() && now.Sub(j.link.came) < visit {
		end = j.link.end
	}
	j.link.end = end
	grace := now.Add(closedGrace)
	var timer *time.Timer
	timer = time.AfterFunc(min(max(end.Sub(now), 0), askPause), func() {
		if !j.node.enter() {
			return
		}
		defer j.node.wg.Done()
		left := time.Until(end)
		switch {
		case j.current() == wire.JobPrepared && j.node.isCommitted(j):
			// The client has told others COMMIT before it was lost.
			j.ask(ask{t: wire.TypeCommit, settled: true})
			left = askPause
		case j.current() == wire.JobWaiting && j.endedElsewhere(timer):
			return
		case left > 0 && !(closed && time.Now().After(grace) && j.node.isClientGone(j.id)):
		default:
			j.expire(timer)
			return
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.link.timer == timer {
			timer.Reset(min(max(left, 0), askPause))
		}
	})
	j.link.timer = timer
	if j.has(wire.JobDriven) {
		j.node.takeOverLater(j)
	}
}

// expire ends a job that has waited for a client in vain, unless one has come.
func (j *job) expire(timer *time.Timer) {
	j.mu.Lock()
	was, moved := j.state, false
	if j.link.timer == timer {
		moved = j.moveLocked(jobLost, errClientGone)
		if !moved && was == wire.JobPrepared {
			timer.Reset(settleMost) // the disk is full, perhaps
		} else {
			j.link.timer = nil
		}
	}
	j.mu.Unlock()
	if moved && !isDriven(was) {
		j.node.endParked(j)
	}
}

// abandon ends a job that waits for a client, because none can take it up: what was
// prepared is settled.
func (j *job) abandon() {
	j.mu.Lock()
	was, moved := j.state, false
	if j.link.client == nil {
		if moved = j.moveLocked(jobLost, errClientGone); moved {
			j.link.stop()
		}
	}
	j.mu.Unlock()
	if moved && !isDriven(was) {
		j.node.endParked(j)
	}
}

// endedElsewhere ends a job that waits for a client, if nobody can take it up because it
// is over on the other servers.
func (j *job) endedElsewhere(timer *time.Timer) bool {
	why := j.node.overElsewhere(j.id)
	if why == nil {
		return false
	}
	j.mu.Lock()
	moved := j.link.timer == timer && j.state == wire.JobWaiting && j.moveLocked(jobDiscarded, discarded(*why))
	j.mu.Unlock()
	if moved {
		j.node.endParked(j)
	}
	return moved
}

// giveUp applies DISCARD or SUSPEND of a client, if it still is the job's.
func (j *job) giveUp(js *jobSession, e event, why wire.Error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.link.client == js {
		j.moveLocked(e, discarded(why))
	}
}

// attach hands the job to a client, or returns why not.
func (j *job) attach(js *jobSession, m *wire.Attach) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state == wire.JobCommitted:
		return wire.Errorf(wire.CodeUnavailable, "job %016x is being published", m.Job)
	case isOver(j.state):
		return wire.Errorf(wire.CodeNoJob, "job %016x is over", m.Job)
	case j.node.ctx.Err() != nil:
		return errShutdown // the job's goroutine may have ended already
	case j.state == wire.JobOrphaned:
		return wire.Errorf(wire.CodeUnavailable, "the servers settle what becomes of job %016x", m.Job)
	case j.state == wire.JobSuspended && j.ended.IsZero():
		return wire.Errorf(wire.CodeUnavailable, "job %016x is being suspended", m.Job)
	case j.state == wire.JobSuspended && !m.Again:
		return wire.Errorf(wire.CodeCanceled, "job %016x is suspended", m.Job)
	case j.state == wire.JobSuspended && m.Term>>32 <= j.link.term>>32:
		return wire.Errorf(wire.CodeExists, "job %016x was resumed by another client, at term %d", m.Job, j.link.term)
	case !j.msg.Durable():
		return wire.Errorf(wire.CodeExists, "job %016x has a client, and ends with its connection", m.Job)
	case m.Term <= j.link.term, j.link.client != nil && j.link.driver != m.Driver:
		return wire.Errorf(wire.CodeExists, "job %016x has another client, at term %d", m.Job, j.link.term)
	case j.wantsInputs():
		// The rest of its tasks was lost on the way. Another JOB can bring all.
		j.moveLocked(jobDiscarded, discarded(*errInputsLost))
		return errInputsLost
	}
	if !isDriven(j.state) {
		return j.revive(js, m)
	}
	if err := j.take(js, m, j.infoLocked()); err != nil {
		return err
	}
	select {
	case old := <-j.attaches: // it has not been met, and is gone
		old.client.end()
	default:
	}
	j.attaches <- attachment{js, m.Seen}
	return nil
}

// errInputsLost is why a job ends that has lost its client before all its tasks had come.
var errInputsLost = wire.Errorf(wire.CodeUnavailable, "the connection was lost before all tasks of the manifest had come")

// take makes js the job's client, in place of the one before. It writes info, with the
// new term, to the disk first: a server that forgets the term could be attached to an
// older client. j.mu is held.
func (j *job) take(js *jobSession, m *wire.Attach, info *wire.JobInfo) error {
	info.Term, info.Job.Driver = m.Term, m.Driver
	if err := writeInfo(j.stage.path, info); err != nil {
		return storeError(j.node.store.serverFileError(err), "")
	}
	j.link.stop()
	j.forget()
	before := j.link.client
	j.link.term, j.link.driver, j.link.client = m.Term, m.Driver, js
	j.link.came = time.Now()
	if before != nil {
		before.end()
		before.Close()
	}
	return nil
}

// meet hands the job's goroutine to another client.
func (j *job) meet(a attachment) {
	if old := j.client; old != nil && old != client(a.client) {
		old.Close()
	}
	j.client, j.met = a.client, true
	j.client.Send(j.attached(a.seen))
	log := j.log.Load()
	if log == nil || j.phase < wire.PhaseRunning {
		j.seen = a.seen // begin goes on from there
		return
	}
	_ = log.flush() // its error is the job's
	r, err := j.newReport(a.seen)
	if err != nil {
		j.node.log.Error("job log", zap.String("job", jobName(j.id)), zap.Error(err))
		return
	}
	j.client.Report(r)
	j.client.Tell()
}

// attached is the answer to ATTACH of a client that has been told of some tasks.
func (j *job) attached(seen uint64) *wire.Attached {
	return &wire.Attached{
		Seen:     seen,
		Phase:    j.phase,
		Ready:    j.ready(),
		Progress: j.progress(),
		Keys:     uint64(j.stage.keys.Load()),
		Bytes:    uint64(j.stage.bytes.Load()),
	}
}
