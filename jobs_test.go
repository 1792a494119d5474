package s4

import (
	"errors"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// TestMergeJob merges what two servers say of a job.
func TestMergeJob(t *testing.T) {
	c := NewClient(&Cluster{Servers: []Server{{"10.0.0.1", "4000"}, {"10.0.0.2", "4000"}}}, nil)
	part := func(state wire.JobState, code wire.Code, text string) *wire.JobInfo {
		info := &wire.JobInfo{Job: wire.Job{ID: 1, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Options: wire.JobKeep, Retries: 2, OKExit: "\x03"},
			State: state, Started: 1e9, Ended: 2e9, Bytes: 4, Keys: 1}
		if code != 0 {
			info.Why = wire.Error{Code: code, Text: text}
		}
		return info
	}
	var (
		running   = part(wire.JobRunning, 0, "")
		prepared  = part(wire.JobPrepared, 0, "")
		waiting   = part(wire.JobWaiting, 0, "")
		done      = part(wire.JobCommitted, 0, "")
		failed    = part(wire.JobFailed, wire.CodeTaskFailed, "exit 3")
		canceled  = part(wire.JobCanceled, wire.CodeCanceled, "on request")
		suspended = part(wire.JobSuspended, wire.CodeTaskFailed, "exit 3")
		expired   = part(wire.JobCanceled, wire.CodeCanceled, "too old")
		down      = errors.New("down")
	)
	for _, test := range []struct {
		name      string
		a, b      *wire.JobInfo
		err       error // of b, which is nil
		want      JobState
		resumable bool
		why       string
	}{
		{"both run", running, running, nil, JobRunning, false, ""},
		{"one was started again", running, waiting, nil, JobRunning, false, ""},
		{"both were started again", waiting, waiting, nil, JobRunning, false, ""},
		{"one is not done with its promise", prepared, running, nil, JobRunning, false, ""},
		{"done", done, done, nil, JobDone, false, ""},
		{"one publishes", done, prepared, nil, JobPublishing, false, ""},
		{"one waits in vain after a failure", failed, waiting, nil, JobFailed, false, "exit 3"},
		{"one waits in vain after a cancel", canceled, waiting, nil, JobCanceled, false, "on request"},
		{"suspended", suspended, suspended, nil, JobSuspended, true, "exit 3"},
		{"suspended, one is to be", suspended, waiting, nil, JobSuspended, true, "exit 3"},
		{"suspended, one runs", suspended, running, nil, JobRunning, false, ""},
		{"suspended, one is down", suspended, nil, down, JobSuspended, true, "exit 3"},
		{"suspended, one has no part", suspended, nil, nil, JobSuspended, false, "the server has no part of it any more"},
		{"suspended, one part is too old", suspended, expired, nil, JobSuspended, false, "the server has no part of it any more: too old"},
		{"published, and not", done, suspended, nil, JobFailed, false, "it was published on some servers and not on others: exit 3"},
	} {
		s := c.mergeJob([]*wire.JobInfo{test.a, test.b}, []error{nil, test.err})
		why := ""
		if s.Err != nil {
			why = s.Err.Text
		}
		if s.State != test.want || s.Resumable != test.resumable || why != test.why {
			t.Errorf("%s: %s, resumable %v, %q; want %s, %v, %q", test.name, s.State, s.Resumable, why, test.want, test.resumable, test.why)
		}
		if s.State == JobSuspended && (!s.Ended.Equal(time.Unix(2, 0)) || s.Bytes == 0) {
			t.Errorf("%s: %d bytes kept since %v", test.name, s.Bytes, s.Ended)
		}
		if o := s.Options; !o.Keep || o.Retries != 2 || len(o.OKExit) != 1 || o.OKExit[0] != 3 {
			t.Errorf("%s: options %+v", test.name, o)
		}
	}
}
