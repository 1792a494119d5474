package node

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// assetsDir, in a job's directory, holds the files that were sent along with the job.
const assetsDir = "assets"

// asset receives a file that goes along with a job.
func (s *session) asset(tag uint16, m *wire.Asset) error {
	j, err := s.node.enterJob(m.Job)
	if err == nil {
		defer j.leave()
	}
	check := func() error {
		switch {
		case err != nil:
			return err
		case j.running.Load():
			return wire.Errorf(wire.CodeBadRequest, "job %016x has begun: its files come before START", m.Job)
		case strings.Contains(m.Name, "/"):
			return &wire.Error{Code: wire.CodeBadKey, Key: m.Name, Text: "is a path, not the name of a file"}
		}
		if err := names.CheckKey("b/" + m.Name); err != nil { // any bucket
			return err
		}
		return j.checkReplaces(m.Name)
	}
	return s.receive("asset", tag, m.Name, m.Size, check, func(tmp *xfer.Temp, _ int64, sum uint64) error {
		return j.addAsset(tmp, m.Name, m.Exec != 0, sum)
	})
}

// addAsset publishes a file in the job's assets. The same file may come twice.
func (j *job) addAsset(tmp *xfer.Temp, name string, program bool, sum uint64) error {
	dir := filepath.Join(j.stage.path, assetsDir)
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = os.Chmod(dir, 0o755) // begin has made it read-only, if the job was suspended
	}
	if err != nil {
		return storeError(withoutPath(err), name)
	}
	t, err := openTree(dir)
	if err != nil {
		return storeError(withoutPath(err), name)
	}
	defer t.close()
	if err := setSum(tmp.File, sum); err != nil {
		return err
	}
	mode := uint32(0o444)
	if program {
		mode = 0o555
	}
	if err := unix.Fchmod(int(tmp.Fd()), mode); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	err = tmp.Publish(t.fd(), name)
	if errors.Is(err, unix.EEXIST) && j.takesFileAgain(name) {
		err = j.node.store.replace(tmp, t.fd(), name)
	}
	if !errors.Is(err, unix.EEXIST) {
		// Close before the client hears of it and says START: see assets.
		return errors.Join(err, tmp.Close())
	}
	f, _, err := openRegular(t, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if there, err := getSum(int(f.Fd())); err != nil || there != sum {
		return &wire.Error{Code: wire.CodeExists, Key: name, Text: "another file of that name came along already"}
	}
	return nil
}

// checkReplaces returns an error for a file that comes along with a job that was taken up
// again, if it would replace none. The command, which stays, does not know of it, so the
// name is wrong. A job that had not begun may have lost its client before all its files
// had come.
func (j *job) checkReplaces(name string) error {
	j.mu.Lock()
	again := j.again != nil && j.again.Again
	j.mu.Unlock()
	if !again {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(j.stage.path, logFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	list, err := os.ReadDir(filepath.Join(j.stage.path, assetsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError(withoutPath(err), name)
	}
	var there []string
	for _, e := range list {
		if e.Name() == name {
			return nil
		}
		there = append(there, e.Name())
	}
	if len(there) == 0 {
		return wire.Errorf(wire.CodeBadRequest, "the job has no file %s to replace: none came along with it", name)
	}
	return wire.Errorf(wire.CodeBadRequest, "the job has no file %s to replace: its files are %s", name, strings.Join(there, ", "))
}

// replace gives a file, in one step, a name in the directory open as dir that another one
// has.
func (s *store) replace(tmp *xfer.Temp, dir int, name string) error {
	own := xfer.TempPrefix + rand.Text()
	if err := tmp.Publish(s.tmp.fd(), own); err != nil { // sweep removes it after a kill
		return err
	}
	err := unix.Renameat(s.tmp.fd(), own, dir, name)
	if err != nil {
		_ = unix.Unlinkat(s.tmp.fd(), own, 0)
	}
	return os.NewSyscallError("renameat", err)
}

// takesFileAgain reports whether a file takes the place of one of the same name, which
// came along before the job was suspended.
func (j *job) takesFileAgain(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.again == nil || !j.again.Again || j.replaced[name] {
		return false
	}
	if j.replaced == nil {
		j.replaced = make(map[string]bool)
	}
	j.replaced[name] = true
	return true
}

// listAssets returns the directory of the files that were sent along, or "" if there are
// none, and the tasks' PATH if one of them is a program.
func (j *job) listAssets() (dir, path string, err error) {
	dir = filepath.Join(j.stage.path, assetsDir)
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", storeError(withoutPath(err), "")
	}
	for _, e := range list {
		fi, err := e.Info()
		if err != nil {
			return "", "", storeError(withoutPath(err), "")
		}
		if fi.Mode()&0o111 != 0 {
			path = dir + string(os.PathListSeparator) + j.node.path
		}
	}
	return dir, path, nil
}

// assets is listAssets for a job that is about to run its tasks. It makes the directory
// read-only.
func (j *job) assets() (dir, path string, err error) {
	dir, path, err = j.listAssets()
	if err != nil || dir == "" {
		return dir, path, err
	}
	if path != "" {
		// A file that is open for writing cannot be run (execve(2), ETXTBSY). A
		// process that was forked while a program was written holds a copy of the
		// descriptor until its exec. Taking the lock waits for all such forks to
		// exec; later ones have no copy (go.dev/issue/22315).
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	return dir, path, storeError(withoutPath(os.Chmod(dir, 0o555)), "")
}
