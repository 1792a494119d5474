package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"s4"
	"s4/exec"
	"s4/wire"
	"s4/xfer"
)

// stderrTail is how much of a failed task's standard error is reported.
const stderrTail = 16 << 10

// sigpipeExit is what bash makes of a command that SIGPIPE (13) ended.
const sigpipeExit = 128 + 13

// run runs all tasks. The first failure stops the others.
func (j *job) run() error {
	// A worker holds a task slot only while its command runs, so that output
	// is hashed, staged and pushed while other commands run.
	workers := min(j.tasks.len(), j.node.cfg.MaxCPUJobs+j.node.cfg.MaxIOJobs)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			for j.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= j.tasks.len() {
					return
				}
				if err := j.task(i); err != nil {
					j.cancel(err)
					return
				}
				j.done.Add(1)
			}
		})
	}
	wg.Wait()
	return context.Cause(j.ctx)
}

// task runs one command and stages its output.
func (j *job) task(i int) (err error) {
	keys, size := j.inputs(i)
	dir := filepath.Join(j.stage.path, "tasks", strconv.Itoa(i))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return storeError(plain(err), keys[0])
	}
	defer func() {
		// Most commands leave it empty.
		if unix.Rmdir(dir) != nil {
			err = errors.Join(err, removeAll(dir))
		}
	}()
	in, err := j.stdin(keys)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := j.node.store.create()
	if err != nil {
		return storeError(err, keys[0])
	}
	defer out.Close()
	if err := j.command(i, dir, keys, in, out.File); err != nil {
		return err
	}
	j.bytesIn.Add(uint64(size))
	if j.msg.Verb == wire.VerbMapToN {
		return j.shuffle(dir, keys[0], out.File)
	}
	n, sum, err := hashFile(out.File)
	if err != nil {
		return storeError(err, keys[0])
	}
	j.bytesOut.Add(uint64(n))
	return j.stage.add(out, j.output(i), sum)
}

// stdin returns what the command reads: the key's file itself, or for the
// merge a file with the paths of the group's, one a line.
func (j *job) stdin(keys []string) (*os.File, error) {
	if j.msg.Verb != wire.VerbMapFromN {
		f, _, err := openRegular(j.node.store.keys, keys[0])
		if err != nil {
			return nil, storeError(err, keys[0])
		}
		return f, nil
	}
	t, err := j.node.store.create()
	if err != nil {
		return nil, storeError(err, keys[0])
	}
	w := bufio.NewWriter(t)
	for _, k := range keys {
		_, _ = w.WriteString(j.node.store.file(k)) // Flush returns the error
		_ = w.WriteByte('\n')
	}
	err = w.Flush()
	if err == nil {
		_, err = t.Seek(0, io.SeekStart)
	}
	if err != nil {
		t.Close()
		return nil, storeError(err, keys[0])
	}
	return t.File, nil
}

// command runs the task's command when there is a slot for it.
func (j *job) command(i int, dir string, keys []string, in, out *os.File) error {
	if err := j.node.sched.acquire(j.ctx, j); err != nil {
		return err
	}
	res, err := exec.Run(j.ctx, exec.Cmd{
		Script:     j.msg.Command,
		Dir:        dir,
		Env:        j.taskEnv(i, keys),
		Stdin:      in,
		Stdout:     out,
		StderrTail: stderrTail,
	})
	j.node.sched.release(j)
	if err != nil {
		return err
	}
	if res.ExitCode == 0 {
		return nil
	}
	text := "command failed: " + exec.ExitText(res)
	if res.ExitCode == sigpipeExit {
		text += ", SIGPIPE: a command in a pipe stopped reading, as head does, and pipefail is on"
	}
	e := &wire.Error{
		Code:   wire.CodeTaskFailed,
		Key:    keys[0],
		Text:   text,
		Exit:   int32(res.ExitCode),
		Signal: byte(res.Signal),
		Stderr: string(res.Stderr),
	}
	j.node.log.Warn("task failed", zap.String("job", fmt.Sprintf("%016x", j.msg.ID)), zap.String("key", e.Key),
		zap.String("outcome", exec.ExitText(res)), zap.String("stderr", lastPart(e.Stderr)))
	return e
}

