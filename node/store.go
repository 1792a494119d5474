package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Names in the data directory. Buckets do not start with an underscore.
const (
	sysDir       = "_s4"
	jobsDir      = "jobs"      // in sysDir: a directory per running job
	tmpDir       = "tmp"       // in sysDir: uploads, where O_TMPFILE needs names
	historyDir   = "history"   // in sysDir: a directory per job that is over
	committedDir = "committed" // in sysDir: a file per job that was published here
	shuffledDir  = "shuffled"  // in sysDir: a file per published shuffle
)

// sumAttr is the extended attribute that holds a key's xxh64 as 16
// hexadecimal digits, as xxhsum prints it.
const sumAttr = "user.s4.xxh64"

// store keeps keys as files in one data directory. Its lock makes it the only user.
type store struct {
	path  string // absolute
	keys  tree   // the data directory
	sys   tree   // its _s4
	tmp   tree   // its _s4/tmp
	lock  *os.File
	fsync bool

	confinement *Confinement // of commands, whose output becomes the server's: see commit

	sysIsReal bool // _s4/jobs has no symbolic link in its path
	rebooted  bool // the machine was, and writes may be lost: see noteBoot

	count atomic.Int64 // keys
	bytes atomic.Int64 // in keys

	// marks holds the jobs between prepare and the end of commit, in the
	// order they were prepared. A key they are about to publish may not be
	// written by anyone else. See prepare.
	marks   sync.RWMutex
	pending []*stage

	orphans []*stage      // prepared by a killed server; set by sweep, taken by adopt
	parked  []parkedStage // suspended, or not prepared yet; set by sweep, taken by adopt
	damaged []damagedJob  // of a killed server, and removed; set by sweep, taken by adopt

	history        history
	committedIndex committedIndex

	lists sync.Mutex // the files in _s4/shuffled
}

// openStore opens dir, which it creates if need be, and locks it. It checks that the
// file system can do what is needed, completes or removes what a killed server has
// left, and counts the keys. With fsync, commits survive power loss. What commands need
// to reach is opened to their user.
func openStore(dir string, fsync bool, c *Confinement) (*store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := c.makeDir(dir); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, withoutPath(err))
	}
	sys := filepath.Join(dir, sysDir)
	for _, d := range []string{jobsDir, tmpDir, historyDir, committedDir, shuffledDir} {
		if err := os.MkdirAll(filepath.Join(sys, d), 0o755); err != nil {
			return nil, fmt.Errorf("data directory %s: %w", dir, withoutPath(err))
		}
	}
	// Resolve symbolic links, as pwd does: paths that commands print are compared
	// with this one.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	sys = filepath.Join(dir, sysDir)
	s := &store{path: dir, fsync: fsync, confinement: c}
	if jobs, err := filepath.EvalSymlinks(filepath.Join(sys, jobsDir)); err == nil {
		s.sysIsReal = jobs == filepath.Join(sys, jobsDir)
	}
	if err := s.open(sys); err != nil {
		s.close()
		if e := hostError(err); e != nil {
			err = errors.New(e.Text) // says what to do
		}
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return s, nil
}

// withoutPath shortens the path in an error to its last segment: the error line
// names the directory already.
func withoutPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", filepath.Base(pe.Path), pe.Err)
	}
	return err
}

func (s *store) open(sys string) (err error) {
	if s.keys, err = openTree(s.path); err != nil {
		return withoutPath(err)
	}
	if s.sys, err = openTree(sys); err != nil {
		return withoutPath(err)
	}
	if s.tmp, err = openTree(filepath.Join(sys, tmpDir)); err != nil {
		return withoutPath(err)
	}
	if err := s.takeLock(filepath.Join(sys, "lock")); err != nil {
		return err
	}
	if err := s.probe(); err != nil {
		return err
	}
	if err := s.confinement.shareSys(sys); err != nil {
		return withoutPath(err)
	}
	if err := errors.Join(s.openHistory(), s.openCommitted()); err != nil {
		return withoutPath(err)
	}
	if err := s.noteBoot(bootIDPath); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return err
	}
	return s.recount()
}

// takeLock makes sure that no other server uses the directory. The kernel
// drops the lock when the process ends, however it ends (flock(2)).
func (s *store) takeLock(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return withoutPath(err)
	}
	if err := flock(f); err != nil {
		f.Close()
		return err
	}
	s.lock = f
	if err := f.Truncate(0); err != nil {
		return withoutPath(err)
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return withoutPath(err)
}

