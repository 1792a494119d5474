package node

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// taskFrames gathers tasks into frames. Its methods may be called by many
// goroutines; a slow write holds up those that add.
type taskFrames struct {
	write func(*wire.Tasks) error

	mu    sync.Mutex
	tasks wire.Tasks // guarded by mu
	size  int        // guarded by mu
	err   error      // the first of write; guarded by mu
}

// add takes a task. It first writes the tasks gathered so far if they fill a frame.
func (b *taskFrames) add(t wire.Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size+t.TaskSize() > wire.MaxEntries {
		b.flushLocked()
	}
	b.tasks.List = append(b.tasks.List, t)
	b.size += t.TaskSize()
}

// flush writes what has gathered, and returns the first error of any write.
func (b *taskFrames) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
	return b.err
}

// failed returns the first error of any write.
func (b *taskFrames) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *taskFrames) flushLocked() {
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

// taskLog is the log of a running job. What the job's client is told of tasks is read
// from it: see report.
type taskLog struct {
	f       *os.File
	durable bool // every task is written at once

	frames taskFrames // to f; has a lock of its own

	mu     sync.Mutex
	done   int // room for stderr of runs that succeeded; guarded by mu
	failed int // and of those that failed; guarded by mu
}

func newTaskLog(dir string, durable bool) (*taskLog, error) {
	f, err := openFile(filepath.Join(dir, logFile), unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	if err != nil {
		return nil, storeError(withoutPath(err), "")
	}
	l := &taskLog{f: f, durable: durable, done: maxDoneStderr, failed: maxFailedStderr}
	var buf []byte
	l.frames.write = func(m *wire.Tasks) error {
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
	l.frames.add(t)
	if l.durable {
		err = l.frames.flush()
	}
	return err
}

// reported is a task as the client is told of it.
func reported(t wire.Task) wire.Task {
	if t.State == wire.TaskDone {
		t.Stderr = "" // is kept in the log only
	}
	return t
}

// flush writes to the log what has gathered.
func (l *taskLog) flush() error { return l.frames.flush() }

func (l *taskLog) close() error { return errors.Join(l.flush(), l.f.Close()) }
