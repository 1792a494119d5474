package node_test

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/nathants/s4/wire"
)

// TestProtocolJobErrors ends jobs in every way but COMMIT.
func TestProtocolJobErrors(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	c := p.open(wire.ChannelControl)
	defer c.Close()
	ask := func(typ wire.Type) { c.t.Helper(); c.send(1, 0, wire.Empty{T: typ}) }
	begin := func(command string) {
		c.t.Helper()
		c.send(1, 0, protoJob(wire.VerbMap, command))
		c.want(1, wire.TypeReady)
	}
	discard := func() {
		c.t.Helper()
		c.send(1, 0, &wire.Discard{Why: wire.Error{Code: wire.CodeCanceled, Text: "no more of it"}})
		c.want(1, wire.TypeOK)
		c.send(2, 0, wire.Empty{T: wire.TypeHealth}) // the connection is free
		c.want(2, wire.TypeHealthInfo)
		p.wantFiles("b", "b/k")
	}
	discard() // of no job

	begin("echo no >&2; exit 7")
	ask(wire.TypeStart)
	if m := c.want(1, wire.TypeTasks).(*wire.Tasks); len(m.List) != 1 || m.List[0].State != wire.TaskFailed || m.List[0].Exit != 7 {
		t.Errorf("got %+v", m)
	}
	if e := c.wantError(1, wire.CodeTaskFailed); e.Exit != 7 || e.Stderr != "no\n" || e.Key != "b/k" {
		t.Errorf("got %+v", e)
	}
	discard()

	begin("sleep 1000")
	ask(wire.TypeStart)
	discard() // while DONE is due

	begin("cat")
	discard()

	begin("cat")
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	discard()

	begin("cat")
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	discard()

	begin("cat")
	ask(wire.TypeCommit) // out of turn
	c.wantError(1, wire.CodeBadRequest)
	discard()

	for _, bad := range []*wire.Job{protoJob(9, "cat"), protoJob(wire.VerbMap, ""), protoJob(wire.VerbMap, "a\x00b"),
		{ID: 42, Verb: wire.VerbMap, Indir: "../x", Outdir: "out", Command: "cat"},
		{ID: 42, Verb: wire.VerbMap, Indir: "b", Outdir: "b/../../x", Command: "cat"}} {
		c.send(1, 0, bad)
		c.want(1, wire.TypeError)
		discard()
	}

	// Losing the connection, and a frame that makes no sense, when prepared:
	// with no other server to ask, nobody has heard COMMIT.
	for _, last := range [][]byte{nil, {0, 0, 0, 0, 0xee, 0, 0, 1}} {
		lost := p.open(wire.ChannelControl)
		lost.send(1, 0, protoJob(wire.VerbMap, "cat"))
		lost.want(1, wire.TypeReady)
		lost.send(1, 0, wire.Empty{T: wire.TypeStart})
		lost.want(1, wire.TypeDone)
		lost.send(1, 0, wire.Empty{T: wire.TypePrepare})
		lost.want(1, wire.TypePrepared)
		lost.raw(last)
		if last != nil {
			lost.wantEnd()
		}
		lost.Close()
		p.wantFiles("b", "b/k")
	}
}

