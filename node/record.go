package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"s4/wire"
)

// The record of a job, in its directory and later in the history, is two files
// of frames as they cross the wire, so that 's4 frames' prints them: info holds
// a JOBINFO, log the TASKS in the order they ended.
const (
	infoFile = "info"
	logFile  = "log"
)

// readInfo reads the info of a job's directory; os.ErrNotExist if there is none.
func readInfo(dir string) (*wire.JobInfo, error) {
	f, err := os.Open(filepath.Join(dir, infoFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := readFrame(f)
	if err != nil {
		return nil, err
	}
	info, ok := m.(*wire.JobInfo)
	if !ok {
		return nil, fmt.Errorf("%s: a %s frame", f.Name(), m.Type())
	}
	return info, nil
}

// writeInfo replaces the info of a job's directory in one step.
func writeInfo(dir string, info *wire.JobInfo) error {
	name := filepath.Join(dir, infoFile)
	if err := os.WriteFile(name+".new", wire.AppendFrame(nil, 0, wire.FlagChecked, info), 0o644); err != nil {
		return plain(err)
	}
	return plain(os.Rename(name+".new", name))
}

// readFrame reads one frame of a record; io.EOF at the end, and also in the
// middle of a frame that a killed server has not finished.
func readFrame(r io.Reader) (wire.Message, error) {
	var head [wire.HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, io.EOF
	}
	h, err := wire.DecodeHeader(head[:])
	if err != nil {
		return nil, err
	}
	body := make([]byte, h.Len)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, io.EOF
	}
	if body, err = wire.OpenBody(h, body); err != nil {
		return nil, err
	}
	return wire.Decode(h.Type, body)
}

// end closes an info.
func end(info *wire.JobInfo, state wire.JobState, why string) {
	info.State, info.Error = state, why
	info.Ended = time.Now().UnixNano()
	info.Progress.Running = 0
}

// readLog passes on the tasks in the log of a job's directory; os.ErrNotExist if
// there is none.
func readLog(dir string, each func(*wire.Tasks) error) error {
	f, err := os.Open(filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		m, err := readFrame(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		tasks, ok := m.(*wire.Tasks)
		if !ok {
			return fmt.Errorf("%s: a %s frame", f.Name(), m.Type())
		}
		if err := each(tasks); err != nil {
			return err
		}
	}
}

// taskBatch gathers tasks into frames. Its methods may be called by many
// goroutines; a slow write holds up those that add.
type taskBatch struct {
	write func(*wire.Tasks) error

	mu    sync.Mutex
	tasks wire.Tasks // guarded by mu
	size  int        // guarded by mu
	err   error      // the first of write; guarded by mu
}

// add takes a task, and writes what has gathered if that is a frame's worth.
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

// maxLogStderr is how much standard error of tasks that succeeded a job's log
// keeps on a server, in bytes; that of failed ones is always kept. A million
// chatty tasks must not fill the disk with what nobody reads.
const maxLogStderr = 64 << 20

// taskLog is the log of a running job.
type taskLog struct {
	f     *os.File
	batch taskBatch
	room  int // for stderr of tasks that succeeded; guarded by batch.mu
}

func newTaskLog(dir string) (*taskLog, error) {
	f, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, storeError(plain(err), "")
	}
	l := &taskLog{f: f, room: maxLogStderr}
	var buf []byte
	l.batch.write = func(m *wire.Tasks) error {
		buf = wire.AppendFrame(buf[:0], 0, wire.FlagChecked, m)
		_, err := f.Write(buf)
		return err
	}
	return l, nil
}

func (l *taskLog) add(t wire.Task) {
	if t.State == wire.TaskDone && t.Stderr != "" {
		l.batch.mu.Lock()
		l.room -= len(t.Stderr)
		if l.room < 0 {
			t.Stderr = ""
		}
		l.batch.mu.Unlock()
	}
	l.batch.add(t)
}

func (l *taskLog) close() error { return errors.Join(l.batch.flush(), l.f.Close()) }
