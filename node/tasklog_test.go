package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nathants/s4/wire"
)

// recorder is a connection that notes what is written to it, and may be stuck.
type recorder struct {
	stuck chan struct{} // closed when writes go on
	began chan struct{} // gets one at each write
	got   []string      // valid once the outbox is drained
	err   error
}

func (r *recorder) write(m wire.Message) error {
	r.began <- struct{}{}
	<-r.stuck
	switch m := m.(type) {
	case *wire.Progress:
		r.got = append(r.got, fmt.Sprint("PROGRESS ", m.Tasks))
	case *wire.Tasks:
		for _, t := range m.List {
			r.got = append(r.got, "task "+t.Key)
		}
	default:
		r.got = append(r.got, m.Type().String())
	}
	return r.err
}

// logOf returns a job with an open log of which the client wants all.
func logOf(t *testing.T) (*job, *taskLog) {
	t.Helper()
	j := attachableJob(t)
	j.msg.Options |= wire.JobReport
	l, err := newTaskLog(j.stage.path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return j, l
}

func (l *taskLog) addTask(t *testing.T, key string) {
	t.Helper()
	if err := l.add(wire.Task{State: wire.TaskDone, Key: key}); err != nil {
		t.Fatal(err)
	}
}

// TestOutboxOfStuckClient gives a client that does not read a job's answers. Nobody waits,
// little is kept, and all that counts comes in its order when it reads again.
func TestOutboxOfStuckClient(t *testing.T) {
	j, l := logOf(t)
	l.addTask(t, "told")
	l.addTask(t, "1")
	c := &recorder{stuck: make(chan struct{}), began: make(chan struct{}, 1000)}
	o := newOutbox(j.node, c.write, func() { c.got = append(c.got, "closed") })
	o.put(letter{m: &wire.Attached{}})
	r, err := j.newReport(1)
	if err != nil {
		t.Fatal(err)
	}
	o.setReport(r)
	<-c.began
	for i := range 100 {
		o.put(letter{})
		o.put(letter{m: &wire.Progress{Tasks: uint64(i)}})
	}
	l.addTask(t, "2")
	o.put(letter{})
	o.put(letter{m: &wire.Done{}})
	o.put(letter{hangUp: true})
	if n := len(o.queue); n != 4 {
		t.Errorf("%d letters are kept", n)
	}
	close(c.stuck)
	o.drain()
	if want := []string{"ATTACHED", "task 1", "task 2", "PROGRESS 99", "DONE", "closed"}; !slices.Equal(c.got, want) {
		t.Errorf("sent %q, want %q", c.got, want)
	}
	l.addTask(t, "3")
	o.put(letter{})
	o.drain()
	if got := c.got[len(c.got)-1]; got != "task 3" {
		t.Errorf("sent %q", got)
	}
	o.drop()
	o.put(letter{m: &wire.Done{}}) // is not sent, nor waited for
	o.drain()
	if len(c.got) != 7 {
		t.Errorf("sent %q", c.got)
	}
}

// TestOutboxOfLostClient loses the client while it is sent something.
func TestOutboxOfLostClient(t *testing.T) {
	j, _ := logOf(t)
	for _, dropped := range []bool{false, true} {
		c := &recorder{stuck: make(chan struct{}), began: make(chan struct{}, 10), err: errors.New("lost")}
		o := newOutbox(j.node, c.write, func() {})
		o.put(letter{m: &wire.Done{}})
		<-c.began
		o.put(letter{m: &wire.Done{}})
		if dropped {
			o.drop()
			o.drain() // though the client is stuck
			close(c.stuck)
			j.node.wg.Wait()
		} else {
			close(c.stuck)
			o.drain()
		}
		if len(c.got) != 1 {
			t.Errorf("sent %q", c.got)
		}
	}
}

// TestReportOfShorterLog tells a client of what is new, which has been told of more than
// the log has kept.
func TestReportOfShorterLog(t *testing.T) {
	for kept, want := range [][]string{{"task new"}, {"task new"}, {"task kept", "task new"}} {
		j, l := logOf(t)
		for range kept {
			l.addTask(t, "kept")
		}
		seen := uint64(3)
		if kept == 2 {
			seen = 1
		}
		c := &recorder{stuck: make(chan struct{}), began: make(chan struct{}, 10)}
		close(c.stuck)
		r, err := j.newReport(seen)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		if err := r.send(c.write); err != nil {
			t.Fatal(err)
		}
		l.addTask(t, "new")
		if err := r.send(c.write); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.got, want) {
			t.Errorf("told of %q, want %q", c.got, want)
		}
	}
}
