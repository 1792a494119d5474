package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// stage is the directory of one job: its staged output, which is not visible as keys
// yet, the working directories of its tasks, and its record.
//
//	_s4/jobs/<id>/stage/bucket/path/name   output, named as the keys it will be
//	_s4/jobs/<id>/tasks/<n>/               where task n runs; if it has tasks to run
//	_s4/jobs/<id>/tmp/                     the tasks' TMPDIR; likewise
//	_s4/jobs/<id>/assets/                  files that came along with the job
//	_s4/jobs/<id>/resumed                  is there if the job was suspended before
//	_s4/jobs/<id>/inputs                   the list of its tasks, if it is durable
//	_s4/jobs/<id>/records                  what its tasks have as input, if it has a manifest
//	_s4/jobs/<id>/finished                 of a shuffle: the inputs that are done
//	_s4/jobs/<id>/info, log                its record, see record
//	_s4/jobs/<id>/prepared                 the promise to publish if COMMIT comes
//	_s4/jobs/<id>/commit                   the same file, renamed: the decision
//
// When the job is over, commit moves to _s4/committed/<id>, to answer peers that ask;
// finished moves to _s4/shuffled/<id>, for --resume; and the record moves to
// _s4/history/<id>.
type stage struct {
	store         *store
	id            uint64
	path          string
	tree          tree // stage/
	real          bool // no part of path is a symbolic link
	readers       int  // other jobs in prepare that read tree; guarded by store.marks
	over          bool // the job is over: the last reader closes tree; guarded by store.marks
	keys          atomic.Int64
	bytes         atomic.Int64
	without       []uint32 // servers that have no part in the job; set by promise or readPromise
	unsure        bool     // the promise is damaged: without is not known
	halfPublished bool     // decided and not all published; the job's goroutine's
}

const (
	workDir = "tasks"
	taskTmp = "tmp"

	preparedMark = "prepared"
	commitMark   = "commit"
)

func jobName(id uint64) string { return fmt.Sprintf("%016x", id) }

func (s *store) stageOf(id uint64) *stage {
	return &stage{store: s, id: id, path: filepath.Join(s.path, sysDir, jobsDir, jobName(id)), real: s.sysIsReal}
}

func (s *store) newStage(id uint64) (*stage, error) {
	p := s.stageOf(id)
	if err := os.Mkdir(p.path, 0o700); err != nil { // shareJob opens it, if there are tasks
		if errors.Is(err, os.ErrExist) {
			return nil, wire.Errorf(wire.CodeExists, "job %016x is running here already", id)
		}
		return nil, s.serverFileError(err)
	}
	if err := os.Mkdir(filepath.Join(p.path, "stage"), 0o700); err != nil {
		return nil, errors.Join(s.serverFileError(err), removeAll(p.path))
	}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, removeAll(p.path))
	}
	return p, nil
}

// makeWork makes the directories for tasks, which may be there already.
func (p *stage) makeWork() error {
	for _, d := range []string{workDir, taskTmp} {
		if err := os.Mkdir(filepath.Join(p.path, d), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return p.store.serverFileError(err)
		}
	}
	return nil
}

func (p *stage) open() (err error) {
	if p.tree, err = openTree(filepath.Join(p.path, "stage")); err != nil {
		return storeError(withoutPath(err), "")
	}
	return nil
}

// shut undoes open.
func (p *stage) shut() {
	p.tree.close()
	p.tree = tree{}
}

// add stages a file of so many bytes that will become the key name. last is as in
// tree.publish.
func (p *stage) add(tmp *xfer.Temp, last *lastDir, name string, size int64, sum uint64) error {
	if err := p.store.commit(tmp, p.tree, last, name, sum); err != nil {
		return p.store.commitError(err, name)
	}
	p.keys.Add(1)
	p.bytes.Add(size)
	return nil
}

// prepare makes sure that publish cannot fail because a key exists. It marks the job as
// pending, so that from then on a put of a key that is staged here is refused. Then it
// looks for keys that exist already. Of two jobs that have staged the same key, the one
// that is marked first wins.
func (p *stage) prepare() error {
	s := p.store
	s.marks.Lock()
	before := slices.Clone(s.pending)
	s.pending = append(s.pending, p)
	for _, q := range before {
		q.readers++
	}
	s.marks.Unlock()
	// No lock is held from here on, so that a put need not wait for a walk over
	// trees. The jobs before this one may end meanwhile, but their trees stay open.
	// The data directory is checked last: keys move from a stage to it and never
	// back, so none is missed.
	var clash error
	for _, q := range before {
		if clash == nil {
			clash = p.clashPending(q)
		}
		s.doneReading(q)
	}
	if clash != nil {
		return clash
	}
	return p.clash(s.keys, "")
}

