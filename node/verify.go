package node

import (
	"context"
	"errors"
	"io"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Commands read the files of keys as they are on the disk. Nobody but the server can
// compare them with their stored checksums, so that nothing computed from damaged bytes
// is published.
//
// A large input is hashed when the command has ended: it is in the page cache then, and
// no command waits for it. It is read through a descriptor that was opened before, so
// the key may be removed meanwhile. A small input is hashed before the command starts:
// that costs the same, needs no descriptor that stays open, and saves the run of a
// command whose input is damaged.
const smallInput = 64 << 10 // bytes

// maxHeld is how many files a merge keeps open for when its command has ended. Inputs
// beyond that are hashed before, too.
const maxHeld = 64

// taskInputs are the files that one run of a task reads.
type taskInputs struct {
	job  *job
	key  string // the task's, for errors
	held []heldInput
	room int // how many more may be held
}

// heldInput is a file to hash when the command has ended.
type heldInput struct {
	key   string
	fd    int
	size  int64
	sum   uint64 // stored with it
	owned bool   // close closes fd
}

// openInput opens the only input of a task, and does with it what openInputs does.
func (j *job) openInput(t *wire.Task, key string) (*xfer.File, *taskInputs, error) {
	in := &taskInputs{job: j, key: t.Key, room: maxHeld}
	stdin, st, err := openRegular(j.node.store.keys, key)
	if err != nil {
		return nil, in, storeError(err, key)
	}
	var found fingerprint
	found.Reset()
	if err := setBlocking(stdin); err != nil {
		return stdin, in, err
	}
	fd := int(stdin.Fd())
	err = in.add(&found, key, fd, newInputFile(fd, st), false, false)
	t.Inputs = found.Sum64()
	return stdin, in, err
}

// openInputs takes the fingerprint of the inputs of a merge, hashes the small ones, and
// opens the others to hash them later. close must be called also after an error.
func (j *job) openInputs(t *wire.Task, keys []string) (*taskInputs, error) {
	in := &taskInputs{job: j, key: t.Key, room: maxHeld}
	var found fingerprint
	found.Reset()
	damaged := false
	var first error
	for _, key := range keys {
		if j.ctx.Err() != nil {
			return in, context.Cause(j.ctx)
		}
		fd, f, err := j.node.store.lookAt(key)
		if err == nil {
			err = in.add(&found, key, fd, f, true, damaged)
		}
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			found.add(key, inputFile{size: inputGone}) // the command decides whether it needs it
		case errors.Is(err, wire.CodeChecksum):
			damaged, first = true, err // go on for the fingerprint
		case err != nil:
			return in, storeError(err, key)
		}
	}
	t.Inputs = found.Sum64()
	return in, first
}

// add adds the open file of an input. It hashes the file, or keeps fd open for that. If
// skip is set, it does neither.
func (in *taskInputs) add(found *fingerprint, key string, fd int, f inputFile, owned, skip bool) error {
	done := func() {
		if owned {
			unix.Close(fd)
		}
	}
	found.add(key, f)
	switch {
	case skip || in.job.has(wire.JobNoVerify):
		done()
		return nil
	case f.noSum != nil:
		done()
		return in.damaged(key, f.noSum)
	case f.size > smallInput && (!owned || len(in.held) < in.room && mayHold(fd)):
		in.held = append(in.held, heldInput{key: key, fd: fd, size: f.size, sum: f.sum, owned: owned})
		return nil
	}
	defer done()
	return in.damaged(key, verifyFile(in.job.ctx, fd, f.size, f.sum))
}

