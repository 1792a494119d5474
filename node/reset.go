package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// resetPushed removes what unfinished tasks of a shuffle have staged on all servers,
// before any of them runs again. If the job was suspended, the servers then tell of files
// that were damaged meanwhile: the tasks that wrote these run again, too.
func (j *job) resetPushed() error {
	if j.again == nil || j.msg.Verb != wire.VerbMapToN {
		return nil
	}
	defer func() { j.last = nil }()
	var undone []int
	for i := range j.tasks.rels {
		if !j.tasks.done.has(i) {
			undone = append(undone, i)
		}
	}
	// If there is nothing to remove, only who takes up a suspended job has to ask: then no
	// server is prepared yet, and refuses.
	for ask := j.again.Again; ask || len(undone) > 0; ask = false {
		if err := j.logRerun(undone); err != nil {
			return err
		}
		damaged, err := j.resetAll(undone)
		if err != nil {
			return err
		}
		undone = damaged
	}
	return nil
}

// resetAll sends RESET to all servers. It returns other tasks of which a server has
// damaged output. That server has removed it, the others have theirs.
func (j *job) resetAll(tasks []int) (damaged []int, err error) {
	dirs := make([]string, len(tasks))
	for k, i := range tasks {
		dirs[k] = j.output(i)
	}
	var mu sync.Mutex
	j.node.eachServer(func(peer int) {
		err := j.resetOn(peer, dirs, func(i int) error {
			mu.Lock()
			defer mu.Unlock()
			if !j.tasks.done.has(i) {
				return nil // another server has told of it, too
			}
			damaged = append(damaged, i)
			return j.undo(i)
		})
		if err != nil && j.ctx.Err() == nil {
			j.move(jobFailed, err)
		}
	})
	return damaged, context.Cause(j.ctx)
}

// undo makes a task that was done one that is to run.
func (j *job) undo(i int) error {
	j.tasks.done.remove(i)
	j.done.Add(^uint64(0))
	j.bytesIn.Add(-j.last[i].bytesIn)
	j.bytesOut.Add(-j.last[i].bytesOut)
	return j.logRerun([]int{i})
}

// logRerun notes in the log that tasks which are in it as done run again, before what
// they have staged is removed. The job may be lost before they have run.
func (j *job) logRerun(tasks []int) error {
	for _, i := range tasks {
		if j.last[i].state != wire.TaskDone {
			continue
		}
		j.last[i].state = wire.TaskRetried
		t := wire.Task{State: wire.TaskRetried, Start: time.Now().UnixNano(), Key: j.taskKey(i), Exit: -1,
			Code: wire.CodeChecksum, Error: "its input has changed since the job was suspended, or its output is damaged: it runs again"}
		if err := j.log.Load().add(t); err != nil {
			return storeError(j.node.store.serverFileError(err), t.Key)
		}
	}
	return nil
}

// resetOn tells one server, and tries again while it is down. It calls damaged for each
// task of which that server has damaged output, before the server removes it.
func (j *job) resetOn(peer int, dirs []string, damaged func(task int) error) error {
	for b := xfer.NewBackoff(j.patience()); ; {
		err := j.tryReset(peer, dirs, damaged)
		switch {
		case err == nil:
			return nil
		case !isLost(err) || !b.Wait(j.ctx):
			return j.peerError(peer, "reset", "", err)
		}
	}
}

func (j *job) tryReset(peer int, dirs []string, damaged func(task int) error) error {
	conn, err := j.node.dialPeer(j.ctx, peer)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(j.ctx, func() { conn.Close() })()
	for some := range chunks(dirs) {
		err = j.sendReset(conn, some)
		if err != nil && !isDamage(err) {
			return err
		}
	}
	if len(dirs) == 0 {
		err = j.sendReset(conn, nil)
	}
	for isDamage(err) {
		i := j.taskOf(err)
		if i < 0 {
			return err
		}
		j.node.log.Warn("a staged file is damaged: its task runs again", zap.String("job", jobName(j.id)), zap.Int("on", peer), zap.Error(err))
		if err := damaged(i); err != nil {
			return err
		}
		err = j.sendReset(conn, []string{j.output(i)})
	}
	return err
}

// isDamage reports whether err says that a server has damaged output of this one's tasks.
func isDamage(err error) bool { return errors.Is(err, wire.CodeChecksum) }

// taskOf returns the task that has written the key that err is about, or -1.
func (j *job) taskOf(err error) int {
	var we *wire.Error
	if !errors.As(err, &we) {
		return -1
	}
	dir, _ := splitName(we.Key)
	return slices.Index(j.tasks.rels, strings.TrimPrefix(dir, j.outdir+"/"))
}

func (j *job) sendReset(conn *xfer.Conn, dirs []string) error {
	m := &wire.Reset{Job: j.id, Source: uint32(j.node.cfg.Index), Epoch: j.epoch, Dirs: dirs}
	if err := conn.Write(1, 0, m); err != nil {
		return err
	}
	reply, err := conn.ReadReply(1)
	if err == nil && reply.Type() != wire.TypeOK {
		err = wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", reply.Type())
	}
	return err
}
