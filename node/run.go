package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// stderrTail is how much of a task's standard error is kept.
const stderrTail = 16 << 10

// run runs all tasks. The first failure stops the others, unless the job is
// to keep going.
func (j *job) run() error {
	left := j.tasks.len() - j.tasks.done.count
	if left == 0 {
		return context.Cause(j.ctx)
	}
	if j.msg.Batch > 0 {
		j.runBatches()
		return context.Cause(j.ctx)
	}
	// A worker holds a task slot only while its command runs, so that other commands
	// run while it hashes, stages and pushes output. The number of workers is limited,
	// so that a server whose peers or disk are slow does not start commands faster
	// than it can store their output.
	workers := min(left, j.node.cfg.MaxCPUJobs+j.node.cfg.MaxIOJobs)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			w := new(worker)
			defer w.last.close()
			for j.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= j.tasks.len() {
					return
				}
				if j.tasks.done.has(i) {
					continue
				}
				j.taskEnded(j.task(i, w))
			}
		})
	}
	wg.Wait()
	return context.Cause(j.ctx)
}

// worker is what one goroutine keeps from task to task.
type worker struct {
	last lastDir // of the stage
	buf  []byte  // for printedFile.sum
}

// taskEnded counts a task that has ended for good, with err. Unless the job is to keep
// going, a task that failed fails the job.
func (j *job) taskEnded(err error) {
	switch {
	case err == nil:
		j.done.Add(1)
	case j.ctx.Err() != nil:
	case isTaskError(err):
		j.failed.Add(1)
		if !j.has(wire.JobKeepGoing) {
			j.move(jobFailed, err)
		}
	default:
		j.move(jobFailed, err)
	}
}

// fatal is an error of a task that fails the whole job, because a part of the task's
// output may be staged already.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// isTaskError reports whether err is of one task's command or input, and not
// of the server or the job.
func isTaskError(err error) bool {
	if errors.As(err, new(fatal)) {
		return false
	}
	return isTaskCode(toWire(err).Code)
}

// isTaskCode reports whether an error of this code may be of one task's command or
// input.
func isTaskCode(code wire.Code) bool {
	switch code {
	case wire.CodeTaskFailed, wire.CodeNotFound, wire.CodeBadKey, wire.CodeChecksum:
		return true
	}
	return false
}

// task runs one task, as often as the job allows, and records every attempt. Those of
// before a restart or a resume count on, but not as retries.
func (j *job) task(i int, w *worker) error {
	before := j.tasks.ran(i)
	for attempt := before + 1; ; attempt++ {
		t := wire.Task{State: wire.TaskDone, Attempt: attempt, Start: time.Now().UnixNano(), Key: j.taskKey(i)}
		err := j.attempt(i, w, &t)
		if j.ctx.Err() != nil {
			j.stopped(&t, 1)
			return context.Cause(j.ctx)
		}
		again := mayHelp(err) && attempt-before <= j.msg.Retries
		if err = j.record(&t, 1, err, again); !again {
			return err
		}
	}
}

// stopped records a run of a task that was stopped because the job is over. share is how
// many tasks ran in one command.
func (j *job) stopped(t *wire.Task, share int) {
	if t.Wall > 0 { // its command has run
		t.State = wire.TaskStopped
		_ = j.log.Load().add(*t) // the job has a reason of its own
		j.observeTask(t, share)
	}
	j.now.remove(t)
}

// mayHelp reports whether a task that ended with err may end otherwise if it is run
// again.
func mayHelp(err error) bool {
	return err != nil && isTaskError(err) && !errors.Is(err, wire.CodeChecksum) // damaged input stays damaged
}

// record puts a run of a task that has ended with err into the log. again says that the
// task is run again, and share how many tasks ran in one command. The error is err, or
// that of the log.
func (j *job) record(t *wire.Task, share int, err error, again bool) error {
	if err != nil {
		t.State, t.Code, t.Error = wire.TaskFailed, toWire(err).Code, toWire(err).Text
		if again {
			t.State = wire.TaskRetried
		}
	}
	j.observeTask(t, share)
	lerr := j.log.Load().add(*t)
	j.now.remove(t) // after log.add, so that a task is always in one of both
	if lerr != nil && err == nil && j.msg.Durable() {
		return storeError(j.node.store.serverFileError(lerr), t.Key)
	}
	if !again {
		j.bytesIn.Add(t.BytesIn)
	}
	return err
}

// attempt runs a task's command once and stages its output. It notes in t what
// the command used and wrote.
func (j *job) attempt(i int, w *worker, t *wire.Task) (err error) {
	// Take the slot first: a task that waits for one should hold no files open.
	release, err := j.node.takeSlot(j.ctx, j.id)
	if err != nil {
		return err
	}
	defer release()
	keys, size := j.inputs(i)
	t.BytesIn = uint64(size)
	dir := filepath.Join(j.stage.path, workDir, strconv.Itoa(i))
	if t.Attempt > 1 {
		dir += "." + strconv.Itoa(int(t.Attempt)) // the last attempt's may be left, if it could not be removed
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return storeError(j.node.store.serverFileError(err), keys[0])
	}
	err = j.node.cfg.Confinement.give(dir)
	defer func() {
		// Most commands leave it empty.
		if unix.Rmdir(dir) != nil {
			err = errors.Join(err, removeAll(dir))
		}
	}()
	if err != nil {
		return storeError(err, keys[0])
	}
	in, read, err := j.open(i, keys, t)
	if in != nil {
		defer in.Close()
	}
	defer read.close()
	if err != nil {
		return err
	}
	if j.msg.Outdir == "" {
		return j.dropOutput(i, dir, keys, in, read, t)
	}
	out, err := j.node.store.create()
	if err != nil {
		return storeError(err, keys[0])
	}
	defer out.Close()
	err = j.command(i, dir, keys, in, out.File, t)
	release()
	if err := read.verify(err); err != nil {
		return err
	}
	if j.msg.Verb == wire.VerbMapToN {
		return j.shuffle(i, dir, keys[0], out.File, w, t)
	}
	n, sum, err := hashFile(j.ctx, out.File, -1)
	if err != nil {
		return storeError(err, keys[0])
	}
	if err := j.stage.add(out, &w.last, j.output(i), n, sum); err != nil {
		return err
	}
	t.BytesOut, t.Keys = uint64(n), 1
	j.bytesOut.Add(t.BytesOut)
	return nil
}

