package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread is a thread of this process for what is bound to one: the servers, which die
// with it, and a mount namespace, so that no mount outlives this process.
type thread struct {
	work  chan func()
	ended chan struct{}
	id    int
}

func newThread() *thread {
	t := &thread{work: make(chan func()), ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(t.ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		t.id = unix.Gettid()
		close(ready)
		for f := range t.work {
			f()
		}
	}()
	<-ready
	return t
}

// do runs f on the thread.
func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// path returns the path by which other threads find what the thread has at path.
func (t *thread) path(path string) string {
	return fmt.Sprintf("/proc/self/task/%d/root%s", t.id, path)
}

func (t *thread) end() {
	close(t.work)
	<-t.ended
}

// disk is a small file system that can be filled.
type disk struct{ ballast string }

// diskSize is enough for what the load leaves.
const diskSize = 256 << 20

// newDisk mounts a disk at dir, which it makes, for the processes that t starts.
func newDisk(t *thread, dir string) (*disk, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("only root can mount a small disk")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	t.do(func() {
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return
		}
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return
		}
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", diskSize))
	})
	if err != nil {
		return nil, fmt.Errorf("mount a small disk: %w", err)
	}
	return &disk{t.path(filepath.Join(dir, "ballast"))}, nil
}

// fill leaves spare bytes free.
func (d *disk) fill(spare int64) error {
	f, err := os.Create(d.ballast)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 100 {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
			return err
		}
		size := int64(fs.Bavail)*fs.Bsize - spare
		if size <= 0 {
			return nil
		}
		if err = unix.Fallocate(int(f.Fd()), 0, 0, size); !errors.Is(err, unix.ENOSPC) {
			return err
		}
		// The server was faster.
	}
	return err
}

// free undoes fill.
func (d *disk) free() error {
	err := os.Remove(d.ballast)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