// TestProtocolJobs looks at jobs, and stops them, from another connection.
func TestProtocolJobs(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	for _, key := range []string{"b/bad", "b/good", "b/odd"} {
		d.raw(protoPut(1, key))
		d.want(1, wire.TypeOK)
	}
	c, other := p.open(wire.ChannelControl), p.open(wire.ChannelControl)
	defer c.Close()
	defer other.Close()
	ask := func(typ wire.Type) { c.t.Helper(); c.send(1, 0, wire.Empty{T: typ}) }
	submit := func(id uint64, command string, options wire.JobOption) *wire.Job {
		c.t.Helper()
		job := protoJob(wire.VerbMap, command)
		job.ID, job.Options, job.Retries, job.OKExit = id, options, 1, "\x05"
		c.send(1, 0, job)
		if m := c.want(1, wire.TypeReady).(*wire.Ready); *m != (wire.Ready{Tasks: 3, Bytes: 18, Keys: 3}) {
			t.Errorf("got %+v", m)
		}
		return job
	}
	run := func() { // until PROGRESS says so
		c.t.Helper()
		ask(wire.TypeStart)
		for c.want(1, wire.TypeProgress).(*wire.Progress).Running == 0 {
		}
	}
	settle := func(id uint64) wire.Verdict {
		other.t.Helper()
		other.send(2, 0, &wire.Settle{Job: id})
		return other.want(2, wire.TypeSettled).(*wire.Settled).Verdict
	}
	jobs := func(id uint64, want ...uint64) {
		other.t.Helper()
		other.send(2, 0, &wire.Jobs{Job: id})
		for _, id := range want {
			if m := other.want(2, wire.TypeJobInfo).(*wire.JobInfo); m.Job.ID != id {
				t.Errorf("job %d, want %d", m.Job.ID, id)
			}
		}
		if m := other.want(2, wire.TypeEnd).(*wire.End); m.Count != uint64(len(want)) {
			t.Errorf("END of %d jobs, want %d", m.Count, len(want))
		}
	}
	cancel := func(id uint64) { other.t.Helper(); other.send(2, 0, &wire.Cancel{Job: id}) }
	canceled := func() {
		c.t.Helper()
		c.wantError(1, wire.CodeCanceled)
		c.send(1, 0, &wire.Discard{Why: wire.Error{Code: wire.CodeCanceled, Text: "all of it"}})
		c.want(1, wire.TypeOK)
		p.wantFiles("b", "b/bad", "b/good", "b/odd")
	}

	jobs(0)
	for _, m := range []wire.Message{&wire.Jobs{Job: 1}, &wire.JobTasks{Job: 1}, &wire.Cancel{Job: 1}} {
		other.send(2, 0, m)
		other.wantError(2, wire.CodeNoJob)
	}
	if v := settle(1); v != wire.VerdictDiscarded {
		t.Errorf("verdict %d on a job that nobody knows", v)
	}

	// It is remembered, also if it was stopped before START.
	submit(1, "cat", 0)
	jobs(0)
	jobs(1, 1)
	other.send(2, 0, &wire.JobTasks{Job: 1})
	if m := other.want(2, wire.TypeEnd).(*wire.End); m.Count != 0 {
		t.Errorf("%d tasks before START", m.Count)
	}
	cancel(1)
	other.want(2, wire.TypeOK)
	canceled()
	cancel(1)
	other.wantError(2, wire.CodeNoJob)
	if info := other.over(1); info.State != wire.JobCanceled || info.Why.Code == 0 {
		t.Errorf("got %+v", info)
	}
	jobs(0, 1)

	submit(2, "sleep 1000", 0)
	run()
	jobs(0, 2, 1)
	if info := other.jobInfo(2); info.State != wire.JobRunning || info.Started == 0 || info.Ended != 0 {
		t.Errorf("got %+v", info)
	}
	other.send(2, 0, &wire.JobTasks{Job: 2})
	m := other.want(2, wire.TypeTasks).(*wire.Tasks)
	for i := range m.List {
		if r := &m.List[i]; *r != (wire.Task{State: wire.TaskRunning, Attempt: 1, Start: r.Start, Key: r.Key}) {
			t.Errorf("got %+v", r)
		}
	}
	if end := other.want(2, wire.TypeEnd).(*wire.End); end.Count == 0 || end.Count != uint64(len(m.List)) {
		t.Errorf("END of %d tasks, want %d", end.Count, len(m.List))
	}
	cancel(2)
	other.want(2, wire.TypeOK)
	canceled()
	if info := other.over(2); info.State != wire.JobCanceled || info.Why.Code == 0 {
		t.Errorf("got %+v", info)
	}
	cancel(2)
	other.wantError(2, wire.CodeNoJob)

	// SETTLE stops it, too.
	submit(3, "sleep 1000", 0)
	run()
	if v := settle(3); v != wire.VerdictDiscarded {
		t.Errorf("verdict %d on a job that is not prepared", v)
	}
	canceled()

	// A promise is taken back by DISCARD, and the reason is kept. All is done
	// when OK comes: nobody has to be asked.
	submit(4, "cat", 0)
	ask(wire.TypeStart)
	c.want(1, wire.TypeDone)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	c.send(1, 0, &wire.Discard{Why: wire.Error{Code: wire.CodeCanceled, Text: "no more of it"}})
	c.want(1, wire.TypeOK)
	p.wantFiles("b", "b/bad", "b/good", "b/odd")
	if info := other.over(4); info.State != wire.JobCanceled || info.Why.Text != "no more of it" {
		t.Errorf("got %+v", info)
	}

	// One task fails twice, one with a good code; the job goes on.
	job := submit(5, `case $filename in bad) echo no >&2; exit 7;; odd) echo; exit 5;; esac; echo yes >&2; cat`, wire.JobKeepGoing|wire.JobReport)
	ask(wire.TypeStart)
	want := map[string]string{"b/bad": "3/7/1/no 2/7/2/no ", "b/good": "1/0/1/ ", "b/odd": "1/5/1/ "}
	runs := func(c *protoConn, tag uint16, last wire.Type, want map[string]string) (total int) {
		c.t.Helper()
		got := make(map[string]string)
		for {
			h, body, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			switch h.Type {
			case wire.TypePing, wire.TypeProgress:
				continue
			case last:
				if !maps.Equal(got, want) {
					t.Errorf("runs %q, want %q", got, want)
				}
				m, _ := wire.Decode(h.Type, body)
				if end, ok := m.(*wire.End); ok && end.Count != uint64(total) {
					t.Errorf("END of %d tasks, want %d", end.Count, total)
				}
				return total
			}
			m, err := wire.Decode(h.Type, body)
			tasks, ok := m.(*wire.Tasks)
			if err != nil || !ok || h.Tag != tag {
				t.Fatalf("want TASKS with tag %d, got %+v, %+v, %v", tag, h, m, err)
			}
			for _, r := range tasks.List {
				total++
				got[r.Key] += fmt.Sprintf("%d/%d/%d/%s ", r.State, r.Exit, r.Attempt, strings.TrimSpace(r.Stderr))
			}
		}
	}
	runs(c, 1, wire.TypeDone, want)
	ask(wire.TypePrepare)
	c.want(1, wire.TypePrepared)
	if v := settle(5); v != wire.VerdictPrepared {
		t.Errorf("verdict %d on a prepared job", v)
	}
	cancel(5)
	other.wantError(2, wire.CodeCanceled)
	d.raw(protoPut(1, "out/good"))
	d.wantError(1, wire.CodeExists)
	if info := other.jobInfo(5); info.State != wire.JobPrepared || info.Ended != 0 || info.Keys != 2 {
		t.Errorf("got %+v", info)
	}
	ask(wire.TypeCommit)
	if m := c.want(1, wire.TypeCommitted).(*wire.Committed); m.Keys != 2 || m.Bytes != 7 {
		t.Errorf("got %+v", m)
	}
	if v := settle(5); v != wire.VerdictCommitted {
		t.Errorf("verdict %d on a job that was published", v)
	}
	info := other.over(5)
	if info.State != wire.JobCommitted || info.Why.Code != 0 || info.Ended < info.Started || info.Keys != 2 || info.Bytes != 7 ||
		!reflect.DeepEqual(info.Job, *job) || info.Progress != (wire.Progress{Tasks: 2, Failed: 1, BytesIn: 18, BytesOut: 7}) {
		t.Errorf("got %+v", info)
	}
	want["b/good"] = "1/0/1/yes " // the log has more than the report
	other.send(2, 0, &wire.JobTasks{Job: 5})
	if n := runs(other, 2, wire.TypeEnd, want); n != 4 {
		t.Errorf("%d runs", n)
	}
	jobs(0, 5, 4, 3, 2, 1)
	c.send(1, 0, job)
	c.wantError(1, wire.CodeExists)
	c.send(1, 0, &wire.Discard{})
	c.want(1, wire.TypeOK)

	// What is there is skipped, and what is not known is refused.
	job.ID, job.Options = 6, wire.JobResume
	c.send(1, 0, job)
	if m := c.want(1, wire.TypeReady).(*wire.Ready); *m != (wire.Ready{Tasks: 1, Bytes: 6, Keys: 1, Skipped: 2}) {
		t.Errorf("got %+v", m)
	}
	c.send(1, 0, &wire.Discard{})
	c.want(1, wire.TypeOK)
	job.Options = 1 << 31
	c.send(1, 0, job)
	c.wantError(1, wire.CodeUnsupported)
}
