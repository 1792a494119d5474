package node

import (
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// stuckClient reads nothing.
type stuckClient struct {
	sends chan struct{} // gets one when something is sent to it
	done  chan struct{} // when it is closed, Send returns
}

func (c *stuckClient) Send(wire.Message) error {
	c.sends <- struct{}{}
	<-c.done
	return nil
}

func (c *stuckClient) Close() error { return nil }

// TestLogBehindStuckClient writes a job's log while its client does not read what it is
// told: others may ask for the tasks then.
func TestLogBehindStuckClient(t *testing.T) {
	dir := t.TempDir()
	log, err := newTaskLog(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	c := &stuckClient{sends: make(chan struct{}, 1), done: make(chan struct{})}
	log.report, log.wanted = reportTo(c), func(*wire.Task) bool { return true }
	added := make(chan struct{})
	go func() {
		defer close(added)
		for size := 0; size < wire.MaxEntries; {
			task := wire.Task{State: wire.TaskDone, Key: "b/k", Error: string(make([]byte, 1<<10))}
			size += task.TaskSize()
			if err := log.add(task); err != nil {
				t.Error(err)
			}
		}
	}()
	<-c.sends // a task waits for the client
	flushed := make(chan error, 1)
	go func() { flushed <- log.flush() }()
	select {
	case err := <-flushed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the log waits for the client")
	}
	tasks := 0
	if _, err := readLog(dir, func(m *wire.Tasks) error { tasks += len(m.List); return nil }); err != nil || tasks == 0 {
		t.Errorf("%d tasks are in the log: %v", tasks, err)
	}
	close(c.done)
	<-added
	if err := log.close(); err != nil {
		t.Error(err)
	}
}
