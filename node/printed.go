package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// shuffle stages the files whose names the command printed, here or at the servers
// they belong to, and waits until all have arrived. It checks all names before it
// sends any file, so that a wrong name leaves nothing staged anywhere.
func (j *job) shuffle(dir, key string, names *os.File, t *wire.Task) error {
	work, err := openTree(dir)
	if err != nil {
		return storeError(withoutPath(err), key)
	}
	defer work.close()
	p := &printed{job: j, work: work, dir: dir, key: key, names: names}
	seen := make(map[string]bool)
	if err := p.each(func(name string) error { return p.check(name, seen) }); err != nil {
		return err
	}
	slot := &ioSlot{slots: j.node.ioSlots} // for the transfers of this task
	if err := slot.acquire(j.ctx); err != nil {
		return err
	}
	defer slot.release()
	batch := newBatch(j, slot, func(name string) (*os.File, error) {
		return j.node.openOutput(work, name)
	})
	err = p.each(func(name string) error {
		if err := batch.failed(); err != nil {
			return err
		}
		return p.route(name, batch)
	})
	if err = errors.Join(err, batch.wait()); err != nil {
		return fatal{err}
	}
	t.BytesOut, t.Keys = p.size, uint64(len(seen))
	return nil
}

// printed is the output of one task of a shuffle.
type printed struct {
	job   *job
	work  tree // the working directory
	dir   string
	key   string   // the task's input
	names *os.File // what the command printed
	size  uint64   // of the files routed
}

// each calls f for every printed name, until f fails. It skips empty lines: a command
// that wrote no file may still print a newline.
func (p *printed) each(f func(name string) error) error {
	if _, err := p.names.Seek(0, io.SeekStart); err != nil {
		return storeError(err, p.key)
	}
	sc := bufio.NewScanner(p.names)
	sc.Buffer(make([]byte, 0, 8<<10), 64<<10)
	for sc.Scan() {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if err := f(sc.Text()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return &wire.Error{Code: wire.CodeTaskFailed, Key: p.key, Text: "the command's list of file names cannot be read: " + err.Error()}
	}
	return nil
}

// check returns an error if a printed name is wrong. seen holds the names before it.
func (p *printed) check(line string, seen map[string]bool) error {
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
	if seen[base] {
		return bad("has the basename of another that it printed")
	}
	seen[base] = true
	var st unix.Stat_t
	switch err := p.work.stat(name, &st); {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV), err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return bad("is a symbolic link")
	case err == nil && isDir(&st):
		return bad("is a directory")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), err == nil && !isRegular(&st):
		return bad("is not a file in its working directory")
	case err != nil:
		return bad("cannot be looked at: " + err.Error())
	}
	if err := names.CheckKey(p.out(base)); err != nil {
		return bad("makes a bad key: " + toWire(err).Text)
	}
	return nil
}

// rel returns the path of the task's input below the job's base.
func (p *printed) rel() string { return p.key[len(p.job.in.Base)+1:] }

// out returns the key that a file with this basename becomes.
func (p *printed) out(base string) string {
	return p.job.msg.Outdir + "/" + p.rel() + "/" + base
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
func (p *printed) route(line string, batch *batch) error {
	j := p.job
	name, _ := inside(p.dir, line)
	out := p.out(path.Base(name))
	f, err := j.node.openOutput(p.work, name)
	if err != nil {
		return &wire.Error{Code: wire.CodeTaskFailed, Key: p.key, Text: fmt.Sprintf("the file %q, which the command printed, cannot be opened: %v", line, err)}
	}
	size, sum, err := hashFile(j.ctx, f)
	if err != nil {
		f.Close()
		return storeError(err, out)
	}
	p.size += uint64(size)
	j.bytesOut.Add(uint64(size))
	if server := j.node.cfg.Cluster.Place(out); server != j.node.cfg.Index {
		p := &pushed{server, name, out, size, sum}
		if batch.isDown(server) {
			f.Close()
			batch.lose(p, errDown)
			return nil
		}
		batch.push(p, f)
		return nil
	}
	defer f.Close()
	parent, base := splitName(name)
	d, err := p.work.openDir(parent, false)
	if err != nil {
		return storeError(err, out)
	}
	defer unix.Close(d)
	return j.stage.add(xfer.NamedTemp(f, d, base), out, sum)
}