// flock locks f, which holds the process id of its last owner. If that process has
// ended, the lock may still be held for a moment: by the watchdog of a killed server,
// until it has killed the tasks left behind, or by a forked child that has not run its
// exec yet. flock waits for these.
func flock(f *os.File) error {
	for waited := time.Duration(0); ; waited += lockPause {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("flock: %w", err)
		}
		text := make([]byte, 16)
		n, _ := f.ReadAt(text, 0)
		pid, err := strconv.Atoi(string(text[:n]))
		if gone := err == nil && exec.Ended(pid); !gone || waited >= lockPatience {
			return fmt.Errorf("another s4-server uses it, process %s (stop that one, or choose another --dir)", text[:n])
		}
		time.Sleep(lockPause)
	}
}

const (
	lockPause    = 10 * time.Millisecond
	lockPatience = 5 * time.Second
)

// probe writes and publishes a file as commit does, so that an unsuitable file system
// is reported at the start and not with the first key.
func (s *store) probe() error {
	t, err := xfer.CreateTemp(s.tmp.fd(), 0o600)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := setSum(t.File, 0); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			return errors.New("its file system has no user extended attributes, which hold the checksums (use ext4, xfs, btrfs, or tmpfs of Linux 6.6 or later)")
		}
		return err
	}
	if fd, err := s.keys.open("", dirFlags); err != nil {
		return fmt.Errorf("openat2, which needs Linux 5.6 or later: %w", err)
	} else {
		unix.Close(fd)
	}
	if err := t.Publish(s.tmp.fd(), "probe"); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("cannot link a file into it: %w", err)
	}
	return unix.Unlinkat(s.tmp.fd(), "probe", 0)
}

func (s *store) close() {
	for _, t := range []tree{s.keys, s.sys, s.tmp} {
		if t.root != nil {
			t.close()
		}
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// writable returns an error if nothing can be written.
func (s *store) writable() error {
	if err := s.dirGone(); err != nil {
		return err
	}
	t, err := s.create()
	if err != nil {
		return err
	}
	_, err = t.Write([]byte("s4"))
	return errors.Join(err, t.Close())
}

// file returns where a key's bytes are.
func (s *store) file(name string) string { return filepath.Join(s.path, name) }

func setSum(f *xfer.File, sum uint64) error {
	var text [16]byte
	hexSum(&text, sum)
	return os.NewSyscallError("fsetxattr", unix.Fsetxattr(int(f.Fd()), sumAttr, text[:], 0))
}

func hexSum(text *[16]byte, sum uint64) {
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(sum >> (56 - 8*i))
	}
	hex.Encode(text[:], raw[:])
}

func getSum(fd int) (uint64, error) {
	var text [17]byte
	n, err := unix.Fgetxattr(fd, sumAttr, text[:])
	switch {
	case errors.Is(err, unix.ENODATA):
		return 0, errNoSum
	case err != nil && !errors.Is(err, unix.ERANGE): // ERANGE: it is too long
		return 0, wire.Errorf(wire.CodeChecksum, "the stored checksum cannot be read: %v", err)
	}
	sum, perr := strconv.ParseUint(string(text[:16]), 16, 64)
	if err != nil || perr != nil || n != 16 {
		return 0, wire.Errorf(wire.CodeChecksum, "the stored checksum is damaged")
	}
	return sum, nil
}

// errNoSum is getSum's error for a file without a checksum.
var errNoSum = wire.Errorf(wire.CodeChecksum, "the file has no stored checksum: something other than s4 wrote it")

// storeError turns an error of a system call on a key into an error of the protocol.
func storeError(err error, key string) error {
	if err == nil {
		return nil
	}
	var we *wire.Error
	if errors.As(err, &we) {
		if we.Key != "" || key == "" {
			return we
		}
		named := *we // it may be shared
		named.Key = key
		return &named
	}
	if e := hostError(err); e != nil {
		e.Key = key
		return e
	}
	e := &wire.Error{Code: wire.CodeStorage, Key: key, Text: err.Error()}
	switch {
	case errors.Is(err, unix.ENOENT) && key == "":
		return errDirGone
	case errors.Is(err, unix.ENOENT):
		e.Code, e.Text = wire.CodeNotFound, "no such key"
	case errors.Is(err, unix.EEXIST):
		e.Code, e.Text = wire.CodeExists, "the key exists"
	case errors.Is(err, unix.ENOTDIR):
		e.Code, e.Text = wire.CodeConflict, "a part of the key's path is a key"
	case errors.Is(err, unix.EISDIR):
		e.Code, e.Text = wire.CodeConflict, "there are keys below it: it is a directory"
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		e.Code, e.Text = wire.CodeConflict, "there is a symbolic link in its place in the data directory"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Text = "s4-server has no permission in its data directory (see its owner and mode)"
	case errors.Is(err, unix.ENAMETOOLONG):
		e.Code, e.Text = wire.CodeBadKey, "the name is too long for the server's file system"
	}
	return e
}
