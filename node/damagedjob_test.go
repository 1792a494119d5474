package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// damages are what may happen to a file.
var damages = map[string]func(t *testing.T, path string){
	"cut": func(t *testing.T, path string) {
		fi, err := os.Stat(path)
		if err == nil {
			err = os.Truncate(path, fi.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	},
	"empty": func(t *testing.T, path string) {
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	},
	"flip": func(t *testing.T, path string) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		fi, err := f.Stat()
		if err == nil {
			_, err = f.ReadAt(b[:], fi.Size()/2)
		}
		if err == nil {
			b[0] ^= 1
			_, err = f.WriteAt(b[:], fi.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	},
}

// jobFile returns the path of a file in the directory of a job.
func (a *attachTest) jobFile(id uint64, name string) string {
	return filepath.Join(a.dir, "_s4/jobs", jobText(id), name)
}

// parkDone leaves a job whose only task is done, and which is suspended or waits.
func (a *attachTest) parkDone(id uint64, suspended bool) {
	a.t.Helper()
	a.job.ID, a.job.Outdir = id, fmt.Sprint("out", id)
	c := a.open(wire.ChannelControl)
	c.send(1, 0, a.job)
	c.want(1, wire.TypeReady)
	c.bring(wire.TypeStart, wire.TypeDone)
	if suspended {
		c.send(1, 0, &wire.Suspend{})
		c.want(1, wire.TypeOK)
	}
	c.Close()
}

// publish takes a parked job to its end.
func (a *attachTest) publish(id uint64, suspended bool) {
	a.t.Helper()
	a.job.ID, a.job.Outdir = id, fmt.Sprint("out", id)
	term := uint64(2)
	if suspended {
		term = generation
	}
	c := a.attach(term, 7, suspended, wire.PhaseHalted)
	defer c.Close()
	c.bring(wire.TypeStart, wire.TypeDone)
	c.bring(wire.TypePrepare, wire.TypePrepared)
	c.bring(wire.TypeCommit, wire.TypeCommitted)
}

// startLogged starts the server and returns what it has logged as an error.
func (a *attachTest) startLogged() *observer.ObservedLogs {
	a.t.Helper()
	core, logs := observer.New(zap.ErrorLevel)
	a.protoServer = startProtoWith(a.t, node.Config{Dir: a.dir, Log: zap.New(core)})
	a.ask = a.open(wire.ChannelControl)
	return logs
}

// TestDamagedJob damages files of a job while the server is down. The server starts, says
// which job has failed and why, and goes on with the others.
func TestDamagedJob(t *testing.T) {
	for name, damage := range damages {
		for _, file := range []string{"info", "inputs"} {
			for _, suspended := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s of %s,suspended=%v", name, file, suspended), func(t *testing.T) {
					a := newAttachTest(t, time.Hour, wire.JobKeep)
					a.openGate()
					a.parkDone(42, suspended)
					a.parkDone(43, suspended)
					a.stop()
					damage(t, a.jobFile(42, file))
					logs := a.startLogged()
					if got := logs.All(); len(got) != 1 || got[0].ContextMap()["dir"] != a.jobFile(42, "") ||
						!strings.Contains(fmt.Sprint(got[0].ContextMap()["error"]), file) {
						t.Errorf("logged %+v", got)
					}
					info := a.ask.jobInfo(42)
					if info.State != wire.JobFailed || info.Ended == 0 || !strings.Contains(info.Why.Text, `"`+file+`" is damaged`) {
						t.Errorf("got %+v", info)
					}
					a.job.ID = 42
					for _, again := range []bool{false, true} {
						c := a.try(generation, 7, again)
						if e := c.wantError(1, wire.CodeNoJob); !strings.Contains(e.Text, file) {
							t.Errorf("got %v", e)
						}
						c.Close()
					}
					a.publish(43, suspended)
					a.wantFiles("b", "b/k", "out43", "out43/k")
				})
			}
		}
	}
}

