package s4

import (
	"time"

	"github.com/nathants/s4/wire"
)

// JobTask is one run of a task's command. While it runs, only the first five
// fields are set.
type JobTask struct {
	Key      string // its input, with its scheme; of a merge its output
	Server   Server
	State    TaskState
	Attempt  int // from 1
	Start    time.Time
	Wall     time.Duration
	User     time.Duration // CPU time
	Sys      time.Duration // CPU time
	MaxRSS   int64         // of the largest process, bytes
	BytesIn  int64
	BytesOut int64
	Exit     int    // exit code, -1 if a signal ended it
	Signal   int    // that signal, or 0
	Runner   string // of its command: "bash", "exec" if it needed no shell, or empty if it did not run
	Err      *Error // why it failed, with its server and Stderr, or nil
	Stderr   string // the end of its standard error
}

// TaskState is how one run of a task ended.
type TaskState string

// The states of a task.
const (
	TaskDone    TaskState = "done"
	TaskFailed  TaskState = "failed"
	TaskRetried TaskState = "retried" // it failed and was run again
	TaskRunning TaskState = "running"
	TaskStopped TaskState = "stopped" // with its job, or its server
)

func toTask(server Server, t *wire.Task) JobTask {
	state := TaskDone
	switch t.State {
	case wire.TaskFailed:
		state = TaskFailed
	case wire.TaskRetried:
		state = TaskRetried
	case wire.TaskRunning:
		state = TaskRunning
	case wire.TaskStopped:
		state = TaskStopped
	}
	task := JobTask{
		Key:      Scheme + t.Key,
		Server:   server,
		State:    state,
		Attempt:  int(t.Attempt),
		Start:    time.Unix(0, t.Start),
		Wall:     time.Duration(t.Wall),
		User:     time.Duration(t.User),
		Sys:      time.Duration(t.Sys),
		MaxRSS:   int64(t.MaxRSS),
		BytesIn:  int64(t.BytesIn),
		BytesOut: int64(t.BytesOut),
		Exit:     int(t.Exit),
		Signal:   int(t.Signal),
		Stderr:   t.Stderr,
	}
	if t.Runner != 0 {
		task.Runner = t.Runner.String()
	}
	if t.Code != 0 {
		task.Err = &Error{Key: task.Key, Server: server.String(), Kind: t.Code, Text: t.Error, Exit: task.Exit, Signal: task.Signal, Stderr: t.Stderr}
	}
	return task
}
