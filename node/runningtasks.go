package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/nathants/s4/wire"
)

// runningTasks holds the tasks of a job that run now, so that a user can see what
// takes so long. A task runs from the start of its command until its output is
// staged, here or at its server.
type runningTasks struct {
	mu    sync.Mutex
	tasks map[*wire.Task]wire.Task // keyed by identity only; guarded by mu
}

func (r *runningTasks) add(t *wire.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tasks == nil {
		r.tasks = make(map[*wire.Task]wire.Task)
	}
	r.tasks[t] = wire.Task{State: wire.TaskRunning, Key: t.Key, Attempt: t.Attempt, Start: time.Now().UnixNano()}
}

func (r *runningTasks) remove(t *wire.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tasks, t)
}

func (r *runningTasks) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tasks)
}

// list returns the tasks, the one that has run longest first.
func (r *runningTasks) list() []wire.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []wire.Task
	for _, t := range r.tasks {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b wire.Task) int { return cmp.Compare(a.Start, b.Start) })
	return list
}