// dropOutput is the rest of attempt for a job that writes no keys.
func (j *job) dropOutput(i int, dir string, keys []string, in *xfer.File, read *taskInputs, t *wire.Task) error {
	null, err := openFile(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return storeError(j.node.store.serverFileError(err), keys[0])
	}
	defer null.Close()
	return read.verify(j.command(i, dir, keys, in, null, t))
}

// open returns the task's inputs, and the command's standard input, unless that is nil:
// the key's file itself, or for the merge a file that lists the paths of the group's
// files, one a line. Both are to be closed also after an error.
func (j *job) open(i int, keys []string, t *wire.Task) (stdin *xfer.File, read *taskInputs, err error) {
	if j.tasks.records != nil {
		stdin, err = j.openRecord(i, t)
		return stdin, new(taskInputs), err
	}
	if j.msg.Verb != wire.VerbMapFromN {
		return j.openInput(t, keys[0])
	}
	if stdin, err = j.groupList(keys); err != nil {
		return nil, new(taskInputs), err
	}
	read, err = j.openInputs(t, keys)
	return stdin, read, err
}

// groupList returns the standard input of a merge task.
func (j *job) groupList(keys []string) (*xfer.File, error) {
	paths := make([]string, len(keys))
	for i, key := range keys {
		paths[i] = j.node.store.file(key)
	}
	return j.pathList(paths, keys[0])
}

// pathList returns a file that lists paths, one a line, for a command to read. key is
// for errors.
func (j *job) pathList(paths []string, key string) (*xfer.File, error) {
	return j.stdinFile(key, func(w *bufio.Writer) {
		for _, path := range paths {
			_, _ = w.WriteString(path) // Flush returns the error
			_ = w.WriteByte('\n')
		}
	})
}

// stdinFile returns a file for a command to read, with what write writes. key is for
// errors.
func (j *job) stdinFile(key string, write func(*bufio.Writer)) (*xfer.File, error) {
	t, err := j.node.store.create()
	if err != nil {
		return nil, storeError(err, key)
	}
	w := bufio.NewWriter(t)
	write(w)
	err = w.Flush()
	if err == nil {
		_, err = t.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = j.node.cfg.Confinement.openTo(t.File)
	}
	if err != nil {
		t.Close()
		return nil, storeError(err, key)
	}
	return t.File, nil
}

// command runs the task's command.
func (j *job) command(i int, dir string, keys []string, in, out exec.File, t *wire.Task) error {
	j.now.add(t)
	return j.runCommand(exec.Cmd{Dir: dir, DirIsReal: j.stage.real, Env: j.taskEnv(i, keys), Stdin: in, Stdout: out}, t)
}

// runCommand runs the job's command as c says, and notes in t what it used.
func (j *job) runCommand(c exec.Cmd, t *wire.Task) error {
	c.Bash, c.Script, c.StderrTail = j.node.bash, j.msg.Command, stderrTail
	c.Pipeline = j.pipeline
	c.Timeout = time.Duration(min(j.msg.Timeout, math.MaxInt64))
	j.node.cfg.Confinement.apply(&c)
	res, err := exec.Run(j.ctx, c)
	if !res.Start.IsZero() {
		t.Runner = wire.RunnerBash
		if res.Direct {
			t.Runner = wire.RunnerExec
		}
		t.Start, t.Wall = res.Start.UnixNano(), uint64(res.Wall)
		t.User, t.Sys, t.MaxRSS = uint64(res.User), uint64(res.Sys), uint64(res.MaxRSS)
		t.Exit, t.Signal, t.Stderr = int32(res.ExitCode), byte(res.Signal), string(res.Stderr)
	}
	if err != nil {
		return err
	}
	if res.ExitCode == 0 || res.ExitCode > 0 && strings.IndexByte(j.msg.OKExit, byte(res.ExitCode)) >= 0 {
		return nil
	}
	e := &wire.Error{
		Code:   wire.CodeTaskFailed,
		Key:    t.Key,
		Text:   "command failed: " + exec.ExitText(res),
		Exit:   t.Exit,
		Signal: t.Signal,
		Stderr: t.Stderr,
	}
	j.node.log.Warn("task failed", zap.String("job", jobName(j.id)), zap.String("key", e.Key),
		zap.String("outcome", exec.ExitText(res)), zap.String("stderr", lastPart(e.Stderr)))
	return e
}

// lastPart returns the end of stderr, as much as a log line should hold.
func lastPart(s string) string { return s[max(0, len(s)-512):] }

// hashFile returns size and xxh64 of what is in f, whatever its offset. It stops when ctx
// ends, with the cause. size is as of verifyFile.
func hashFile(ctx context.Context, f *xfer.File, size int64) (int64, uint64, error) {
	n, sum, err := xfer.Hash(&contents{ctx: ctx, fd: int(f.Fd()), size: size})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return n, sum, err
}
