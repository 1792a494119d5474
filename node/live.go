package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// live holds the tasks of a job that run, from the start of the command until
// the output is where it belongs, for who asks what it is that takes so long.
type live struct {
	mu    sync.Mutex
	tasks map[*wire.Task]wire.Task // the key is but an identity; guarded by mu
}

func (l *live) add(t *wire.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks == nil {
		l.tasks = make(map[*wire.Task]wire.Task)
	}
	l.tasks[t] = wire.Task{State: wire.TaskRunning, Key: t.Key, Attempt: t.Attempt, Start: time.Now().UnixNano()}
}

func (l *live) remove(t *wire.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tasks, t)
}

func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks)
}

// list returns the tasks, the one that has run longest first.
func (l *live) list() []wire.Task {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []wire.Task
	for _, t := range l.tasks {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b wire.Task) int { return cmp.Compare(a.Start, b.Start) })
	return list
}