// lastPart is as much of stderr as a log line should hold.
func lastPart(s string) string { return s[max(0, len(s)-512):] }

// hashFile returns size and xxh64 of what is in f, whatever its offset.
func hashFile(f *os.File) (int64, uint64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return xfer.Hash(io.NewSectionReader(f, 0, fi.Size()))
}

// shuffle stages the files whose names the command printed, here or at the
// servers they belong to, and waits until all have arrived.
func (j *job) shuffle(dir, key string, names *os.File) error {
	work, err := openTree(dir)
	if err != nil {
		return storeError(plain(err), key)
	}
	defer work.close()
	if _, err := names.Seek(0, io.SeekStart); err != nil {
		return storeError(err, key)
	}
	select { // transfers of this task
	case j.node.ioSlots <- struct{}{}:
		defer func() { <-j.node.ioSlots }()
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	}
	batch := newBatch(j)
	err = j.printed(work, dir, key, names, batch)
	return errors.Join(err, batch.wait())
}

// printed stages or pushes every printed file.
func (j *job) printed(work tree, dir, key string, names *os.File, batch *batch) error {
	rel := key[len(j.in.Base)+1:]
	seen := make(map[string]bool)
	sc := bufio.NewScanner(names)
	sc.Buffer(make([]byte, 0, 8<<10), 64<<10)
	for sc.Scan() {
		if err := batch.failed(); err != nil {
			return err
		}
		printed := sc.Text()
		bad := func(why string) error {
			return &wire.Error{Code: wire.CodeTaskFailed, Key: key, Exit: 0,
				Text: fmt.Sprintf("the command printed %q, which %s", printed, why)}
		}
		name, ok := inside(dir, printed)
		if !ok {
			return bad("is outside its working directory")
		}
		base := path.Base(name)
		if name == "." {
			return bad("is a directory")
		}
		if seen[base] {
			return bad("it has given already")
		}
		seen[base] = true
		f, _, err := openRegular(work, name)
		switch {
		case errors.Is(err, unix.ENOENT):
			var st unix.Stat_t
			if work.stat(name, &st) == nil && isDir(&st) {
				return bad("is a directory")
			}
			return bad("is not a file in its working directory")
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
			return bad("is a symbolic link")
		case err != nil:
			return bad("cannot be opened: " + err.Error())
		}
		out := j.msg.Outdir + "/" + rel + "/" + base
		if err := s4.CheckKey(out); err != nil {
			f.Close()
			return bad("makes a bad key: " + err.(*wire.Error).Text)
		}
		if err := j.route(work, name, f, out, batch); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &wire.Error{Code: wire.CodeTaskFailed, Key: key, Text: "the command's list of file names cannot be read: " + err.Error()}
	}
	return nil
}

// inside returns a printed name relative to the working directory, or false
// if it leads out of it.
func inside(dir, printed string) (string, bool) {
	if filepath.IsAbs(printed) {
		rel, err := filepath.Rel(dir, printed)
		if err != nil {
			return "", false
		}
		printed = rel
	}
	if printed == "" {
		return "", false
	}
	name := filepath.Clean(printed)
	return name, filepath.IsLocal(name)
}

// route hashes one output and stages it here or sends it to its server. It
// closes f.
func (j *job) route(work tree, name string, f *os.File, out string, batch *batch) error {
	size, sum, err := hashFile(f)
	if err != nil {
		f.Close()
		return storeError(err, out)
	}
	j.bytesOut.Add(uint64(size))
	if server := j.node.cfg.Cluster.Place(out); server != j.node.cfg.Index {
		batch.push(server, f, out, size, sum)
		return nil
	}
	defer f.Close()
	parent, base := splitName(name)
	d, err := work.openDir(parent, false)
	if err != nil {
		return storeError(err, out)
	}
	defer unix.Close(d)
	return j.stage.add(xfer.NamedTemp(f, d, base), out, sum)
}
