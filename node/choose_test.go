package node_test

import (
	"fmt"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// A job of several directories, rules and a list goes on after a restart of each server with
// the input it had, whatever the verb.
func TestChoiceOutlivesRestart(t *testing.T) {
	t.Parallel()
	for _, verb := range verbs {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			o := newOutlive(t, node.Config{})
			o.opts.Detach = verb == s4.VerbMapFromN
			script := o.script(verb)
			run, indir := o.client.Map, "s4://b/in"
			switch verb {
			case s4.VerbMap: // a list with a rule
				for i := range outliveKeys {
					o.opts.Keys = append(o.opts.Keys, fmt.Sprintf("%02d_k", outliveKeys-1-i), fmt.Sprintf("s4://b/in/%02d_k", i))
				}
				o.opts.Filter = new(s4.Filter)
				if err := o.opts.Filter.Exclude("*7_k"); err != nil {
					t.Fatal(err)
				}
				for i := 7; i < outliveKeys; i += 10 {
					delete(o.want, fmt.Sprintf("b/out/%02d_k", i))
				}
			case s4.VerbMapToN: // two directories
				run, o.opts.MoreIndirs = o.client.MapToN, []string{"s4://b/more/"}
				put(t, o.client, "b/more/x/99_k", []byte("line 99\n"))
				for part := range 5 {
					o.want[fmt.Sprintf("b/out/x/99_k/%d", part)] = fmt.Sprintf("%d line 99\n", part)
				}
			case s4.VerbMapFromN: // the same, joined
				run, o.opts.MoreIndirs = o.client.MapFromN, []string{"s4://b/alike"}
				for i := range 12 {
					put(t, o.client, fmt.Sprintf("b/alike/%02d_k", i), []byte("alike\n"))
					o.want[fmt.Sprintf("b/out/%02d_k", i)] = "alike\n" + o.want[fmt.Sprintf("b/out/%02d_k", i)]
				}
			}
			ended := make(chan error, 1)
			go func() {
				_, err := run(guarded(t), indir, "s4://b/out", script, &o.opts)
				ended <- err
			}()
			nodetest.Eventually(t, "tasks wait", func() bool {
				s, err := o.client.Job(guarded(t), o.id())
				return err == nil && s.Done >= 8 && s.Running >= 3
			})
			for i := range 3 {
				o.StopNode(i)
				o.StartNode(t, i)
			}
			o.openGate(t)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			s, err := o.client.WaitJob(guarded(t), o.id(), nil)
			if err != nil || s.State != s4.JobDone || s.Listed != (verb == s4.VerbMap) || len(s.Options.MoreIndirs) != len(o.opts.MoreIndirs) ||
				len(s.Options.Filter.Rules()) != len(o.opts.Filter.Rules()) {
				t.Errorf("%+v, %v", s, err)
			}
			o.check(t)
		})
	}
}

// What no client should say of a job's input is refused.
func TestProtocolChoice(t *testing.T) {
	p := startProto(t, 0)
	d := p.open(wire.ChannelData)
	defer d.Close()
	d.raw(protoPut(1, "b/k"))
	d.want(1, wire.TypeOK)
	c := p.open(wire.ChannelControl)
	defer c.Close()
	for i, test := range []struct {
		job  wire.Job
		code wire.Code
	}{
		{wire.Job{Indir: "b", Rules: "+a"}, wire.CodeBadKey},
		{wire.Job{Indir: "b", Rules: "*a\x00"}, wire.CodeBadKey},
		{wire.Job{Indir: "b", Rules: "+[\x00"}, wire.CodeBadKey},
		{wire.Job{Indir: "b", More: []string{""}}, wire.CodeBadKey},
		{wire.Job{Indir: "b", More: []string{"b"}}, wire.CodeConflict},
		{wire.Job{Indir: "", More: []string{"b"}}, wire.CodeBadKey},
		{wire.Job{Indir: "b/../c", Options: wire.JobNoGlob}, wire.CodeBadKey},
		{wire.Job{Indir: "b", Options: wire.JobKeys, More: []string{"c"}}, wire.CodeBadRequest},
		{wire.Job{Indir: "b/*", Options: wire.JobKeys}, wire.CodeBadRequest},
		{wire.Job{Indir: "b", Options: wire.JobKeys | wire.JobManifest}, wire.CodeBadRequest},
		{wire.Job{Options: wire.JobManifest, Rules: "+a\x00"}, wire.CodeBadRequest},
	} {
		test.job.ID, test.job.Verb, test.job.Outdir, test.job.Command = uint64(i+1), wire.VerbMap, "out", "cat"
		c.send(1, 0, &test.job)
		if e := c.want(1, wire.TypeError).(*wire.Error); e.Code != test.code {
			t.Errorf("%+v: %v, want %v", test.job, e, test.code)
		}
	}
	keys := func(names ...string) {
		t.Helper()
		c.send(1, 0, &wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobKeys, Indir: "b", Outdir: "out", Command: "cat", Rules: "-none\x00"})
		m := &wire.Inputs{Last: true}
		for _, name := range names {
			m.List = append(m.List, wire.Input{Name: name})
		}
		c.send(1, 0, m)
	}
	keys("k", "k")
	c.wantError(1, wire.CodeBadRequest)
	keys("../k")
	c.wantError(1, wire.CodeBadKey)
	keys("k", "l")
	c.wantError(1, wire.CodeNotFound)
	keys("k", "none")
	if r := c.want(1, wire.TypeReady).(*wire.Ready); r.Tasks != 1 || r.Keys != 1 || r.Bytes != 6 {
		t.Errorf("%+v", r)
	}
	c.send(1, 0, new(wire.Discard))
	c.want(1, wire.TypeOK)
	p.wantFiles("b", "b/k")
}
