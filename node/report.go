package node

import (
	"bufio"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// report tells one client of the tasks in a job's log that it wants to know of, in their
// order.
type report struct {
	f      *os.File
	job    *job
	at     int64  // where the first frame is that was not read yet
	before int64  // how long the log was when the client came
	seen   uint64 // how many tasks before that it has been told of, and not to be told again
	failed bool   // the log cannot be read
}

// newReport returns a report for a client that has been told of the first seen tasks
// which it wants to know of.
func (j *job) newReport(seen uint64) (*report, error) {
	f, err := openFile(filepath.Join(j.stage.path, logFile), unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := &report{f: f, job: j, before: fi.Size(), seen: seen}
	if r.before == 0 {
		r.seen = 0
	}
	return r, nil
}

// send tells the client what is new. The error is one of write.
func (r *report) send(write func(wire.Message) error) error {
	room := int64(64 << 10)
	fi, err := r.f.Stat()
	if err == nil {
		room = min(room, fi.Size()-r.at)
	}
	if r.failed || room <= 0 {
		return nil
	}
	frames := taskFrames{write: func(m *wire.Tasks) error { return write(m) }}
	from := r.at
	in := &countReader{r: bufio.NewReaderSize(io.NewSectionReader(r.f, from, math.MaxInt64-from), int(room))}
	_, err = readTasks(in, func(m *wire.Tasks) error {
		for k := range m.List {
			t := &m.List[k]
			switch {
			case !r.job.wanted(t):
			case r.seen > 0:
				r.seen--
			default:
				frames.add(reported(*t))
			}
		}
		if r.at = from + in.n; r.at >= r.before {
			r.seen = 0 // the log may have lost some of them
		}
		return frames.failed()
	})
	werr := frames.flush()
	if err != nil && werr == nil && !errors.Is(err, os.ErrClosed) {
		r.failed = true
		r.job.node.log.Error("job log", zap.String("job", jobName(r.job.id)), zap.Error(err))
	}
	return werr
}

func (r *report) close() { _ = r.f.Close() }
