package s4

import (
	"time"

	"github.com/nathants/s4/wire"
)

// JobProgress is how far a job is, over all servers.
type JobProgress struct {
	Tasks      int64 // commands to run
	Skipped    int64 // left out, because their output exists: JobOptions.Resume
	Done       int64 // of Tasks, ended well
	Failed     int64 // of Tasks, ended badly, after all retries
	Running    int64 // tasks running now
	InputKeys  int64 // of all tasks
	InputBytes int64 // of all tasks
	BytesIn    int64 // input of the tasks that ended
	BytesOut   int64 // output of the tasks that ended well
	Pushed     int64 // bytes of output that went to another server

	// Slowest is the index in the cluster of the server that is clearly behind
	// the others: its share of its tasks still to do is over 1.5 times that of
	// any other. Left is how many those are. -1 and 0 if there is none.
	Slowest int
	Left    int64
}

func sumParts(parts []jobPart) JobProgress {
	t := JobProgress{Slowest: -1}
	var behind struct {
		share, next float64 // the largest shares of tasks still to do
		server      int
		left        int64
		of          int // servers with tasks
	}
	for i, p := range parts {
		t.Tasks += int64(p.ready.Tasks)
		t.Skipped += int64(p.ready.Skipped)
		t.InputKeys += int64(p.ready.Keys)
		t.InputBytes += int64(p.ready.Bytes)
		t.Done += int64(p.progress.Tasks)
		t.Failed += int64(p.progress.Failed)
		t.Running += int64(p.progress.Running)
		t.BytesIn += int64(p.progress.BytesIn)
		t.BytesOut += int64(p.progress.BytesOut)
		t.Pushed += int64(p.progress.Pushed)
		if p.ready.Tasks == 0 {
			continue
		}
		behind.of++
		left := int64(p.ready.Tasks) - int64(p.progress.Tasks) - int64(p.progress.Failed)
		switch share := float64(left) / float64(p.ready.Tasks); {
		case share > behind.share:
			behind.next, behind.share, behind.server, behind.left = behind.share, share, i, left
		case share > behind.next:
			behind.next = share
		}
	}
	if behind.of > 1 && behind.share > 1.5*behind.next {
		t.Slowest, t.Left = behind.server, behind.left
	}
	return t
}

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
	if t.Code != 0 {
		task.Err = &Error{Key: task.Key, Server: server.String(), Kind: t.Code, Text: t.Error, Exit: task.Exit, Signal: task.Signal, Stderr: t.Stderr}
	}
	return task
}
