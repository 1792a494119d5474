package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
)

// inputsFile lists the tasks of a durable job on this server, as find has found them:
// a line "skipped N", and for every task "task NAME", where NAME is empty but for a
// merge, and below it "SIZE PATH" for each of its inputs. Names have no space and no
// newline. Where the job has several directories, the number of that one follows: "SIZE
// PATH DIR". Of a manifest a path is a task's name, and behind it stands where its record is:
// "SIZE NAME OFFSET LENGTH XXH64". The last line is "xxh64 SUM", of all before it: a name that is not the one
// that was written would leave a task out, and the job would be published without it.
const inputsFile = "inputs"

const inputsSum = "xxh64"

// save writes what a restart of the server must not lose, before the client hears that
// the job is ready.
func (j *job) save() error {
	f, err := createPrivate(filepath.Join(j.stage.path, inputsFile))
	if err != nil {
		return storeError(j.node.store.serverFileError(err), "")
	}
	var sum xxhash.Digest
	sum.Reset()
	buf := bufio.NewWriter(f) // Flush returns the error
	w := io.MultiWriter(buf, &sum)
	fmt.Fprintf(w, "skipped %d\n", j.tasks.skipped)
	var line []byte // there may be a million
	for i := range j.tasks.len() {
		of, name := []int32{int32(i)}, ""
		if j.tasks.groups != nil {
			of, name = j.tasks.groups[i], j.tasks.names[i]
		}
		line = append(append(append(line[:0], "task "...), name...), '\n')
		for _, k := range of {
			line = append(strconv.AppendInt(line, j.tasks.sizes[k], 10), ' ')
			line = append(line, j.tasks.rels[k]...)
			if j.tasks.records != nil {
				line = append(append(line, ' '), j.tasks.records[k].String()...)
			}
			if j.tasks.dirs != nil {
				line = strconv.AppendInt(append(line, ' '), int64(j.tasks.dirs[k]), 10)
			}
			line = append(line, '\n')
		}
		_, _ = w.Write(line)
	}
	fmt.Fprintf(buf, "%s %016x\n", inputsSum, sum.Sum64())
	if err := errors.Join(buf.Flush(), f.Close()); err != nil {
		return storeError(j.node.store.serverFileError(err), "")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return storeError(writeInfo(j.stage.path, j.infoLocked()), "")
}

// scanInputs calls each, if it is not nil, for every line that save has written. If the
// file is damaged, the error says so, and has the code internal.
func scanInputs(dir string, each func(first, second string) error) error {
	f, err := os.Open(filepath.Join(dir, inputsFile))
	if errors.Is(err, os.ErrNotExist) {
		return wire.Errorf(wire.CodeInternal, "the job's file %q is missing", inputsFile)
	}
	if err != nil {
		return withoutPath(err)
	}
	defer f.Close()
	var sum xxhash.Digest
	sum.Reset()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if text, ok := bytes.CutPrefix(sc.Bytes(), []byte(inputsSum+" ")); ok {
			if string(text) != fmt.Sprintf("%016x", sum.Sum64()) || sc.Scan() {
				return damaged(inputsFile, errors.New("its checksum is wrong"))
			}
			return nil
		}
		_, _ = sum.Write(sc.Bytes())
		_, _ = sum.Write([]byte{'\n'})
		if each == nil {
			continue
		}
		first, second, _ := strings.Cut(sc.Text(), " ")
		if err := each(first, second); err != nil {
			return damaged(inputsFile, err)
		}
	}
	if err := sc.Err(); err != nil {
		return damaged(inputsFile, withoutPath(err))
	}
	return damaged(inputsFile, errors.New("it is cut short"))
}

