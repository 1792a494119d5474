package node

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// scrubbedFile, in _s4, has the time of the last whole scrub as its mtime.
const scrubbedFile = "scrubbed"

// How a scrub gives way.
const (
	scrubLook = 100 * time.Millisecond // between two looks whether the server is idle
	scrubTick = time.Minute            // between two looks whether a scrub is due
)

// scrubEvery compares all keys with their checksums, again and again. A pass begins when
// the last one, also of an earlier run of the server, is every ago. It reads only while
// the server has nothing else to do.
func (n *Node) scrubEvery(every time.Duration) {
	mark := filepath.Join(n.store.path, sysDir, scrubbedFile)
	tick := time.NewTicker(min(scrubTick, every/10+1))
	defer tick.Stop()
	for {
		if info, err := os.Stat(mark); err != nil || !within(time.Since(info.ModTime()), every) {
			if err := n.scrub(); n.ctx.Err() != nil {
				return
			} else if err != nil {
				n.log.Error("scrub", zap.Error(err))
			} else if err := touch(mark); err != nil {
				n.log.Error("scrub", zap.Error(withoutPath(err)))
			}
		}
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// within reports whether something that was so long ago is of the last period. What is in
// the future is not: the clock was set back.
func within(ago, period time.Duration) bool { return ago >= 0 && ago < period }

// touch sets the mtime of a file to now. It makes the file if it is absent.
func touch(path string) error {
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	now := time.Now()
	return os.Chtimes(path, now, now)
}

// scrub makes one pass over all keys.
func (n *Node) scrub() error {
	start := time.Now()
	found := make(chan *wire.Damaged)
	p := &pass{store: n.store, readers: 1, begin: background, pace: n.awaitIdle(), found: found}
	ended := make(chan error, 1)
	go func() {
		defer close(found)
		ended <- p.run(n.ctx, "")
	}()
	for d := range found {
		n.damagedKey(d)
	}
	err := <-ended
	if err == nil {
		n.log.Info("scrub", zap.Uint64("keys", p.keys.Load()), zap.Uint64("bytes", p.bytes.Load()), zap.Uint64("damaged", p.damaged.Load()), zap.Duration("took", time.Since(start)))
	}
	return err
}

// background makes the thread of a goroutine the last that gets the CPU and the disk. The
// thread ends with the goroutine.
func background() {
	runtime.LockOSThread()
	const (
		ioprioWhoProcess = 1 // ioprio_set(2)
		ioprioClassIdle  = 3 << 13
	)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioClassIdle)
}

// awaitIdle returns a pace that waits until the server is idle.
func (n *Node) awaitIdle() func(context.Context, int) error {
	var looked time.Time
	return func(ctx context.Context, _ int) error {
		if time.Since(looked) < scrubLook {
			return nil
		}
		for !n.isIdle() {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(scrubLook):
			}
		}
		looked = time.Now()
		return nil
	}
}

// isIdle reports whether no task runs and nobody waits for an answer.
func (n *Node) isIdle() bool {
	if n.sched.isBusy() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.conns {
		if s.isBusy() {
			return false
		}
	}
	return true
}