// verify hashes what openInputs has left, after the command. failed is how the command
// ended. Damaged input is reported before that, because a command that fails on it
// cannot say why.
func (in *taskInputs) verify(failed error) error {
	defer in.close() // pushes, which may take long, need no descriptors of ours
	if failed != nil && !errors.Is(failed, wire.CodeTaskFailed) {
		return failed
	}
	for _, h := range in.held {
		err := in.damaged(h.key, verifyFile(in.job.ctx, h.fd, h.size, h.sum))
		if err == nil {
			continue
		}
		var damage, command *wire.Error
		// Any other error is not of this task alone: it may be why the job has failed.
		if errors.As(err, &damage) && damage.Code == wire.CodeChecksum && errors.As(failed, &command) {
			damage.Exit, damage.Signal, damage.Stderr = command.Exit, command.Signal, command.Stderr
		}
		return err
	}
	return failed
}

func (in *taskInputs) close() {
	for _, h := range in.held {
		if h.owned {
			unix.Close(h.fd)
		}
	}
	in.held = nil
}

// damaged returns the task's error if verifyFile or getSum has returned err for an input.
func (in *taskInputs) damaged(key string, err error) error {
	var we *wire.Error
	if !errors.As(err, &we) || we.Code != wire.CodeChecksum {
		return err
	}
	in.job.node.corrupt.Add(1)
	in.job.node.log.Warn("damaged input", zap.String("job", jobName(in.job.msg.ID)), zap.String("key", key), zap.String("outcome", we.Text))
	e := &wire.Error{Code: wire.CodeChecksum, Key: in.key, Text: we.Text}
	if key != in.key {
		e.Text = "input s4://" + key + ": " + we.Text
	}
	return e
}

// mayHold reports whether a file may stay open while a command runs, or until its task's
// other files are known. The kernel gives out the lowest free number (open(2)). So a
// number below half of the limit says that there is room.
func mayHold(fd int) bool { return uint64(fd) < fileLimit()/2 }

// fileLimit returns how many files this process may have open.
func fileLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// inputFile is what the file system says of a key's file.
type inputFile struct {
	size, mtime int64
	sum         uint64 // stored with it
	noSum       error  // why there is no sum, or nil
}

// lookAt opens a key's file to look at it. If it is no regular file, the error is ENOENT.
func (s *store) lookAt(key string) (fd int, f inputFile, err error) {
	fd, err = s.keys.open(key, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return -1, f, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		err = os.NewSyscallError("fstat", err)
	} else if !isRegular(&st) {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(fd)
		return -1, f, err
	}
	return fd, newInputFile(fd, &st), nil
}

// newInputFile returns what is known of a file that is open as fd.
func newInputFile(fd int, st *unix.Stat_t) inputFile {
	f := inputFile{size: st.Size, mtime: st.Mtim.Nano()}
	f.sum, f.noSum = getSum(fd)
	return f
}

// verifyFile compares a key's file, open as fd, with the checksum stored with it. It
// does not use the offset of fd. size is the file's, from fstat(2), or -1.
func verifyFile(ctx context.Context, fd int, size int64, sum uint64) error {
	return verifyReader(ctx, &contents{ctx: ctx, fd: fd, size: size}, sum)
}

// verifyReader is verifyFile of a reader that ends with ctx.
func verifyReader(ctx context.Context, r io.Reader, sum uint64) error {
	_, got, err := xfer.Hash(r)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		// A disk that knows that it has lost the bytes says so here. That is a fault of
		// this one key, as are wrong bytes.
		return wire.Errorf(wire.CodeChecksum, "the key is damaged: reading it fails with %v", err)
	case got != sum:
		return wire.Errorf(wire.CodeChecksum, "the key is damaged: its bytes have xxh64 %016x, expected %016x", got, sum)
	}
	return nil
}

// contents reads an open file from its beginning by pread(2), until ctx ends.
type contents struct {
	ctx  context.Context
	fd   int
	size int64 // from fstat(2), or -1 if it is not known
	off  int64
	end  bool
}

func (c *contents) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	if c.end {
		return 0, io.EOF
	}
	for {
		n, err := unix.Pread(c.fd, p, c.off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		c.off += int64(n)
		// A short read may come before an error. If it brings the last of what should be
		// there, the next one could only say that the file has ended.
		c.end = n < len(p) && c.off == c.size
		return n, nil
	}
}
