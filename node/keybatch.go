package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
)

// A map may give many keys to one command, for programs that are slow to start. All
// else stays as it is, key by key: what is logged, retried, restored and published. If
// the command fails, nobody can tell which key was to blame, so it is run again for each
// half of its keys. In the end a key has failed only if it fails alone. One bad key among
// n costs two log n starts and n more keys, so a job of few bad keys still is cheap.

// maxArgs is how many bytes of paths a command gets as arguments at most. The kernel
// takes a quarter of the stack's limit, 8 MiB by default, for arguments and environment
// together, and 128 KiB in any case (execve(2), "Limits on size of arguments and
// environment").
const maxArgs = 512 << 10

// runBatches runs all tasks of a job with batches.
func (j *job) runBatches() {
	slots := j.node.cfg.MaxCPUJobs
	left := j.tasks.len() - j.tasks.done.count
	// No more keys for one command than leave something for every slot.
	most := min(int(min(j.msg.Batch, wire.MaxCount)), (left+slots-1)/slots)
	room := argsRoom()
	next := 0
	var mu sync.Mutex // guards next
	take := func() (list []int) {
		mu.Lock()
		defer mu.Unlock()
		size := 0
		for next < j.tasks.len() && len(list) < most {
			if j.tasks.done.has(next) {
				next++
				continue
			}
			// A terminating zero and a pointer belong to each.
			size += j.batchPathLen(next) + 1 + 8
			if size > room && len(list) > 0 {
				break
			}
			list = append(list, next)
			next++
		}
		return list
	}
	var wg sync.WaitGroup
	for range min((left+most-1)/most, slots+j.node.cfg.MaxIOJobs) {
		wg.Go(func() {
			for j.ctx.Err() == nil {
				list := take()
				if list == nil {
					return
				}
				j.runBatch(list, 1)
			}
		})
	}
	wg.Wait()
}

// batchPathLen returns how long the path is at most that a command of a batch gets for a
// task.
func (j *job) batchPathLen(i int) int {
	if j.tasks.records != nil {
		return len(j.stage.path) + len("/tasks/.files/.record") + 3*20 // and three numbers
	}
	return len(j.node.store.file(j.taskKey(i)))
}

// argsRoom returns how many bytes of arguments a command of this process can have.
func argsRoom() int {
	var stack unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_STACK, &stack) != nil {
		return maxArgs / 8
	}
	return int(min(stack.Cur/8, maxArgs)) // half is for the environment
}

// runBatch runs tasks until each is done or has failed for good. attempt counts the
// runs of each.
func (j *job) runBatch(list []int, attempt uint32) {
	if len(list) == 1 {
		for retry := uint32(0); j.runAlone(list[0], attempt+retry, retry); retry++ {
		}
		return
	}
	b := j.newKeyBatch(list, attempt)
	err := b.run()
	if j.ctx.Err() != nil {
		b.stopped()
		return
	}
	var ran, single []int // to run again: in halves, and each alone
	for _, bt := range b.tasks {
		again := false
		switch {
		case bt.err != nil:
			if again = mayHelp(bt.err); again {
				single = append(single, bt.i)
			}
		case err != nil:
			bt.err = err
			if again = mayHelp(err); again {
				ran = append(ran, bt.i)
			}
		}
		if err := j.record(&bt.t, b.ran, bt.err, again); !again {
			j.taskEnded(err)
		}
	}
	half := (len(ran) + 1) / 2
	for _, part := range [][]int{ran[:half], ran[half:]} {
		if len(part) > 0 && j.ctx.Err() == nil {
			j.runBatch(part, attempt+1)
		}
	}
	for _, i := range single {
		if j.ctx.Err() == nil {
			j.runBatch([]int{i}, attempt+1)
		}
	}
}

// runAlone runs a task with no other beside it, and reports whether to do so again. retry
// counts how often it has been.
func (j *job) runAlone(i int, attempt, retry uint32) (again bool) {
	b := j.newKeyBatch([]int{i}, attempt)
	err := b.run()
	if j.ctx.Err() != nil {
		b.stopped()
		return false
	}
	bt := b.tasks[0]
	if bt.err == nil {
		bt.err = err
	}
	again = mayHelp(bt.err) && retry < j.msg.Retries
	if err := j.record(&bt.t, b.ran, bt.err, again); !again {
		j.taskEnded(err)
	}
	return again
}

// keyBatch is one run of the command for several tasks.
type keyBatch struct {
	job   *job
	tasks []*batchTask
	dir   string // where the command runs
	files string // has what it reads and writes: see batchFile
	held  int    // inputs that are open, to be hashed after the command
	ran   int    // tasks that the command ran for
	last  lastDir
}

