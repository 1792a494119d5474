package node

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Observer is told what a node does, for metrics. Many goroutines call its methods at
// once, on the path of requests and tasks: they must be quick and wait for nothing.
type Observer interface {
	// Request is called when a request has been answered: put, push, asset, get, copy, eval, shell,
	// list, remove, stat, verify, count or health. outcome is 0 for OK. took is its time, with
	// that of the bytes that came or went.
	Request(verb string, outcome wire.Code, took time.Duration)
	// Task is called when a run of a task has ended.
	Task(TaskEnd)
	// Job is called when the server's part of a job is over, or suspended.
	Job(verb wire.Verb, state wire.JobState)
}

// TaskEnd says how a run of a task has ended.
type TaskEnd struct {
	Kind  string         // map, map-to-n, map-from-n or eval
	State wire.TaskState // done, failed, retried or stopped
	Wall  time.Duration  // of the command, 0 if it was not run; of a batch, the task's share
	CPU   time.Duration  // of the command and all its children; of a batch, the task's share
}

// nobody is the Observer of a node that has none.
type nobody struct{}

func (nobody) Request(string, wire.Code, time.Duration) {}
func (nobody) Task(TaskEnd)                             {}
func (nobody) Job(wire.Verb, wire.JobState)             {}

// Status is what a node counts and holds, at one moment. Counts begin with 0 when the
// node is made.
type Status struct {
	Keys, Bytes int64  // of published keys
	Free, Total uint64 // bytes of the data file system; Total is 0 if they are not known

	Conns   int   // open connections, from clients and peers
	Refused int64 // connections that were closed for what they began with

	Slots   int   // how many tasks may run at once, also of all nodes of StartLocal
	Running int64 // tasks and evals that hold a slot
	Queued  int64 // tasks of running jobs that have not begun

	Jobs, SuspendedJobs     int    // that are not over, and those of them that are suspended
	Staged, SuspendedStaged uint64 // bytes that they have staged

	Sendfile, Copied int64   // object bytes sent, by sendfile and through a buffer
	Received         int64   // object bytes received
	Pushed           []int64 // bytes of shuffles that arrived at each server of the cluster

	Corrupt int64 // reads of keys that met damaged bytes or a damaged checksum, also by VERIFY and scrubs
}

// Status returns the node's numbers. It costs a system call, and a few locks for a
// moment each.
func (n *Node) Status() Status {
	s := Status{
		Keys: n.store.count.Load(), Bytes: n.store.bytes.Load(),
		Refused: n.refused.Load(),
		Slots:   n.cfg.MaxCPUJobs, Running: n.running.Load(),
		Sendfile: n.stats.Sendfile.Load(), Copied: n.stats.Copied.Load(), Received: n.stats.Received.Load(),
		Pushed:  make([]int64, len(n.pushed)),
		Corrupt: n.corrupt.Load(),
	}
	for i := range n.pushed {
		s.Pushed[i] = n.pushed[i].Load()
	}
	if n.enter() { // else the directory may be closed
		s.Free, s.Total, _ = n.diskSpace()
		n.wg.Done()
	}
	n.mu.Lock()
	s.Conns = len(n.conns)
	jobs := make([]*job, 0, len(n.jobs))
	for _, j := range n.jobs {
		jobs = append(jobs, j)
	}
	n.mu.Unlock()
	for _, j := range jobs { // without n.mu: who needs both takes j.mu first
		s.add(j)
	}
	return s
}

// add adds a job that is not over.
func (s *Status) add(j *job) {
	s.Jobs++
	bytes := uint64(max(0, j.stage.bytes.Load()))
	s.Staged += bytes
	if j.isSuspended() {
		s.SuspendedJobs++
		s.SuspendedStaged += bytes
		return
	}
	if j.running.Load() && j.ctx.Err() == nil {
		p := j.progress()
		s.Queued += max(0, int64(j.ready().Tasks)-int64(p.Tasks+p.Failed+p.Running))
	}
}

// healthy checks what a server must be able to do, and returns the free and all bytes of
// the data file system.
func (n *Node) healthy() (free, total uint64, err error) {
	if err := n.store.writable(); err != nil {
		return 0, 0, storeError(err, "")
	}
	return n.diskSpace()
}

// diskSpace returns the free and all bytes of the data file system.
func (n *Node) diskSpace() (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(n.store.keys.fd(), &fs); err != nil {
		return 0, 0, storeError(err, "")
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize), nil
}

// Healthy returns nil if the node can serve, as HEALTH sees it: it is not stopping, and
// can write to its data directory.
func (n *Node) Healthy() error {
	if !n.enter() {
		return errShutdown
	}
	defer n.wg.Done()
	_, _, err := n.healthy()
	return err
}

// observe tells of a request that began at start and ended with err, and returns the
// code of err, 0 for nil.
func (s *session) observe(verb string, start time.Time, err error) (outcome wire.Code) {
	if err != nil {
		outcome = toWire(err).Code
	}
	switch {
	case outcome == wire.CodeInternal && (s.conn.Broken() || errors.Is(err, xfer.ErrRefused)):
		outcome = wire.CodeCanceled // the client is gone, or wants no more
	case outcome == wire.CodeChecksum && (verb == "get" || verb == "eval" || verb == "stat" || verb == "copy"):
		s.node.corrupt.Add(1) // of a put, the bytes were damaged on their way
	}
	s.node.observer.Request(verb, outcome, time.Since(start))
	return outcome
}

// observeEval tells of the command of an eval that has ended with err.
func (n *Node) observeEval(res exec.Result, err error) {
	state := wire.TaskDone
	switch {
	case err != nil:
		state = wire.TaskStopped
	case res.ExitCode != 0:
		state = wire.TaskFailed
	}
	n.observer.Task(TaskEnd{Kind: "eval", State: state, Wall: res.Wall, CPU: res.User + res.Sys})
}

// observeTask tells of a run of a task. share is how many tasks ran in one command.
func (j *job) observeTask(t *wire.Task, share int) {
	by := time.Duration(max(1, share))
	j.node.observer.Task(TaskEnd{Kind: j.msg.Verb.String(), State: t.State, Wall: time.Duration(t.Wall) / by, CPU: time.Duration(t.User + t.Sys)})
}
