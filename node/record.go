package node

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nathants/s4/wire"
)

// The record of a job is two files, in the job's directory and later in the history.
// They hold frames as they cross the wire, so that 's4 frames' prints them: info holds
// a JOBINFO, and after it a TRAFFIC once a shuffle has stopped; log the TASKS in the order
// they ended.
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

// writeInfo replaces the info of a job's directory in one step. more stands after it.
func writeInfo(dir string, info *wire.JobInfo, more ...wire.Message) error {
	name := filepath.Join(dir, infoFile)
	b := wire.AppendFrame(nil, 0, wire.FlagChecked, info)
	for _, m := range more {
		b = wire.AppendFrame(b, 0, wire.FlagChecked, m)
	}
	if err := writeFile(name+".new", b); err != nil {
		return withoutPath(err)
	}
	return withoutPath(rename(name+".new", name))
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
	if body, err = wire.OpenBody(h, body, true); err != nil {
		return nil, err
	}
	return wire.Decode(h.Type, body)
}

// endInfo sets how a job ended, and when.
func endInfo(info *wire.JobInfo, state wire.JobState, why wire.Error) {
	info.State, info.Why = state, why
	info.Ended = time.Now().UnixNano()
	info.Attached = false
	info.Progress.Running = 0
}

// readLog passes on the tasks in the log of a job's directory; os.ErrNotExist if
// there is none. It returns the length in bytes of the whole frames before the end, or
// before the one that could not be read.
func readLog(dir string, each func(*wire.Tasks) error) (size int64, err error) {
	f, err := os.Open(filepath.Join(dir, logFile))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return readTasks(&countReader{r: bufio.NewReaderSize(f, 64<<10)}, each)
}

// readTasks is readLog of a log that is open.
func readTasks(r *countReader, each func(*wire.Tasks) error) (size int64, err error) {
	for {
		m, err := readFrame(r)
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		size = r.n
		tasks, ok := m.(*wire.Tasks)
		if !ok {
			return size, fmt.Errorf("%s: a %s frame", logFile, m.Type())
		}
		if err := each(tasks); err != nil {
			return size, err
		}
	}
}

// countReader counts the bytes that are read from r.
type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