// readInputs is the reverse of save.
func readInputs(dir string, m *wire.Job) (t taskList, err error) {
	merge := m.Verb == wire.VerbMapFromN
	if merge {
		t.names = []string{}
	}
	manifest := m.Options&wire.JobManifest != 0
	if manifest {
		t.records = []record{}
	}
	err = scanInputs(dir, func(first, second string) (err error) {
		switch first {
		case "skipped":
			t.skipped, err = strconv.ParseInt(second, 10, 64)
		case "task":
			if merge {
				t.names, t.groups = append(t.names, second), append(t.groups, nil)
			}
		default:
			var size int64
			size, err = strconv.ParseInt(first, 10, 64)
			if merge && len(t.groups) > 0 {
				last := len(t.groups) - 1
				t.groups[last] = append(t.groups[last], int32(len(t.rels)))
			}
			if several := len(m.More) > 0; several && err == nil {
				var dir uint64
				name, number, _ := strings.Cut(second, " ")
				if dir, err = strconv.ParseUint(number, 10, 8); err == nil && int(dir) > len(m.More) {
					err = fmt.Errorf("there is no directory %d", dir)
				}
				second, t.dirs = name, append(t.dirs, byte(dir))
			}
			if manifest && err == nil {
				name, at, _ := strings.Cut(second, " ")
				var r record
				r, err = parseRecord(at)
				t.rels, t.sizes, t.records = append(t.rels, name), append(t.sizes, size), append(t.records, r)
				t.bytes += size
				break
			}
			t.rels, t.sizes = append(t.rels, second), append(t.sizes, size)
			t.bytes += size
			t.keys++
		}
		return err
	})
	return t, err
}