// clashPending is clash with the staged output of another job. It returns nil if that
// job is over.
func (p *stage) clashPending(q *stage) error {
	err := p.clash(q.tree, "")
	if err == nil {
		return nil
	}
	p.store.marks.RLock()
	defer p.store.marks.RUnlock()
	if q.over {
		return nil // the name it met was being published or removed
	}
	return err
}

// doneReading ends the reading of the tree of q.
func (s *store) doneReading(q *stage) {
	s.marks.Lock()
	defer s.marks.Unlock()
	if q.readers--; q.over && q.readers == 0 {
		q.tree.close()
	}
}

// close undoes the mark of prepare, if there is one. It closes the tree, or leaves that
// to the last reader.
func (p *stage) close() error {
	s := p.store
	s.marks.Lock()
	defer s.marks.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(q *stage) bool { return q == p })
	if p.over = true; p.readers > 0 || p.tree.root == nil {
		return nil
	}
	return p.tree.close()
}

// clash returns an error for the first staged name below dir that cannot be published
// because its name is taken in t. It skips directories that t does not have.
func (p *stage) clash(t tree, dir string) error {
	fd, err := p.tree.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return storeError(err, dir)
	}
	names, err := readDir(fd, "")
	unix.Close(fd)
	if err != nil {
		return storeError(err, dir)
	}
	for _, d := range names {
		name := d.name
		if dir != "" {
			name = dir + "/" + d.name
		}
		err := nameTaken(t, name)
		switch {
		case err == nil:
		case d.dir && errors.Is(err, unix.EISDIR):
			if err := p.clash(t, name); err != nil {
				return err
			}
		case d.dir:
			return storeError(unix.ENOTDIR, name) // a key where a directory must be
		case errors.Is(err, unix.EISDIR) && emptyBelow(t, name):
		default:
			return storeError(err, name)
		}
	}
	return nil
}

// emptyBelow reports whether there is no key below the directory. Publishing a key of
// that name removes it then.
func emptyBelow(t tree, name string) bool {
	fd, err := t.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !hasKey(fd)
}

// promise leaves a mark on disk, after prepare: a server that is killed from
// then on keeps what is staged, and asks its peers what became of the job.
func (p *stage) promise(without []uint32) error {
	mark := filepath.Join(p.path, preparedMark)
	name := mark
	if len(without) > 0 {
		name += ".new"
	}
	f, err := createPrivate(name)
	if err != nil {
		return storeError(withoutPath(err), "")
	}
	p.without = without
	if len(without) > 0 {
		_, err = f.Write(wire.AppendFrame(nil, 0, wire.FlagChecked, &wire.Prepare{Without: without}))
		if err == nil {
			err = rename(name, mark)
		}
	}
	if err != nil {
		return errors.Join(storeError(withoutPath(err), ""), f.Close())
	}
	if p.store.fsync {
		// One sync for the mark and all that is staged.
		if err := unix.Syncfs(int(f.Fd())); err != nil {
			f.Close()
			return os.NewSyscallError("syncfs", err)
		}
	}
	return f.Close()
}

// readPromise reads what promise has written.
func (p *stage) readPromise() error {
	b, err := os.ReadFile(filepath.Join(p.path, preparedMark))
	if err != nil {
		return storeError(withoutPath(err), "")
	}
	if len(b) == 0 {
		return nil
	}
	r := bytes.NewReader(b)
	m, err := readFrame(r)
	prepare, ok := m.(*wire.Prepare)
	if err != nil || !ok || r.Len() > 0 {
		return damaged(preparedMark, errors.New("it is not a whole PREPARE"))
	}
	p.without = prepare.Without
	return nil
}

// decide makes the promise a decision, in one step that needs no space: a
// server that is killed from then on finishes publish when it starts again.
func (p *stage) decide() error {
	if err := rename(filepath.Join(p.path, preparedMark), filepath.Join(p.path, commitMark)); err != nil {
		return storeError(withoutPath(err), "")
	}
	p.halfPublished = true
	return nil
}

// publish makes the staged output visible, after decide.
func (p *stage) publish() error {
	if err := p.sync(p.path); err != nil {
		return err
	}
	if err := p.move(""); err != nil {
		return fmt.Errorf("publishing stopped half way, and goes on when the server is started again: %w", err)
	}
	if p.store.fsync {
		if err := unix.Syncfs(p.store.keys.fd()); err != nil {
			return os.NewSyscallError("syncfs", err)
		}
	}
	name := jobName(p.id)
	if err := p.store.keepFinished(filepath.Join(p.path, finishedFile), name); err != nil {
		return err
	}
	// Last, for until then the job's directory says that it is to be finished.
	if err := p.store.keepCommitted(filepath.Join(p.path, commitMark), name); err != nil {
		return err
	}
	p.halfPublished = false
	return nil
}

// sync makes renames in dir survive power loss, if the store is to fsync.
func (p *stage) sync(dir string) error {
	if !p.store.fsync {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return storeError(withoutPath(err), "")
	}
	defer d.Close()
	return os.NewSyscallError("fsync", unix.Fsync(int(d.Fd())))
}

