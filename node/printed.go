package node

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// shuffle stages the files whose names the command printed, here or at the servers
// they belong to, and waits until all have arrived. It checks all names before it
// sends any file, so that a wrong name leaves nothing staged anywhere.
func (j *job) shuffle(i int, dir, key string, names *xfer.File, w *worker, t *wire.Task) error {
	work, err := openTree(dir)
	if err != nil {
		return storeError(withoutPath(err), key)
	}
	defer work.close()
	p := &printed{job: j, work: work, dir: dir, key: key, rel: j.tasks.rels[i], seen: make(map[string]bool), limit: fileLimit()}
	defer p.close()
	if err := p.read(names); err != nil {
		return err
	}
	slot := &ioSlot{slots: j.node.ioSlots} // for the transfers of this task
	if err := slot.acquire(j.ctx); err != nil {
		return err
	}
	defer slot.release()
	batch := newBatch(j, slot, func(name string) (*xfer.File, error) {
		f, _, err := j.node.openOutput(work, name)
		return f, err
	})
	// Server after server: see smallPush.
	slices.SortStableFunc(p.outputs, func(a, b printedFile) int { return cmp.Compare(a.server, b.server) })
	for i := range p.outputs {
		if err = batch.failed(); err == nil {
			err = p.route(&p.outputs[i], w, batch)
		}
		if err != nil {
			break
		}
	}
	if err = errors.Join(err, batch.wait()); err != nil {
		return fatal{err}
	}
	p.removePushed()
	t.BytesOut, t.Keys = p.size, uint64(len(p.outputs))
	return nil
}

// printed is the output of one task of a shuffle.
type printed struct {
	job     *job
	work    tree // the working directory
	dir     string
	key     string          // the task's input
	rel     string          // its path below the job's directory of input
	seen    map[string]bool // the basenames of outputs
	outputs []printedFile
	limit   uint64 // see mayHold
	size    uint64 // of the files routed
}

// printedFile is a file whose name the command has printed.
type printedFile struct {
	line   string     // as it was printed
	name   string     // in the working directory
	file   *xfer.File // nil if it is to be opened again, for want of descriptors
	size   int64
	server int // that it belongs to
}

// read reads and checks the names that the command has printed. It skips empty lines: a
// command that wrote no file may still print a newline.
func (p *printed) read(names *xfer.File) error {
	sc := bufio.NewScanner(&contents{ctx: p.job.ctx, fd: int(names.Fd()), size: -1})
	sc.Buffer(make([]byte, 0, 8<<10), 64<<10)
	for sc.Scan() {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if err := p.check(sc.Text()); err != nil {
			return err
		}
	}
	if p.job.ctx.Err() != nil {
		return context.Cause(p.job.ctx)
	}
	if err := sc.Err(); err != nil {
		return &wire.Error{Code: wire.CodeTaskFailed, Key: p.key, Text: "the command's list of file names cannot be read: " + err.Error()}
	}
	return nil
}

// check adds a file to the outputs, or returns an error if its name is wrong.
func (p *printed) check(line string) error {
	bad := func(why string) error {
		return &wire.Error{Code: wire.CodeTaskFailed, Key: p.key, Text: fmt.Sprintf("the command printed %q, which %s", line, why)}
	}
	name, ok := inside(p.dir, line)
	if !ok {
		return bad("is outside its working directory")
	}
	base := path.Base(name)
	if name == "." {
		return bad("is a directory")
	}
	if p.seen[base] {
		return bad("has the basename of another that it printed")
	}
	p.seen[base] = true
	f, st, err := p.job.node.openOutput(p.work, name)
	switch {
	case err == nil:
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return bad("is a symbolic link")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		if p.isDir(name) {
			return bad("is a directory")
		}
		return bad("is not a file in its working directory")
	default:
		return p.cannotOpen(line, err)
	}
	if err := names.CheckKey(p.out(base)); err != nil {
		f.Close()
		return bad("makes a bad key: " + toWire(err).Text)
	}
	out := printedFile{line: line, name: name, size: st.Size, server: p.job.node.cfg.Cluster.Place(p.out(base))}
	if len(p.outputs) < maxHeld && uint64(f.Fd()) < p.limit/2 {
		out.file = f
	} else {
		f.Close()
	}
	p.outputs = append(p.outputs, out)
	return nil
}

func (p *printed) cannotOpen(line string, err error) error {
	return &wire.Error{Code: wire.CodeTaskFailed, Key: p.key, Text: fmt.Sprintf("the file %q, which the command printed, cannot be opened: %v", line, err)}
}

func (p *printed) isDir(name string) bool {
	var st unix.Stat_t
	return p.work.stat(name, &st) == nil && isDir(&st)
}

// close closes the files that were not routed.
func (p *printed) close() {
	for i := range p.outputs {
		if f := p.outputs[i].file; f != nil {
			f.Close()
		}
	}
}

// removePushed removes what has arrived elsewhere, which leaves the directory empty after
// most commands.
func (p *printed) removePushed() {
	for i := range p.outputs {
		if o := &p.outputs[i]; o.server != p.job.node.cfg.Index && !strings.Contains(o.name, "/") {
			_ = unix.Unlinkat(p.work.fd(), o.name, 0) // or all goes with the directory
		}
	}
}

// out returns the key that a file with this basename becomes.
func (p *printed) out(base string) string {
	return p.job.msg.Outdir + "/" + p.rel + "/" + base
}

// inside returns a printed name relative to the working directory dir, or false if it
// leads out of that.
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

// route hashes one output, whose name has been checked, and stages it here or
// sends it to its server.
func (p *printed) route(o *printedFile, w *worker, batch *batch) error {
	j := p.job
	out := p.out(path.Base(o.name))
	f := o.file
	if o.file = nil; f == nil {
		var st *unix.Stat_t
		var err error
		if f, st, err = j.node.openOutput(p.work, o.name); err != nil {
			return p.cannotOpen(o.line, err)
		}
		o.size = st.Size
	}
	size, sum, body, err := o.read(j.ctx, f, w)
	if err != nil {
		f.Close()
		return storeError(err, out)
	}
	p.size += uint64(size)
	j.bytesOut.Add(uint64(size))
	if o.server != j.node.cfg.Index {
		to := &pushed{o.server, o.name, out, size, sum}
		if batch.isDown(o.server) {
			f.Close()
			batch.lose(to, errDown)
			return nil
		}
		batch.push(to, f, body)
		return nil
	}
	defer f.Close()
	dir := p.work.fd()
	parent, base := splitName(o.name)
	if parent != "" {
		if dir, err = p.work.openDir(parent, false); err != nil {
			return storeError(err, out)
		}
		defer unix.Close(dir)
	}
	return j.stage.add(j.node.cfg.Confinement.output(f, dir, base), &w.last, out, size, sum)
}

// read returns size and xxh64 of a file that is open as f, and its bytes if it is small.
// They are the worker's.
func (o *printedFile) read(ctx context.Context, f *xfer.File, w *worker) (size int64, sum uint64, body []byte, err error) {
	if o.size > smallPush {
		size, sum, err = hashFile(ctx, f, o.size)
		return size, sum, nil, err
	}
	if w.buf == nil {
		w.buf = make([]byte, smallPush+1)
	}
	n, err := io.ReadFull(&contents{ctx: ctx, fd: int(f.Fd()), size: o.size}, w.buf)
	switch {
	case err == nil: // it has grown
		size, sum, err = hashFile(ctx, f, -1)
		return size, sum, nil, err
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return 0, 0, nil, err
	}
	body = w.buf[:n]
	return int64(n), xxhash.Sum64(body), body, nil
}