// restore finds out which tasks of a job that was parked are done. It removes what the
// others have staged here; see resetPushed for what a shuffle has staged elsewhere.
func (j *job) restore() error {
	t, err := readInputs(j.stage.path, j.msg)
	if found := t.ready(); err == nil && found != *j.saved {
		err = damaged(inputsFile, fmt.Errorf("it lists %d tasks of %d", found.Tasks, j.saved.Tasks))
	}
	if errors.Is(err, wire.CodeInternal) {
		j.move(jobDiscarded, err) // also if it is kept: nobody can go on with it
	}
	if err != nil {
		return storeError(err, "")
	}
	j.tasks = t
	index := make(map[string]int, j.tasks.len())
	for i := range j.tasks.len() {
		index[j.taskKey(i)] = i
	}
	last := make([]lastRun, j.tasks.len())
	j.tasks.runs = make([]uint32, j.tasks.len())
	seen := j.again.Seen
	size, err := readLog(j.stage.path, func(m *wire.Tasks) error {
		for k := range m.List {
			if j.again.Again && j.wanted(&m.List[k]) {
				seen++ // by the client before
			}
			if i, ok := index[m.List[k].Key]; ok {
				t := &m.List[k]
				last[i] = lastRun{t.State, t.BytesIn, t.BytesOut, t.Inputs}
				j.tasks.runs[i] = max(j.tasks.runs[i], t.Attempt)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		j.node.log.Error("a job's log is damaged: what ended after that runs again",
			zap.String("dir", j.stage.path), zap.Int64("whole", size), zap.Error(withoutPath(err)))
	}
	// A killed server may have left a part of a frame at the end.
	if err := os.Truncate(filepath.Join(j.stage.path, logFile), size); err != nil && !errors.Is(err, os.ErrNotExist) {
		return storeError(withoutPath(err), "")
	}
	j.seen = seen
	var p wire.Progress
	j.tasks.done = newTaskSet(j.tasks.len())
	for i, t := range last {
		if j.ctx.Err() != nil {
			return context.Cause(j.ctx)
		}
		switch {
		case t.state == wire.TaskFailed && !j.again.Again && j.has(wire.JobKeepGoing):
			p.Failed++
			p.BytesIn += t.bytesIn
			j.tasks.done.add(i)
			continue
		case t.state == wire.TaskDone:
			if ok, err := j.stillDone(i, t); err != nil {
				return err
			} else if ok {
				p.Tasks++
				p.BytesIn += t.bytesIn
				p.BytesOut += t.bytesOut
				j.tasks.done.add(i)
				continue
			}
		}
		if j.stagesHere() {
			if err := j.stage.unstage(j.output(i)); err != nil {
				return err
			}
		}
	}
	var bad map[string]string
	if j.msg.Verb == wire.VerbMapToN {
		j.last = last
		if j.stage.wasSuspended() {
			if bad, err = j.stage.findDamaged(j.ctx); err != nil {
				return err
			}
		}
	}
	j.fence.staging.Lock() // peers push already
	defer j.fence.staging.Unlock()
	j.fence.damaged = bad
	keys, bytes, err := j.stage.count("")
	if err != nil {
		return err
	}
	j.stage.keys.Store(keys)
	j.stage.bytes.Store(bytes)
	j.done.Store(p.Tasks)
	j.failed.Store(p.Failed)
	j.bytesIn.Store(p.BytesIn)
	j.bytesOut.Store(p.BytesOut)
	return nil
}

// lastRun is what restore needs of the last run of a task. The state is 0 if there was
// none.
type lastRun struct {
	state             wire.TaskState
	bytesIn, bytesOut uint64
	inputs            uint64 // see wire.Task
}

// stillDone reports whether the output of a task that was done is there and, of a job
// that was suspended, is what it was, as are its inputs. What a shuffle has staged is on
// all servers: see resetPushed.
func (j *job) stillDone(i int, t lastRun) (bool, error) {
	again := j.stage.wasSuspended()
	if j.stagesHere() {
		ok, err := j.stage.isWhole(j.ctx, j.output(i), t.bytesOut, again || j.node.store.rebooted)
		if err != nil || !ok {
			return false, err
		}
	}
	if !again {
		return true, nil // the job runs still: an input that is replaced now is not its
	}
	found, err := j.fingerprint(i)
	return found == t.inputs, err
}

// stagesHere reports whether a task's output is one key, on the server that runs it.
func (j *job) stagesHere() bool { return j.msg.Verb != wire.VerbMapToN && j.msg.Outdir != "" }

// tallyLog returns what the log of a job's directory tells of its progress. isOwn tells
// the keys of this server's tasks from those that addMissing was told of.
func tallyLog(dir string, isOwn func(key string) bool) (p wire.Progress, keys uint64) {
	_, _ = readLog(dir, func(m *wire.Tasks) error {
		for i := range m.List {
			t := &m.List[i]
			if !isOwn(t.Key) {
				continue
			}
			switch t.State {
			case wire.TaskDone:
				p.Tasks++
				p.BytesOut += t.BytesOut
				keys += t.Keys
			case wire.TaskFailed:
				p.Failed++
			default:
				continue
			}
			p.BytesIn += t.BytesIn
		}
		return nil
	})
	return p, keys
}

// isOwn reports whether a key belongs on this server.
func (n *Node) isOwn(key string) bool { return n.cfg.Cluster.Place(key) == n.cfg.Index }

// writeFinished writes the list of the inputs of a shuffle that are done.
func (j *job) writeFinished() error {
	l, err := newFinishedList(j.stage.path, j.outdir)
	if err != nil {
		return err
	}
	index := j.relIndex()
	_, err = readLog(j.stage.path, func(m *wire.Tasks) error {
		for i := range m.List {
			if t := &m.List[i]; t.State == wire.TaskDone {
				l.add(j.relOf(t.Key, index), int(t.Keys)) // of two lines for one input the last counts
			}
		}
		return nil
	})
	return errors.Join(err, l.close())
}

// taskSet is a set of tasks.
type taskSet struct {
	bits  []bool
	count int
}

func newTaskSet(n int) taskSet { return taskSet{bits: make([]bool, n)} }

func (s *taskSet) add(i int) {
	s.bits[i] = true
	s.count++
}

func (s *taskSet) remove(i int) {
	s.bits[i] = false
	s.count--
}

func (s *taskSet) has(i int) bool { return s.bits != nil && s.bits[i] }