// newKeyBatch prepares a run of tasks. attempt counts the runs of each.
func (j *job) newKeyBatch(list []int, attempt uint32) *keyBatch {
	b := &keyBatch{job: j}
	for _, i := range list {
		b.tasks = append(b.tasks, &batchTask{
			i:   i,
			key: j.taskKey(i),
			t:   wire.Task{State: wire.TaskDone, Attempt: j.tasks.ran(i) + attempt, Start: time.Now().UnixNano(), Key: j.taskKey(i)},
		})
	}
	return b
}

// stopped records that the run was stopped because the job is over.
func (b *keyBatch) stopped() {
	for _, bt := range b.tasks {
		b.job.stopped(&bt.t, b.ran)
	}
}

// batchTask is one task of a batch.
type batchTask struct {
	i    int
	key  string // its input
	t    wire.Task
	err  error // of this task and not of the whole batch
	read *taskInputs
}

// batchFile is the name of the file that lists, for each key of a batch, its name, the
// path of its file and the path of its output, with tabs between. The outputs stand
// beside it, and are named by their numbers, as are the files of a manifest's records. A
// job that writes no keys has no outputs: the path is that of the null device.
const batchFile = "batch"

// run runs the command once for all tasks, and stages their outputs. It sets the err of
// tasks that failed by themselves. Its own error is of all others.
func (b *keyBatch) run() (err error) {
	j := b.job
	release, err := j.node.takeSlot(j.ctx, j.id)
	if err != nil {
		return err
	}
	defer release()
	b.dir = filepath.Join(j.stage.path, workDir, strconv.Itoa(b.tasks[0].i))
	if n := b.tasks[0].t.Attempt; n > 1 {
		b.dir += "." + strconv.Itoa(int(n)) // the last run's may be left, if it could not be removed
	}
	b.files = b.dir + ".files"
	for _, dir := range []string{b.dir, b.files} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return storeError(j.node.store.serverFileError(err), b.tasks[0].key)
		}
		defer func() {
			if unix.Rmdir(dir) != nil {
				err = errors.Join(err, removeAll(dir))
			}
		}()
	}
	defer b.close()
	if err := j.node.cfg.Confinement.give(b.dir); err != nil {
		return storeError(err, b.tasks[0].key)
	}
	paths, err := b.open()
	if err != nil || len(paths) == 0 {
		return err
	}
	command := b.command(paths)
	release()
	if command != nil && !errors.Is(command, wire.CodeTaskFailed) {
		return command
	}
	if j.msg.Outdir == "" {
		return b.finish(command)
	}
	out, err := openTree(b.files)
	if err != nil {
		return storeError(withoutPath(err), b.tasks[0].key)
	}
	defer out.close()
	for k, bt := range b.tasks {
		if j.ctx.Err() != nil {
			return context.Cause(j.ctx)
		}
		if bt.err != nil {
			continue
		}
		err := bt.read.verify(command)
		switch {
		case err == nil:
			err = b.stage(out, k, bt)
		case err == command:
			continue // all have that
		}
		if err != nil && !isTaskError(err) {
			return err
		}
		bt.err = err
	}
	return command
}

// finish is the rest of run for a job that writes no keys.
func (b *keyBatch) finish(command error) error {
	for _, bt := range b.tasks {
		if bt.err != nil {
			continue
		}
		if err := bt.read.verify(command); err != nil && err != command {
			if !isTaskError(err) {
				return err
			}
			bt.err = err
		}
	}
	return command
}

// open looks at the inputs, hashes the small ones, and writes the list of those that the
// command gets, whose paths it returns.
func (b *keyBatch) open() (paths []string, err error) {
	j := b.job
	list, err := os.Create(filepath.Join(b.files, batchFile))
	if err != nil {
		return nil, storeError(j.node.store.serverFileError(err), b.tasks[0].key)
	}
	defer list.Close()
	err = j.node.cfg.Confinement.openTo(list)
	if err == nil && j.tasks.records != nil {
		err = b.writeRecords()
	}
	if err == nil {
		// Not before: where another user may write, the name could be a link to anything.
		err = j.node.cfg.Confinement.give(b.files)
	}
	if err != nil {
		return nil, storeError(err, b.tasks[0].key)
	}
	w := bufio.NewWriter(list)
	for k, bt := range b.tasks {
		if j.ctx.Err() != nil {
			return nil, context.Cause(j.ctx)
		}
		bt.t.BytesIn = uint64(j.tasks.sizes[bt.i])
		j.now.add(&bt.t)
		if bt.err == nil && j.tasks.records == nil {
			bt.err = b.openOne(bt)
		}
		if bt.err != nil {
			if !isTaskError(bt.err) {
				return nil, bt.err
			}
			continue
		}
		path, out := j.node.store.file(bt.key), filepath.Join(b.files, strconv.Itoa(k))
		if j.tasks.records != nil {
			path = out + ".record"
		}
		if j.msg.Outdir == "" {
			out = os.DevNull
		}
		paths = append(paths, path)
		_, _ = fmt.Fprintf(w, "s4://%s\t%s\t%s\n", bt.key, path, out)
	}
	if err := errors.Join(w.Flush(), list.Close()); err != nil {
		return nil, storeError(j.node.store.serverFileError(err), b.tasks[0].key)
	}
	return paths, nil
}

