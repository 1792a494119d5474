package node

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/nathants/s4/wire"
)

// taskBatch gathers tasks into frames. Its methods may be called by many
// goroutines; a slow write holds up those that add.
type taskBatch struct {
	write func(*wire.Tasks) error

	mu    sync.Mutex
	tasks wire.Tasks // guarded by mu
	size  int        // guarded by mu
	err   error      // the first of write; guarded by mu
}

// add takes a task. It first writes the tasks gathered so far if they fill a frame.
func (b *taskBatch) add(t wire.Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size+t.TaskSize() > wire.MaxEntries {
		b.flushLocked()
	}
	b.tasks.List = append(b.tasks.List, t)
	b.size += t.TaskSize()
}

// flush writes what has gathered, and returns the first error of any write.
func (b *taskBatch) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
	return b.err
}

func (b *taskBatch) flushLocked() {
	if len(b.tasks.List) == 0 {
		return
	}
	if b.err == nil {
		b.err = b.write(&b.tasks)
	}
	clear(b.tasks.List) // the strings
	b.tasks.List, b.size = b.tasks.List[:0], 0
}

// How many bytes of standard error a job's log keeps on a server: of runs that
// succeeded, of runs that failed, and of each failed run once the latter is used up.
// The limits keep a million chatty tasks from filling the disk.
const (
	maxDoneStderr   = 64 << 20
	maxFailedStderr = 256 << 20
	minFailedStderr = 256
)

// taskLog is the log of a running job. It tells the job's client of the tasks that
// it wants to know of, in the order of the log.
type taskLog struct {
	f       *os.File
	durable bool                  // every task is written at once
	wanted  func(*wire.Task) bool // by the client

	batch taskBatch // to f; has a lock of its own

	// mu keeps the log and what the client is told in one order. A slow client may hold
	// up those that hold it, so only tasks that end and the job's goroutine take it.
	mu     sync.Mutex
	report *taskBatch // to the client, or nil; guarded by mu
	done   int        // room for stderr of runs that succeeded; guarded by mu
	failed int        // and of those that failed; guarded by mu
}

func newTaskLog(dir string, durable bool) (*taskLog, error) {
	f, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, storeError(withoutPath(err), "")
	}
	l := &taskLog{f: f, durable: durable, done: maxDoneStderr, failed: maxFailedStderr}
	var buf []byte
	l.batch.write = func(m *wire.Tasks) error {
		buf = wire.AppendFrame(buf[:0], 0, wire.FlagChecked, m)
		_, err := f.Write(buf)
		return err
	}
	return l, nil
}

// add takes a task that has ended. If the log is durable, an error says that the task
// is not in it.
func (l *taskLog) add(t wire.Task) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.State == wire.TaskDone:
		if l.done -= len(t.Stderr); l.done < 0 {
			t.Stderr = ""
		}
	default:
		if l.failed -= len(t.Stderr); l.failed < 0 {
			t.Stderr = t.Stderr[max(0, len(t.Stderr)-minFailedStderr):]
		}
	}
	l.batch.add(t)
	if l.durable {
		err = l.batch.flush()
	}
	if l.report != nil && l.wanted(&t) {
		l.report.add(reported(t))
	}
	return err
}

// reportTo returns a batch that goes to a client.
func reportTo(c client) *taskBatch {
	return &taskBatch{write: func(m *wire.Tasks) error { return c.Send(m) }}
}

// reported is a task as the client is told of it.
func reported(t wire.Task) wire.Task {
	if t.State == wire.TaskDone {
		t.Stderr = "" // is kept in the log only
	}
	return t
}

// flush writes to the log what has gathered. It does not wait for the client.
func (l *taskLog) flush() error { return l.batch.flush() }

// tell sends to the client what has gathered.
func (l *taskLog) tell() error {
	l.mu.Lock()
	report := l.report
	l.mu.Unlock()
	return report.flush() // not locked: a slow client holds up only tasks that it wants to know of
}

// attach calls meet, and then tells a client that has taken the place of another of all
// tasks it wants to know of, but for the first seen ones. No task ends meanwhile.
func (l *taskLog) attach(dir string, c client, seen uint64, meet func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.batch.flush()
	l.report = reportTo(c)
	meet()
	_, err := readLog(dir, func(m *wire.Tasks) error {
		for _, t := range m.List {
			switch {
			case !l.wanted(&t):
			case seen > 0:
				seen--
			default:
				l.report.add(reported(t))
			}
		}
		return nil
	})
	_ = l.report.flush()
	return err
}

func (l *taskLog) close() error { return errors.Join(l.flush(), l.f.Close()) }
