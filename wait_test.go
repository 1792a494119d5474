package s4

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// A job that went on without a server does not wait for that one, but for another that
// may have yet to publish its part.
func TestWaitWithoutServer(t *testing.T) {
	c := NewClient(&Cluster{Servers: []Server{{"10.0.0.1", "4000"}, {"10.0.0.2", "4000"}, {"10.0.0.3", "4000"}}}, nil)
	done := &wire.JobInfo{
		Job:     wire.Job{ID: 1, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Options: wire.JobKeepGoing},
		State:   wire.JobCommitted,
		Ready:   wire.Ready{Tasks: 4},
		Missing: 3, Keys: 4, Without: []uint32{2},
		Progress: wire.Progress{Tasks: 4},
	}
	down := func(i int) error {
		return &Error{Server: c.cluster.Servers[i].String(), Kind: ErrUnavailable, Text: "cannot connect"}
	}
	prepared := *done
	prepared.State, prepared.Missing = wire.JobPrepared, 0
	published := *done
	published.Missing = 0
	back := *done // the server that is lost is back, and has ended its part
	back.State, back.Ready, back.Missing, back.Keys, back.Without = wire.JobCanceled, wire.Ready{Tasks: 3}, 0, 9, nil
	for _, test := range []struct {
		name  string
		infos []*wire.JobInfo
		errs  []error
		says  string // of the server that is waited for
		over  bool
	}{
		{"the lost server is down", []*wire.JobInfo{done, &published, nil}, []error{nil, nil, down(2)}, "", true},
		{"it is back", []*wire.JobInfo{done, &published, &back}, []error{nil, nil, nil}, "", true},
		{"it has lost its disk", []*wire.JobInfo{done, &published, nil}, []error{nil, nil, nil}, "", true},
		{"another is down", []*wire.JobInfo{done, nil, nil}, []error{nil, down(1), down(2)}, "10.0.0.2", false},
		{"another has lost its disk", []*wire.JobInfo{done, nil, nil}, []error{nil, nil, down(2)}, "10.0.0.2", false},
		{"another has yet to publish", []*wire.JobInfo{done, &prepared, nil}, []error{nil, nil, down(2)}, "", false},
	} {
		l := lastSeen{client: c, id: "0000000000000001", infos: make([]*wire.JobInfo, 3), lost: make([]time.Time, 3)}
		l.add(slices.Clone(test.infos), slices.Clone(test.errs))
		s, over, err := l.outcome(0)
		var e *Error
		if over != test.over || (err != nil) != (test.says != "") || errors.As(err, &e) && !strings.HasPrefix(e.Server, test.says) {
			t.Errorf("%s: %+v, %v, %v", test.name, s, over, err)
		}
		if over && (s.State != JobPartly || s.Failed != 3 || s.Tasks != int64(4*2+3) || s.Keys != 8 || s.Without != 1) {
			t.Errorf("%s: %+v", test.name, s)
		}
		if s = l.status(); test.says == "" && s.Lost >= 0 {
			t.Errorf("%s: waits for %d", test.name, s.Lost)
		}
	}
}

// What a server that is lost had to do is known to the client that ran the job alone: the
// job is not told of as done.
func TestDoneWithoutServer(t *testing.T) {
	c := NewClient(&Cluster{Servers: []Server{{"10.0.0.1", "4000"}, {"10.0.0.2", "4000"}}}, nil)
	info := func(options wire.JobOption) []*wire.JobInfo {
		return []*wire.JobInfo{{
			Job:     wire.Job{ID: 1, Verb: wire.VerbMap, Options: wire.JobKeepGoing | options},
			State:   wire.JobCommitted,
			Without: []uint32{1},
		}, nil}
	}
	if s := c.mergeJob(info(0), make([]error, 2)); s.State != JobPartly || !errors.Is(s.Err, ErrUnavailable) || s.Err.Server != "10.0.0.2:4000" {
		t.Errorf("%+v", s)
	}
	// The driver of a detached job would tell of tasks.
	if s := c.mergeJob(info(wire.JobDriven), make([]error, 2)); s.State != JobDone {
		t.Errorf("%+v", s)
	}
	back := info(0)
	back[1] = &wire.JobInfo{Job: back[0].Job, State: wire.JobCanceled}
	if s := c.mergeJob(back, make([]error, 2)); s.State != JobDone {
		t.Errorf("%+v", s)
	}
}