// TestDamagedLog damages the log of a job. What the log has lost runs again.
func TestDamagedLog(t *testing.T) {
	for name, damage := range damages {
		for _, suspended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,suspended=%v", name, suspended), func(t *testing.T) {
				a := newAttachTest(t, time.Hour, wire.JobKeep)
				a.openGate()
				runs := filepath.Join(t.TempDir(), "runs")
				a.job.Command = "echo >>" + runs + "; cat"
				a.parkDone(42, suspended)
				a.stop()
				damage(t, a.jobFile(42, "log"))
				logs := a.startLogged()
				a.publish(42, suspended)
				a.wantFiles("b", "b/k", "out42", "out42/k")
				if b, err := os.ReadFile(runs); err != nil || len(b) != 2 {
					t.Errorf("%d runs, %v", len(b), err)
				}
				if n := logs.FilterField(zap.String("dir", a.jobFile(42, ""))).Len(); name == "flip" && n != 1 {
					t.Errorf("logged %+v", logs.All())
				}
			})
		}
	}
}

// TestInputsDamagedMeanwhile damages a suspended job's list of tasks under a server that
// runs: the job ends, though it is kept.
func TestInputsDamagedMeanwhile(t *testing.T) {
	a := newAttachTest(t, time.Hour, wire.JobKeep)
	a.openGate()
	a.parkDone(42, true)
	damages["flip"](t, a.jobFile(42, "inputs"))
	a.try(generation, 7, true).wantError(1, wire.CodeInternal)
	if info := a.ask.over(42); info.State != wire.JobCanceled || !strings.Contains(info.Why.Text, "inputs") {
		t.Errorf("got %+v", info)
	}
	a.wantFiles("b", "b/k")
}

// A job one of whose servers has lost its part to a damaged file ends on all of them, and
// says why.
func TestDamagedJobEndsElsewhere(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"info", "inputs"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			o := newOutlive(t, node.Config{})
			o.opts.Keep = true
			ended := make(chan error, 1)
			go func() {
				_, err := o.run(guarded(t), s4.VerbMap)
				ended <- err
			}()
			nodetest.Eventually(t, "tasks run", func() bool { return len(o.begun()) >= 6 })
			const lost = 1
			o.StopNode(lost)
			damages["flip"](t, filepath.Join(o.Data(lost), "_s4/jobs", o.id(), file))
			o.StartNode(t, lost)
			if err := <-ended; !errors.Is(err, s4.ErrNoJob) || !strings.Contains(err.Error(), `"`+file+`" is damaged`) {
				t.Errorf("got %v", err)
			}
			s, err := o.client.Job(guarded(t), o.id())
			if err != nil || s.State != s4.JobSuspended || s.Resumable || !strings.Contains(s.Err.Text, file) {
				t.Errorf("%+v, %v", s, err)
			}
			if _, err := o.client.ResumeJob(guarded(t), o.id(), nil); !errors.Is(err, s4.ErrCanceled) || !strings.Contains(err.Error(), file) {
				t.Errorf("resume: %v", err)
			}
			if err := o.client.DiscardJob(guarded(t), o.id()); err != nil {
				t.Error(err)
			}
			o.want = nil
			o.check(t)
		})
	}
}

// A server whose promise is damaged does not know which servers have no part in the job.
// That one of these will never commit it says nothing then.
func TestDamagedPromise(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	c := nodetest.StartProxied(t, 3, node.Config{Log: zap.New(core)})
	client := c.Client(t, nil)
	threeIn(t, client)
	job := submitRaw(t, c.Cluster, "b/out", wire.TypeStart, 0, 1, 2)
	for i := range 2 {
		job.ask(i, &wire.Prepare{Without: []uint32{2}}, wire.TypePrepared)
	}
	job.lose(2)
	nodetest.Eventually(t, "one has given up", func() bool { return verdict(t, c.Cluster, 2, job.id) == wire.VerdictDiscarded })
	job.commit(1)
	c.StopNode(0)
	c.StopNode(1)
	damages["flip"](t, filepath.Join(c.Data(0), "_s4/jobs", jobText(job.id), "prepared"))
	c.StartNode(t, 0)
	nodetest.Eventually(t, "the server has asked", func() bool { return logs.FilterMessageSnippet("cannot be settled").Len() > 0 })
	c.StartNode(t, 1)
	out := outOf(threeKeys, "b/out")
	nodetest.Eventually(t, "the output is published", func() bool {
		got := list(t, client, "b/out/")
		return len(got) == 2 && got[0] == out[0] && got[1] == out[1]
	})
}