// move renames what is staged in dir into the data directory. A directory that does not
// exist there yet is moved as a whole, in one step.
func (p *stage) move(dir string) error {
	fd, err := p.tree.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return storeError(err, dir)
	}
	defer unix.Close(fd)
	names, err := readDir(fd, "")
	if err != nil {
		return storeError(err, dir)
	}
	for _, d := range names {
		name := d.name
		if dir != "" {
			name = dir + "/" + d.name
		}
		err := p.store.keys.publish(name, nil, func(to int, base string) error {
			return unix.Renameat2(fd, d.name, to, base, unix.RENAME_NOREPLACE)
		})
		if d.dir && errors.Is(err, unix.EEXIST) {
			if err = p.move(name); err == nil {
				_ = unix.Unlinkat(fd, d.name, unix.AT_REMOVEDIR) // clear does it else, with more calls
			}
		}
		if err != nil {
			return storeError(err, name)
		}
	}
	return nil
}

// takeBack undoes promise and prepare.
func (p *stage) takeBack() error {
	err := unlink(filepath.Join(p.path, preparedMark))
	return errors.Join(withoutPath(err), p.close())
}

// clear removes all files of the job except its record, which keepRecord takes. It must
// not be called if publish has stopped half way: the next start of the server completes
// that, and until then the names stay reserved.
func (p *stage) clear() error {
	_ = p.close() // of a descriptor that was only read from
	// First, and in one step: a server that is killed from then on takes the job for
	// over, and neither goes on with it nor asks its peers.
	gone := filepath.Join(p.path, "gone")
	staged := filepath.Join(p.path, "stage")
	err := unix.Rmdir(staged) // most often it is empty
	if err != nil && !errors.Is(err, unix.ENOENT) {
		err = rename(staged, gone)
	}
	if errors.Is(err, os.ErrExist) || errors.Is(err, unix.ENOTEMPTY) { // of a clear that was cut short
		_ = removeAll(gone)
		err = rename(staged, gone)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	for _, f := range []string{preparedMark, finishedFile, inputsFile, recordsFile} {
		err = errors.Join(err, unlink(filepath.Join(p.path, f)))
	}
	for _, d := range []string{"gone", workDir, taskTmp, assetsDir} {
		err = errors.Join(err, removeAll(filepath.Join(p.path, d)))
	}
	if err != nil {
		err = errors.Join(err, removeAll(staged)) // if it was not renamed
	}
	return withoutPath(err)
}

// remove clears the job and moves its record to the history.
func (p *stage) remove() error {
	if p.halfPublished {
		return nil
	}
	return errors.Join(p.clear(), p.store.keepRecord(p.path))
}

// same reports whether a file of this size and xxh64 that could not be staged, because its
// name is taken, is the one that has the name.
func (p *stage) same(name string, size int64, sum uint64) bool {
	f, st, err := openRegular(p.tree, name)
	if err != nil {
		return false
	}
	defer f.Close()
	if size != st.Size {
		return false
	}
	there, err := getSum(int(f.Fd()))
	return err == nil && there == sum
}

// unstage removes a staged file, if it is there.
func (p *stage) unstage(name string) error {
	dir, base := splitName(name)
	fd, err := p.tree.openDir(dir, false)
	if err == nil {
		err = unix.Unlinkat(fd, base, 0)
		unix.Close(fd)
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR) {
		return nil
	}
	return storeError(err, name)
}

// removeFiles removes the files that are staged directly in a directory.
func (p *stage) removeFiles(dir string) error {
	fd, err := p.tree.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return storeError(err, dir)
	}
	defer unix.Close(fd)
	names, err := readDir(fd, "")
	if err != nil {
		return storeError(err, dir)
	}
	for _, d := range names {
		if d.dir {
			continue
		}
		var st unix.Stat_t
		err := unix.Fstatat(fd, d.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			err = unix.Unlinkat(fd, d.name, 0)
		}
		if err != nil {
			return storeError(err, dir+"/"+d.name)
		}
		p.keys.Add(-1)
		p.bytes.Add(-st.Size)
	}
	return nil
}

// count returns how many files are staged below dir, and their bytes.
func (p *stage) count(dir string) (keys, bytes int64, err error) {
	fd, err := p.tree.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return 0, 0, storeError(err, dir)
	}
	defer unix.Close(fd)
	names, err := readDir(fd, "")
	if err != nil {
		return 0, 0, storeError(err, dir)
	}
	for _, d := range names {
		name := d.name
		if dir != "" {
			name = dir + "/" + d.name
		}
		if d.dir {
			k, b, err := p.count(name)
			if err != nil {
				return 0, 0, err
			}
			keys, bytes = keys+k, bytes+b
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstatat(fd, d.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return 0, 0, storeError(err, name)
		}
		keys, bytes = keys+1, bytes+st.Size
	}
	return keys, bytes, nil
}