// writeRecords writes the records of a manifest's tasks to files. It sets the err of tasks
// whose records are damaged.
func (b *keyBatch) writeRecords() error {
	for k, bt := range b.tasks {
		bt.read = new(taskInputs)
		text, err := b.job.readRecord(bt.i, &bt.t)
		if isDamage(err) {
			bt.err = err
			continue
		}
		if err == nil {
			err = b.writeRecord(k, text)
		}
		if err != nil {
			return b.job.node.store.serverFileError(err)
		}
	}
	return nil
}

func (b *keyBatch) writeRecord(k int, text []byte) error {
	f, err := createPrivate(filepath.Join(b.files, strconv.Itoa(k)+".record"))
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, b.job.node.cfg.Confinement.openTo(f), f.Close())
}

// openOne looks at one task's input.
func (b *keyBatch) openOne(bt *batchTask) error {
	j := b.job
	fd, f, err := j.node.store.lookAt(bt.key)
	if err != nil {
		return storeError(err, bt.key)
	}
	bt.read = &taskInputs{job: j, key: bt.key, room: min(1, maxHeld-b.held)}
	var found fingerprint
	found.Reset()
	err = bt.read.add(&found, bt.key, fd, f, true, false)
	bt.t.Inputs = found.Sum64()
	b.held += len(bt.read.held)
	return storeError(err, bt.key)
}

func (b *keyBatch) close() {
	b.last.close()
	for _, bt := range b.tasks {
		if bt.read != nil {
			bt.read.close()
		}
	}
}

// command runs the command, and notes what it used: of CPU time each task has its share,
// and all else is that of the whole.
func (b *keyBatch) command(paths []string) error {
	j := b.job
	in, err := j.pathList(paths, b.tasks[0].key)
	if err != nil {
		return err
	}
	defer in.Close()
	var first *batchTask
	for _, bt := range b.tasks {
		if bt.err == nil {
			first = bt
			break
		}
	}
	env := append(j.env[:len(j.env):len(j.env)], fmt.Sprintf("S4_TASK=%d", first.i), "S4_BATCH="+filepath.Join(b.files, batchFile))
	err = j.runCommand(exec.Cmd{Dir: b.dir, DirIsReal: j.stage.real, Env: env, Args: paths, Stdin: in}, &first.t)
	b.ran = len(paths)
	n := uint64(b.ran)
	first.t.User /= n
	first.t.Sys /= n
	for _, bt := range b.tasks {
		if bt.err == nil && bt != first {
			of := &first.t
			bt.t.Start, bt.t.Wall, bt.t.User, bt.t.Sys, bt.t.MaxRSS = of.Start, of.Wall, of.User, of.Sys, of.MaxRSS
			bt.t.Exit, bt.t.Signal = of.Exit, of.Signal // one of them has stderr
		}
	}
	var we *wire.Error
	if len(paths) > 1 && errors.As(err, &we) && we.Code == wire.CodeTaskFailed {
		e := *we
		e.Text = fmt.Sprintf("%s, with %d keys", we.Text, len(paths))
		return &e
	}
	return err
}

// stage stages the output of task k.
func (b *keyBatch) stage(out tree, k int, bt *batchTask) error {
	j := b.job
	name := strconv.Itoa(k)
	f, _, err := j.node.openOutput(out, name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EISDIR):
		return &wire.Error{Code: wire.CodeTaskFailed, Key: bt.key, Text: "no output file was written for this key"}
	case err != nil:
		return &wire.Error{Code: wire.CodeTaskFailed, Key: bt.key, Text: "the output file of this key cannot be opened: " + err.Error()}
	}
	defer f.Close()
	n, sum, err := hashFile(j.ctx, f, -1)
	if err != nil {
		return storeError(err, bt.key)
	}
	if err := j.stage.add(j.node.cfg.Confinement.output(f, out.fd(), name), &b.last, j.output(bt.i), n, sum); err != nil {
		return err
	}
	bt.t.BytesOut, bt.t.Keys = uint64(n), 1
	j.bytesOut.Add(bt.t.BytesOut)
	return nil
}
